"""Show what a target is, without unpacking it: a catalog entry, a bundle or what a gin chain resolves to."""

from pathlib import Path

from hstu_preserve.bundle.results import read_results
from hstu_preserve.bundle.verification import read_stored_manifest
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.gin_recipes.writer import write_gin
from hstu_preserve.legacy.recognition import is_legacy
from hstu_preserve.legacy.showing import show_legacy
from hstu_preserve.library.catalog import find_gain, read_catalog
from hstu_preserve.library.targets import CatalogTarget, LocalTarget, RemoteTarget, resolve_target
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.legacy import ShownLegacy
from hstu_preserve.records.manifest import MigratedManifest
from hstu_preserve.records.results import ShownBundle, ShownEntry, ShownMigrated, ShownRecipe

GIN_SUFFIX = ".gin"


def show(
    target: str | Path, *, gin_root: Path | None = None, voice: Voice = SILENT
) -> ShownEntry | ShownBundle | ShownMigrated | ShownRecipe | ShownLegacy:
    """Return what is known of a target; bytes are not verified beyond what is read.

    Args:
        target: A catalog id, a bundle, a run directory, `sample`, or a gin file.
        gin_root: The folder that a gin file's includes may not leave.
        voice: Says where the Hub does not answer and what is shown may be old.

    Raises:
        UnknownNameError: No such path or id.
        ContentError: The bundle's manifest cannot be read.
        RecipeError: The gin chain does not resolve.
    """
    found = resolve_target(str(target))
    if isinstance(found, CatalogTarget):
        return show_entry(found)
    if isinstance(found, RemoteTarget):
        return show_remote(found, voice=voice)
    if found.path.suffix == GIN_SUFFIX:
        return show_recipe(found, gin_root=gin_root)
    if is_legacy(found.path):
        return show_legacy(found.path, target=found.text)
    return show_bundle(found.path, target=found.text)


def show_remote(target: RemoteTarget, *, voice: Voice) -> ShownBundle | ShownMigrated | ShownLegacy:
    """Return what a bundle on the Hub is; of a native one only the beginning is read, and nothing is kept."""
    from hstu_preserve.library.remote import open_target

    source = open_target(target, voice=voice).content
    return show_legacy(source, target=target.text) if is_legacy(source) else show_bundle(source, target=target.text)


def show_entry(target: CatalogTarget) -> ShownEntry:
    """Return a catalog entry with its gain over the row it is compared with."""
    catalog = read_catalog()
    return ShownEntry(
        target=target.text,
        entry=target.entry,
        gain=find_gain(target.entry, catalog),
        compared_with=catalog.get(target.entry.compared_with or ""),
    )


def show_bundle(path: Path | ByteSource, *, target: str) -> ShownBundle | ShownMigrated:
    """Return the manifest of a bundle or run directory, and of a run the recorded curve."""
    stored = read_stored_manifest(path)
    if isinstance(stored.record, MigratedManifest):
        return ShownMigrated(target=target, path=str(path), identity=stored.identity, manifest=stored.record)
    return ShownBundle(
        target=target,
        path=str(path),
        identity=stored.identity,
        manifest=stored.manifest,
        results=read_results(path, stored.manifest),
    )


def show_recipe(target: LocalTarget, *, gin_root: Path | None) -> ShownRecipe:
    """Return what a gin chain resolves to."""
    chain = read_chain(target.path, root=gin_root)
    resolution = resolve(chain)
    return ShownRecipe(
        target=target.text,
        path=target.path,
        files=tuple(path for path, _ in chain.files),
        recipe=resolution.recipe,
        recipe_sha256=resolution.recipe.digest(),
        policies=resolution.policies,
        bundle=resolution.bundle,
        warnings=tuple(map(str, resolution.warnings)),
        inert=tuple(map(str, resolution.inert)),
        gin=write_gin(resolution.recipe, resolution.policies, resolution.bundle),
    )
