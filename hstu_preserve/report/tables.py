"""Lay out claims, curves, contents and plain fields as tables, for the other modules of this room."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hstu_preserve.primitives.wording import count, printable
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.environment import NumericsRecord
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.manifest import BundleManifest
from hstu_preserve.records.upgrade import EarlierBundle

DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
HEADLINE_METRICS = ("ndcg@10", "ndcg@50", "hr@10", "hr@50", "mrr")


@dataclass(frozen=True, kw_only=True)
class FittingWidth:
    """A table with two layouts: one for a wide terminal, and one for a narrow one.

    Attributes:
        wide: For `least_width` columns and more.
        narrow: For fewer.
        least_width: In columns.
    """

    wide: RenderableType
    narrow: RenderableType
    least_width: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the form that fits."""
        yield self.wide if options.max_width >= self.least_width else self.narrow


@dataclass(frozen=True, kw_only=True)
class FieldValue:
    """A value beside its name; a digest that does not fit a line behind `sha256:` is whole on the next one.

    Attributes:
        text: The value.
    """

    text: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the text, each digest on a line of its own if one would be folded."""
        is_narrow = max(map(len, self.text.split()), default=0) > options.max_width
        yield Text(DIGEST.sub(r"sha256:\n\1", self.text) if is_narrow else self.text)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the widths that the text takes."""
        return Measurement.get(console, options, Text(self.text))


def new_table(*headers: str) -> Table:
    """Return an empty table whose cells are folded, never cut: the end of a path is what tells two of them apart."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def describe_margin(margin: float | None) -> str:
    """Return the margin, or that there is none."""
    return "none" if margin is None else f"{margin:g}"


def describe_numerics(numerics: NumericsRecord) -> str:
    """Return the settings that decide the last bits of a result, on one line."""
    return (
        f"torch {numerics.torch}, {numerics.device}, {numerics.cpu_capability}, {count(numerics.threads, 'thread')}, "
        f"{numerics.code_path} operators"
    )


def list_claims(claims: Iterable[Claim], *, kind: EvaluationKind) -> Table:
    """Return the claims as a table, below the kind of evaluation that they are of."""
    names = ("claim", "metric", "value", "epoch", "selected", "margin", "from")
    table = new_table(*names)
    table.title, table.title_justify = f"evaluation: {kind.words}", "left"
    for claim in claims:
        policy = claim.policy
        table.add_row(
            escape(printable(policy.name)),
            policy.metric,
            f"{claim.value:.4f}",
            str(claim.epoch),
            policy.selection_rule.value,
            describe_margin(policy.margin),
            escape(printable(policy.margin_derivation or "")),
        )
    return table


def list_curve(epochs: tuple[EvaluationRecord, ...]) -> RenderableType:
    """Return the recorded curve: every epoch, or about ten of them spread over the run."""
    step = max(1, len(epochs) // 10)
    chosen = [epoch for place, epoch in enumerate(epochs) if place % step == 0 or place == len(epochs) - 1]
    table = new_table("epoch", "part", *HEADLINE_METRICS)
    if epochs:
        table.title, table.title_justify = f"evaluation: {epochs[0].effective_kind.words}", "left"
    for epoch in chosen:
        table.add_row(
            str(epoch.epoch), epoch.part, *(shorten_metric(epoch.metrics[metric]) for metric in HEADLINE_METRICS)
        )
    return table


def shorten_metric(value: float | None) -> str:
    """Return a metric's value with four decimals, or that it is a mean over nobody."""
    return "over nobody" if value is None else f"{value:.4f}"


def list_contents(manifest: BundleManifest) -> Table:
    """Return the files as a table."""
    table = new_table("file", "bytes", "sha256")
    table.columns[1].justify = "right"
    for file in manifest.contents.files:
        table.add_row(escape(printable(file.path)), str(file.size), f"{file.sha256[:16]}…")
    return table


def list_warnings(warnings: tuple[str, ...]) -> list[Text]:
    """Return each warning as a line."""
    return [Text(f"warning: {printable(warning)}", style="yellow") for warning in warnings]


def list_fields(fields: dict[str, str]) -> Table:
    """Return names and values in two columns."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(Text(printable(name)), FieldValue(text=printable(value)))
    return table


def describe_origin(earlier: EarlierBundle | None) -> dict[str, str]:
    """Return which bundle another one was upgraded from, in words; nothing if from none."""
    if earlier is None:
        return {}
    return {"upgraded from": f"sha256:{earlier.identity}, of schema version {earlier.schema_version}: the same files"}
