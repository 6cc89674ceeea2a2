"""Choose the description of a record for a terminal or a pipe."""

from collections.abc import Callable
from functools import singledispatch

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from hstu_preserve.primitives.wording import count, printable
from hstu_preserve.records.downloads import DownloadReport
from hstu_preserve.records.legacy.verification import LegacyVerification
from hstu_preserve.records.record import Record
from hstu_preserve.records.results import Diagnosis, ReportResult, ShownEntry
from hstu_preserve.records.verification import Verification, VerificationReport
from hstu_preserve.report import bundles, catalog, legacy, reproduction, run_states, runs, studies
from hstu_preserve.report.costs.estimates import describe_costs
from hstu_preserve.report.costs.rehearsals import describe_rehearsal
from hstu_preserve.report.downloads import list_download
from hstu_preserve.report.lines import Line
from hstu_preserve.report.tables import list_fields, new_table
from hstu_preserve.report.verification import describe_verification, list_legacy, list_report


@singledispatch
def render(record: Record) -> RenderableType:
    """Return a result record as text for people."""
    raise TypeError(f"no text for {type(record).__name__}")


DESCRIBED_ELSEWHERE: tuple[Callable[..., RenderableType], ...] = (
    catalog.describe_listing,
    bundles.describe_shown_bundle,
    bundles.describe_diff,
    bundles.describe_packed,
    bundles.describe_unpacked,
    bundles.describe_export,
    bundles.describe_keys,
    bundles.describe_signing,
    bundles.describe_publication,
    bundles.describe_upgrade,
    legacy.describe_shown_legacy,
    legacy.describe_shown_migrated,
    legacy.describe_migration,
    run_states.describe_runs,
    run_states.describe_shown_run,
    runs.describe_shown_recipe,
    runs.describe_fetched_data,
    runs.describe_store,
    runs.describe_orders,
    runs.describe_exported_data,
    runs.describe_training,
    runs.describe_evaluation,
    reproduction.describe_reproduction,
    studies.describe_comparison,
    studies.describe_trained_seeds,
    studies.describe_recipe_diff,
    describe_rehearsal,
)
for described in DESCRIBED_ELSEWHERE:
    render.register(described)


@render.register
def render_entry(record: ShownEntry) -> RenderableType:
    """A catalog entry, and its bundle if that is on this machine."""
    entry = catalog.describe_shown_entry(record)
    return entry if record.here is None else Group(entry, Text(), render(record.here))


@render.register
def render_verification(record: Verification) -> RenderableType:
    """The verification of one bundle."""
    return styled_line(describe_verification(record))


@render.register
def render_verifications(record: VerificationReport) -> RenderableType:
    """Several verifications."""
    return Group(*map(styled_line, list_report(record)))


@render.register
def render_download(record: DownloadReport) -> RenderableType:
    """Return a download, or the preview of one."""
    return Group(*map(styled_line, list_download(record)))


@render.register
def render_legacy_verification(record: LegacyVerification) -> RenderableType:
    """The verification of a legacy archive."""
    return Group(*map(styled_line, list_legacy(record)))


def styled_line(line: Line) -> Text:
    """Return a line with its mark in its style."""
    return Text.assemble((line.mark, line.style), line.text)


@render.register
def render_report(record: ReportResult) -> RenderableType:
    """A written report."""
    state = "written" if record.is_changed else "unchanged"
    written = dict.fromkeys(path for path in (record.path, record.page, record.site) if path is not None)
    paths = " and ".join(map(str, written))
    found = f"{count(record.experiments, 'experiment')}, {record.reproduced} reproduced here"
    return Text(f"{printable(paths)}: {found} ({state})")


@render.register
def render_diagnosis(record: Diagnosis) -> RenderableType:
    """Return the checks of this machine."""
    table = new_table("", "what", "detail", "what to do")
    for one in record.capabilities:
        mark = Text("yes", style="green") if one.is_available else Text("no", style="yellow")
        table.add_row(mark, one.name, escape(one.detail), escape(one.advice or ""))
    packages = ", ".join(f"{name} {version}" for name, version in record.environment.packages.items())
    machine = f"{record.environment.python} on {record.environment.platform} ({record.environment.machine})"
    costs = [] if record.costs is None else [describe_costs(record.costs)]
    return Group(list_fields({"machine": machine, "packages": packages}), table, *costs)
