"""Choose what the figures of a page show: curves, moves of ranks, groups of users, intervals between margins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hstu_preserve.pages.drawing import BAND, FAINT, HERE, INK, RECORDED, draw
from hstu_preserve.records.retraining.agreement import Agreement
from hstu_preserve.studies.results import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_LABEL_CHARACTERS = 30
MARKED_EPOCHS = 40
"""Up to so many epochs are marked by a dot each; more of them would hide the line."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The values of one run, by epoch.

    Attributes:
        label: In the legend.
        epochs: From 0, ascending.
        values: Of one metric, one for each epoch.
    """

    label: str
    epochs: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One value that is marked on a curve."""

    label: str
    epoch: int
    value: float


@dataclass(frozen=True, kw_only=True)
class GroupMean:
    """The mean of a metric over some users.

    Attributes:
        label: Which users.
        num_users: How many.
        value: The mean.
        half_width: Of its 95 % interval over users; None of one user.
    """

    label: str
    num_users: int
    value: float
    half_width: float | None


def draw_curves(
    name: str, *, metric: str, recorded: Curve | None, retrained: Sequence[Curve], claimed: Mark, found: Mark | None
) -> str:
    """Return the recorded curve and those of retrained runs, with the claimed value and the one that was found."""
    from matplotlib.ticker import MaxNLocator

    with draw(name, height=3.0) as drawing:
        axes = drawing.axes
        for number, curve in enumerate(retrained):
            label = curve.label if number == 0 else None
            axes.plot(curve.epochs, curve.values, color=HERE, linewidth=1.0, linestyle="--", label=label)
        if recorded is not None:
            dot = "." if len(recorded.epochs) <= MARKED_EPOCHS else ""
            axes.plot(recorded.epochs, recorded.values, color=RECORDED, linewidth=1.6, marker=dot, label=recorded.label)
        axes.axhline(claimed.value, color=FAINT, linewidth=0.8, linestyle=":")
        axes.plot([claimed.epoch], [claimed.value], "D", color=RECORDED, markersize=7, label=claimed.label)
        if found is not None:
            axes.plot([found.epoch], [found.value], "o", color=HERE, fillstyle="none", markersize=13, label=found.label)
        axes.set_xlabel("epoch, from 0")
        axes.set_ylabel(metric)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=9, loc="lower right")
    return drawing.svg


def draw_counts(name: str, *, counts: Mapping[str, int], label: str) -> str:
    """Return bars, one for each name, each with its count beside it."""
    with draw(name, height=2.6) as drawing:
        axes = drawing.axes
        bars = axes.barh(range(len(counts)), list(counts.values()), color=HERE, height=0.75)
        axes.bar_label(bars, labels=[str(number) if number else "" for number in counts.values()], fontsize=9)
        axes.set_yticks(range(len(counts)), list(counts), fontsize=9)
        axes.set_ylim(len(counts) - 0.5, -0.5)
        axes.set_xlabel(label)
    return drawing.svg


def draw_groups(
    name: str, *, metric: str, label: str, recorded: Sequence[GroupMean] | None, found: Sequence[GroupMean]
) -> str:
    """Return the mean of each group with its interval over users, as recorded and as found here."""
    with draw(name, height=2.8) as drawing:
        axes = drawing.axes
        for groups, colour, what, shift in ((recorded, RECORDED, "recorded", -0.12), (found, HERE, "here", 0.12)):
            if groups is not None:
                for number, group in enumerate(groups):
                    place = number + (shift if recorded is not None else 0.0)
                    label_once = what if number == 0 else None
                    width = group.half_width or 0.0
                    axes.errorbar(
                        place, group.value, yerr=width, fmt="o", color=colour, markersize=5, capsize=3, label=label_once
                    )
        axes.set_xticks(range(len(found)), [group.label for group in found], fontsize=9)
        axes.set_xlim(-0.5, len(found) - 0.5)
        axes.set_ylim(bottom=0.0)
        axes.set_xlabel(label)
        axes.set_ylabel(metric)
        axes.legend(fontsize=9)
    return drawing.svg


def draw_agreement(name: str, agreement: Agreement) -> str:
    """Return the interval of a difference between its margins, with every run's distance from the recorded mean."""
    mean = sum(run.value for run in agreement.references) / len(agreement.references)
    with draw(name, height=1.9) as drawing:
        axes = drawing.axes
        draw_margin(axes, agreement.margin)
        for runs, colour, place, what in (
            (agreement.references, RECORDED, 2.0, "recorded runs"),
            (agreement.reruns, HERE, 1.0, "retrained runs"),
        ):
            axes.plot([run.value - mean for run in runs], [place] * len(runs), "o", color=colour, alpha=0.8, label=what)
        if agreement.half_width is not None:
            draw_interval(axes, agreement.difference, agreement.half_width, place=0.0, colour=INK)
        axes.set_yticks([2.0, 1.0, 0.0], ["recorded", "retrained", "difference"], fontsize=9)
        axes.set_ylim(-0.7, 2.6)
        axes.set_xlabel("less the mean of the recorded runs")
    return drawing.svg


def draw_margin(axes: "Axes", margin: float | None, *, centre: float = 0.0) -> None:
    """Draw a line at the centre, and the margin as a band around it."""
    axes.axvline(centre, color=FAINT, linewidth=0.8)
    if margin is not None:
        axes.axvspan(centre - margin, centre + margin, color=BAND, alpha=0.35, linewidth=0)


def draw_interval(
    axes: "Axes", value: float, half_width: float | None, *, place: float, colour: str, label: str | None = None
) -> None:
    """Draw a value with its interval, if it has one, on a line of its own."""
    axes.errorbar(
        value,
        place,
        xerr=half_width or 0.0,
        fmt="D",
        color=colour,
        markersize=5,
        elinewidth=2.0,
        capsize=4,
        label=label,
    )


def draw_comparison(name: str, record: Comparison, *, margin: float | None) -> str:
    """Return each recipe's seeds as dots and its mean's interval; the margin is a band around the baseline's mean."""
    with draw(name, height=0.9 + 0.42 * len(record.recipes)) as drawing:
        axes = drawing.axes
        base = record.recipes[0].mean
        draw_margin(axes, margin, centre=base)
        for place, one in enumerate(record.recipes):
            dots = [run.value for run in one.runs]
            axes.plot(dots, [place + 0.18] * len(dots), "o", color=RECORDED, alpha=0.75, markersize=4.5)
            draw_interval(axes, one.mean, one.half_width, place=place - 0.15, colour=HERE)
        labels = [shorten(one.name) for one in record.recipes]
        axes.set_yticks(range(len(labels)), labels, fontsize=9)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xlabel(record.metric)
    return drawing.svg


def draw_differences(name: str, record: Comparison, *, margin: float | None) -> str:
    """Return each recipe's difference to the baseline, with its intervals over seeds and over users."""
    others = [one for one in record.recipes if one.over_seeds is not None]
    with draw(name, height=1.1 + 0.42 * len(others)) as drawing:
        axes = drawing.axes
        draw_margin(axes, margin)
        for place, one in enumerate(others):
            for tested, colour, shift in ((one.over_seeds, HERE, -0.14), (one.over_users, RECORDED, 0.14)):
                if tested is not None:
                    label = {HERE: "over seeds", RECORDED: "over users"}[colour] if place == 0 else None
                    draw_interval(
                        axes, tested.difference, tested.half_width, place=place + shift, colour=colour, label=label
                    )
        axes.set_yticks(range(len(others)), [shorten(one.name) for one in others], fontsize=9)
        axes.set_ylim(len(others) - 0.5, -0.5)
        axes.set_xlabel(f"{record.metric} less the baseline's")
        axes.legend(fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return drawing.svg


def shorten(name: str) -> str:
    """Return a recipe's name as far as a figure has room and letters for it; the table below gives it whole."""
    plain = "".join(character if " " <= character <= "~" else "?" for character in name)
    return plain if len(plain) <= MAX_LABEL_CHARACTERS else f"{plain[: MAX_LABEL_CHARACTERS - 3]}..."
