"""Gather what is known here of each published result: its recipe, its bundle's curve, what was judged."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hstu_preserve.bundle.results import read_results
from hstu_preserve.errors import ContentError, PreserveError
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.gin_recipes.writer import write_gin
from hstu_preserve.legacy.contents import read_contents
from hstu_preserve.legacy.recorded_run import describe_run
from hstu_preserve.legacy.walker import open_legacy
from hstu_preserve.library.catalog import list_chains, read_catalog
from hstu_preserve.library.listing import HEADLINE_METRIC, list_experiments
from hstu_preserve.library.sources import Form, Source, find_bundle
from hstu_preserve.pages.claims import read_curve
from hstu_preserve.pages.figures import Curve
from hstu_preserve.pages.judged import Judged
from hstu_preserve.pages.site.hiding import hide_places
from hstu_preserve.pages.site.published import Published
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.manifest import Manifest
from hstu_preserve.records.results import ListedExperiment
from hstu_preserve.report.preservation_report import is_of

RECORDED = "recorded"


def list_published(judged: Sequence[Judged], *, voice: Voice) -> tuple[Published, ...]:
    """Return every result of the catalog, in its order; nothing is fetched."""
    catalog, chains = read_catalog(), list_chains()
    return tuple(
        describe(one, judged, catalog.get(one.entry.compared_with or ""), chains.get(one.entry.id), voice=voice)
        for one in list_experiments().experiments
    )


def list_others(judged: Iterable[Judged], published: Sequence[Published]) -> tuple[Judged, ...]:
    """Return what was judged and is of no published result."""
    return tuple(one for one in judged if not any(is_of(other.listed.entry, one.reproduction) for other in published))


def describe(
    listed: ListedExperiment,
    judged: Sequence[Judged],
    compared_with: CatalogEntry | None,
    chain: Path | None,
    *,
    voice: Voice,
) -> Published:
    """Return what is known of one entry."""
    gaps: list[str] = []
    source = find_here(listed.entry, gaps=gaps, voice=voice)
    return Published(
        listed=listed,
        compared_with=compared_with,
        recipe=() if chain is None else tuple(read_recipe(chain)),
        is_here=source is not None,
        curve=None if source is None else read_own_curve(source, listed.entry, gaps=gaps, voice=voice),
        judged=[hide_places(one) for one in judged if is_of(listed.entry, one.reproduction)],
        gaps=gaps,
    )


def read_recipe(chain: Path) -> Iterator[str]:
    """Yield the lines of a gin chain as one text."""
    resolution = resolve(read_chain(chain, root=None))
    yield from write_gin(resolution.recipe, resolution.policies, resolution.bundle).rstrip().splitlines()


def find_here(entry: CatalogEntry, *, gaps: list[str], voice: Voice) -> Source | None:
    """Return an entry's bundle if it is on this machine; say why if it cannot be read."""
    try:
        return find_bundle(Source(text=entry.id, form=Form.ENTRY, entry=entry), voice=voice)
    except PreserveError as error:
        tell_gap(entry, "its bundle, which is on the machine that wrote this site", error, gaps=gaps, voice=voice)
        return None


def read_own_curve(source: Source, entry: CatalogEntry, *, gaps: list[str], voice: Voice) -> Curve | None:
    """Return the headline metric by epoch, as the bundle's own run recorded it; say why if it cannot be read."""
    try:
        return read_legacy_curve(source.path) if source.form is Form.LEGACY else read_bundle_curve(source)
    except PreserveError as error:
        tell_gap(entry, "the curve that its bundle recorded", error, gaps=gaps, voice=voice)
        return None


def tell_gap(entry: CatalogEntry, what: str, error: PreserveError, *, gaps: list[str], voice: Voice) -> None:
    """Note that something cannot be shown; why is told to who writes the site, since it names places here."""
    gaps.append(f"{what}; the command that wrote it said why")
    voice.say(f"{entry.id}: cannot be shown: {error}")


def read_bundle_curve(source: Source) -> Curve | None:
    """Return the curve in a bundle's results."""
    manifest = source.require_manifest().record
    results = read_results(source.path, manifest) if isinstance(manifest, Manifest) else None
    return None if results is None else read_curve(results, HEADLINE_METRIC, label=RECORDED)


def read_legacy_curve(path: Path) -> Curve | None:
    """Return the curve in the event files of an archive that another program wrote."""
    with open_legacy(path) as walker:
        contents = read_contents(walker.members())
    if walker.findings:
        raise ContentError(f"{path.name}: {walker.findings[0].describe()}")
    run = describe_run(contents.evaluated, chains=contents.chains, checkpoints=contents.checkpoints)
    curve = run.curves.get(HEADLINE_METRIC)
    if curve is None or not curve.whole:
        return None
    epochs = sorted(curve.whole)
    return Curve(label=RECORDED, epochs=epochs, values=[curve.find(epoch).value for epoch in epochs])
