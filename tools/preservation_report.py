"""Compose PRESERVATION_REPORT.md from the records of this repository; nothing is run, and no clock is asked.

Its sources are the catalog (`manifests/*.json`), the judged bundles with their certificates (`reproductions/*/`) and
the records of the benchmarks (`benchmarks/results/*.json`). Equal records give equal text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.certificates.checking import certificate_path, check_certificate
from hstu_preserve.library.listing import list_experiments
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.catalog import Collection
from hstu_preserve.records.certificate import CertificateCheck
from hstu_preserve.records.results import ListedExperiment, Reproduction
from hstu_preserve.records.verdict import Outcome
from hstu_preserve.report.markdown import escape
from hstu_preserve.report.preservation_report import (
    DATA_NOTES,
    HEADINGS,
    describe_collection,
    describe_environment,
    describe_reproduction,
    is_of,
)
from hstu_preserve.verdict.rungs import choose_exit_code, find_deciders, list_failed
from tools.findings import FINDERS, Benchmark, read_benchmark

ROOT = Path(__file__).resolve().parent.parent
RECORD_NAME = "reproduction.json"
COMMAND = "python -m tools.generate"


@dataclass(frozen=True, kw_only=True)
class JudgedHere:
    """One bundle that was judged, by its record in `reproductions/`.

    Attributes:
        place: The record's folder, from the root of the repository.
        reproduction: The record.
        certificate: What lies beside it; None if nothing does.
    """

    place: str
    reproduction: Reproduction
    certificate: CertificateCheck | None

    @property
    def day(self) -> str | None:
        """The day on which it was judged, by its certificate; None if that names none."""
        attestations = self.certificate.attestations if self.certificate is not None else ()
        return max((one.finished_at[:10] for one in attestations if one.finished_at is not None), default=None)


def compose_preservation_report() -> str:
    """Return the report on the records as they are now."""
    listed = list_experiments().experiments
    judged = [read_judged(path.parent) for path in sorted((ROOT / "reproductions").glob(f"*/{RECORD_NAME}"))]
    benchmarks = [read_benchmark(path) for path in sorted((ROOT / "benchmarks" / "results").glob("*.json"))]
    order = [*FINDERS]
    found = sorted(
        (one for one in benchmarks if one.finding is not None),
        key=lambda one: order.index(one.name.removesuffix(".json")),
    )
    sections = [
        describe_beginning(judged, benchmarks),
        summarize(listed, judged, found),
        f"## {describe_judged(judged)}",
        *(describe_one(one) for one in judged),
        *describe_published(listed, [one.reproduction for one in judged]),
        "## Measured here",
        *map(describe_measured, found),
        DATA_NOTES,
        list_sources(judged, benchmarks),
    ]
    return "\n\n".join(sections) + "\n"


def read_judged(folder: Path) -> JudgedHere:
    """Return what a folder of `reproductions/` holds."""
    path = folder / RECORD_NAME
    reproduction = Reproduction.from_json(path.read_bytes(), source=str(path))
    beside = folder / certificate_path(reproduction.path).name
    certificate = check_certificate(beside, identity=reproduction.identity, trusted=None) if beside.is_file() else None
    return JudgedHere(place=f"reproductions/{folder.name}", reproduction=reproduction, certificate=certificate)


def describe_beginning(judged: Sequence[JudgedHere], benchmarks: Sequence[Benchmark]) -> str:
    """Return the title, and how old the newest of the records is."""
    days = [day for day in (*(one.day for one in judged), *(one.measured_on for one in benchmarks)) if day is not None]
    newest = f"The newest is of {max(days)}." if days else "None of them is dated."
    return (
        f"# Preservation report\n\nWritten by `{COMMAND}` from records in this repository: the catalog, bundles that "
        f"were judged\nwith the certificates beside them, and benchmarks. {newest} Nothing was run for it: each figure "
        "was measured\nby the command beside it. Verdicts on different rungs are never merged into one; a number "
        "without a data fingerprint\nor a margin fixed before the run is at best INCONCLUSIVE. Published numbers are "
        "their publishers', whose source\n`hstu-preserve show ID` names."
    )


def summarize(listed: Sequence[ListedExperiment], judged: Sequence[JudgedHere], found: Sequence[Benchmark]) -> str:
    """Return every finding in one line."""
    reproductions = [one.reproduction for one in judged]
    lines = [
        describe_judged(judged),
        name_published(listed, reproductions),
        *(one.finding.heading for one in found if one.finding is not None),
    ]
    return "\n".join(["## What was found", "", *(f"* {line}." for line in lines)])


def describe_judged(judged: Sequence[JudgedHere]) -> str:
    """Return of how many bundles every required verdict holds."""
    holding = sum(choose_exit_code(one.reproduction.verdicts) == 0 for one in judged)
    return f"{holding} of {count(len(judged), 'bundle')} judged here: every required verdict holds"


def describe_one(judged: JudgedHere) -> str:
    """Return one judged bundle, with what decided in its heading."""
    reproduction = judged.reproduction
    failed = list_failed(reproduction.verdicts)
    deciders = find_deciders(reproduction.verdicts)
    decided = [f"{escape(one.name)} {one.outcome.value}" for one in (failed or deciders)] or [Outcome.NOT_RUN.value]
    _, _, rest = describe_reproduction(reproduction, certificate=judged.certificate).partition("\n")
    made = ""
    if reproduction.environment is not None:
        made = "\n\n" + describe_environment(reproduction.environment).partition("\n\n")[2]
    return f"### {escape(reproduction.title)}: {', '.join(decided)}\n{rest}{made}"


def name_published(listed: Sequence[ListedExperiment], reproductions: Sequence[Reproduction]) -> str:
    """Return how many of some published results were judged."""
    judged = sum(any(is_of(one.entry, reproduction) for reproduction in reproductions) for one in listed)
    without = sum(one.entry.bundle is None for one in listed)
    unseen = sum(one.entry.bundle is not None and one.entry.bundle.sha256 is None for one in listed)
    results = count(len(listed), "published result")
    why = [
        f"of {without} no bundle was published" if without else "",
        f"of {unseen} the bundle was never seen here" if unseen else "",
    ]
    return f"{judged or 'None'} of {results} was judged here: {'; '.join(filter(None, why))}"


def describe_published(listed: Sequence[ListedExperiment], reproductions: Sequence[Reproduction]) -> Iterator[str]:
    """Yield the published results by who published them."""
    yield f"## {name_published(listed, reproductions)}"
    for collection in Collection:
        chosen = [one for one in listed if one.entry.collection is collection]
        if chosen:
            text = describe_collection(collection, listed, reproductions=reproductions)
            _, _, rest = text.partition("\n")
            judged = sum(any(is_of(one.entry, other) for other in reproductions) for one in chosen)
            yield f"### {HEADINGS[collection]}: {judged} of {len(chosen)} judged here\n{rest}"


def describe_measured(benchmark: Benchmark) -> str:
    """Return what one benchmark found."""
    assert benchmark.finding is not None
    lines = [f"### {benchmark.finding.heading}", "", *(f"* {sentence}" for sentence in benchmark.finding.sentences)]
    day = f" of {benchmark.measured_on}" if benchmark.measured_on is not None else ", not dated"
    again = f"; again with `{benchmark.command}`" if benchmark.command is not None else ""
    lines.append(f"* `benchmarks/results/{benchmark.name}`{day}{again}.")
    return "\n".join(lines)


def list_sources(judged: Sequence[JudgedHere], benchmarks: Sequence[Benchmark]) -> str:
    """Return each record with its day and its machine; those that nothing above is about, too."""
    lines = ["## Records", "", "| record | day | machine |", "|---|---|---|"]
    for one in judged:
        environment = one.reproduction.environment
        numerics = environment.numerics if environment is not None else None
        machine = "" if numerics is None else f"{numerics.processor}, torch {numerics.torch}, {numerics.device}"
        lines.append(f"| `{one.place}/{RECORD_NAME}` | {one.day or 'not dated'} | {escape(machine)} |")
    for benchmark in benchmarks:
        day, machine = benchmark.measured_on or "not dated", escape(", ".join(benchmark.processors) or "not named")
        lines.append(f"| `benchmarks/results/{benchmark.name}` | {day} | {machine} |")
    return "\n".join(lines)
