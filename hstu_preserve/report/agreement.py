"""Describe how retrainings agree with the recorded runs: every value, and the interval drawn between the margins."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from hstu_preserve.primitives.wording import count, printable
from hstu_preserve.records.retraining.agreement import Agreement, RunValue
from hstu_preserve.records.verdict import Verdict
from hstu_preserve.report.curves import DrawnLines
from hstu_preserve.report.tables import list_fields

DRAWN_COLUMNS = 72
"""Of the drawing: the width of a terminal of 80, less an indent."""
ROOM = 1.25
"""How much further the drawing reaches than what is drawn."""
EDGE, ZERO, AXIS, BAR, LEFT, RIGHT, CENTRE = "│", "┼", "─", "━", "┣", "┫", "●"


def describe_agreements(verdicts: Sequence[Verdict]) -> Iterator[RenderableType]:
    """Yield the runs and the drawn interval of each verdict that judges retrainings."""
    for verdict in verdicts:
        if verdict.agreement is not None:
            yield Group(Text(), Text(printable(verdict.name), style="bold"), describe_agreement(verdict.agreement))


def describe_agreement(agreement: Agreement) -> RenderableType:
    """Return every value, the spread beside its floor, and the interval between the margins."""
    fields = {"recorded": list_values(agreement.references), "retrained": list_values(agreement.reruns)}
    if agreement.spread is not None:
        fields["spread"] = describe_spread(agreement)
    if agreement.power is not None:
        fields["power"] = f"an equal recipe comes out inside in {100 * agreement.power:.0f} % of cases"
    if agreement.looks > 1:
        fields["look"] = f"{agreement.look} of {agreement.looks}"
    drawing = draw_interval(agreement)
    return Group(list_fields(fields), DrawnLines(lines=drawing))


def list_values(runs: Sequence[RunValue]) -> str:
    """Return every value with its seed; a run that collapsed or diverged must be seen."""
    return ", ".join(f"{run.value:.4f} (seed {run.seed}{', diverged' if run.is_diverged else ''})" for run in runs)


def describe_spread(agreement: Agreement) -> str:
    """Return the spread from run to run, and what the users alone cause of it."""
    text = f"{agreement.spread:.2g} from run to run, known by {count(agreement.degrees or 0, 'degree')} of freedom"
    if agreement.floor is None:
        return text
    return f"{text}; {agreement.num_users} users alone scatter it by {agreement.floor:.2g}"


def draw_interval(agreement: Agreement) -> list[str]:
    """Return the interval on a line from beyond one margin to beyond the other, with the ends of the margin named."""
    if agreement.half_width is None or agreement.margin is None or not agreement.spread:
        return []
    low, high = agreement.difference - agreement.half_width, agreement.difference + agreement.half_width
    reach = ROOM * max(agreement.margin, abs(low), abs(high))

    def column(value: float) -> int:
        return round((value / reach + 1) / 2 * (DRAWN_COLUMNS - 1))

    ends = {column(-agreement.margin): EDGE, column(0.0): ZERO, column(agreement.margin): EDGE}
    axis = [ends.get(place, AXIS) for place in range(DRAWN_COLUMNS)]
    bar = [ends.get(place, " ").replace(ZERO, EDGE) for place in range(DRAWN_COLUMNS)]
    first, last = column(low), column(high)
    bar[first : last + 1] = BAR * (last - first + 1)
    bar[first], bar[last] = LEFT, RIGHT
    bar[column(agreement.difference)] = CENTRE
    labels = [" "] * (DRAWN_COLUMNS + 8)
    for place, label in zip(ends, (f"−{agreement.margin:.4f}", "0", f"+{agreement.margin:.4f}"), strict=False):
        start = max(0, place - len(label) // 2)
        labels[start : start + len(label)] = label
    return [f"  {''.join(line).rstrip()}" for line in (labels, axis, bar)]
