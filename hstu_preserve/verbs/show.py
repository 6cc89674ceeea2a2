"""Show a target without unpacking it: a catalog entry, a bundle or the recipe of a gin chain."""

from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.bundle.results import read_results
from hstu_preserve.errors import ContentError, UnavailableError, UsageError
from hstu_preserve.gin_recipes.overlay import read_changed_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.gin_recipes.writer import write_gin
from hstu_preserve.legacy.showing import show_legacy
from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.library.listing import find_gain
from hstu_preserve.library.run_states import show_run
from hstu_preserve.library.sources import Form, Source, find, find_bundle, is_unfinished_run
from hstu_preserve.primitives.archive_names import ARCHIVE_SUFFIXES
from hstu_preserve.primitives.file_kinds import BEGINNING_BYTES, is_text
from hstu_preserve.primitives.files import open_stream
from hstu_preserve.primitives.given_paths import as_path
from hstu_preserve.primitives.paths import GIN_SUFFIX
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.legacy.shown import ShownLegacy
from hstu_preserve.records.manifest import MigratedManifest
from hstu_preserve.records.results import ShownBundle, ShownEntry, ShownMigrated, ShownRecipe
from hstu_preserve.records.runs import ShownRun


def show(
    target: str | Path,
    *,
    gin_root: str | Path | None = None,
    settings: Sequence[str] = (),
    voice: Voice = SILENT,
) -> ShownEntry | ShownBundle | ShownMigrated | ShownRecipe | ShownRun | ShownLegacy:
    """Return the record of a target: entry, manifest or recipe. Only the bytes that are read are verified.

    Args:
        target: A catalog id, a bundle, a run directory, finished or not, `sample`, or a gin file.
        gin_root: The folder that a gin file's includes may not leave.
        settings: `NAME = VALUE`, gin bindings that follow a gin file's.
        voice: Says if the Hub does not answer, so that the record may be old.

    Raises:
        UnknownNameError: No such path or id.
        UsageError: Settings are given, and the target is no gin file.
        ContentError: The bundle's manifest cannot be read.
        RecipeError: The gin chain does not resolve, or a setting is not one binding.
    """
    gin_root = as_path(gin_root)
    source = find(str(target), voice=voice)
    if settings and source.form is not Form.RECIPE:
        raise UsageError(f"{target}: {source.form.value}; --set changes the recipe of a gin file only")
    match source.form:
        case Form.ENTRY:
            return show_entry(source, voice=voice)
        case Form.RECIPE:
            return show_recipe(source, gin_root=gin_root, settings=settings)
        case _ if isinstance(source.content, Path) and is_unfinished_run(source.content):
            return show_run(source.content, target=source.text)
        case _:
            return show_content(source)


def show_content(source: Source) -> ShownBundle | ShownMigrated | ShownLegacy:
    """Return what a bundle, a run directory or a legacy archive holds."""
    if source.form is not Form.LEGACY:
        return show_bundle(source)
    assert source.content is not None
    return show_legacy(source.content, target=source.text)


def show_entry(source: Source, *, voice: Voice) -> ShownEntry:
    """Return a catalog entry with its gain over the row it is compared with, and its bundle if that is here."""
    assert source.entry is not None
    catalog = read_catalog()
    return ShownEntry(
        target=source.text,
        entry=source.entry,
        gain=find_gain(source.entry, catalog),
        compared_with=catalog.get(source.entry.compared_with or ""),
        here=show_here(source, voice=voice),
    )


def show_here(source: Source, *, voice: Voice) -> ShownBundle | ShownMigrated | ShownLegacy | None:
    """Return an entry's bundle if it is on this machine; say why it cannot be shown if so."""
    try:
        found = find_bundle(source, voice=voice)
        return None if found is None else show_content(found)
    except (ContentError, UnavailableError) as error:  # the entry itself is shown all the same
        voice.say(f"{source.text}: its bundle on this machine cannot be shown: {error}")
        return None


def show_bundle(source: Source) -> ShownBundle | ShownMigrated:
    """Return the manifest of a bundle or run directory, and of a run the recorded curve."""
    if source.stored is None and isinstance(source.content, Path):
        refuse_text(source.content)
    stored, content = source.require_manifest(), source.content
    assert content is not None
    if isinstance(stored.record, MigratedManifest):
        return ShownMigrated(target=source.text, path=str(content), identity=stored.identity, manifest=stored.record)
    return ShownBundle(
        target=source.text,
        path=str(content),
        identity=stored.identity,
        manifest=stored.record,
        results=read_results(content, stored.record),
    )


def refuse_text(path: Path) -> None:
    """Raise UsageError for a text that is not named as an archive: only its name can tell a gin file from others."""
    if path.is_dir() or path.name.endswith(ARCHIVE_SUFFIXES):
        return
    with open_stream(path) as stream:
        beginning = stream.read(BEGINNING_BYTES)
    if beginning and is_text(beginning):
        raise UsageError(f"{path}: no bundle but a text; the name of a gin file ends in {GIN_SUFFIX}")


def show_recipe(source: Source, *, gin_root: Path | None, settings: Sequence[str]) -> ShownRecipe:
    """Return the recipe that a gin chain resolves to."""
    chain = read_changed_chain(source.path, root=gin_root, settings=settings)
    resolution = resolve(chain)
    return ShownRecipe(
        target=source.text,
        path=source.path,
        files=tuple(path for path, _ in chain.files),
        recipe=resolution.recipe,
        recipe_sha256=resolution.recipe.digest(),
        policies=resolution.policies,
        bundle=resolution.bundle,
        warnings=tuple(map(str, resolution.warnings)),
        inert=tuple(map(str, (*resolution.inert, *resolution.remarks))),
        gin=write_gin(resolution.recipe, resolution.policies, resolution.bundle),
    )
