"""How often each verdict on retrainings with other seeds is given, when it is known what is true.

Usage: python -m benchmarks.verdict_operating_characteristics [--draws 200000]

Runs are drawn from four distributions of one standard deviation σ: normal, Student's t with 4 degrees, skewed (a gamma
with shape 2), and normal runs of which 3 % collapse by 20 σ. Re-runs are shifted by nothing, half the margin, the
margin or twice the margin, up in one half of the draws and down in the other. Each draw is judged by the rule of
`verdict/statistics.py`; the table says in how many percent of the draws it says REPRODUCED and NOT_REPRODUCED. The
design's limits are held against it, and every one that is not kept is named. Runs that are skewed or collapse are not
symmetrical: the worse of the two directions is recorded beside the mean.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.machine import today
from hstu_preserve.verdict.slack import SLACK
from hstu_preserve.verdict.statistics import LEVEL, Place, choose_looks, compare, quantile, standard_error

RESULT = Path(__file__).with_name("results") / "verdict_operating_characteristics.json"
SEED = 20261127
SHAPES = ("normal", "t4", "skewed", "collapsing")
NUMBERS = (1, 2, 3, 5, 8)
"""Of re-runs and of recorded runs; pairs of fewer than four runs are left out."""
MARGINS = (1.0, 2.0, 3.0, 4.0, 6.0)
SHIFTS = {"no difference": 0.0, "half the margin": 0.5, "the margin": 1.0, "twice the margin": 2.0}
COLLAPSING, COLLAPSE = 0.03, 20.0
CHECKED = 50
"""Draws of each pair that are also judged by `compare` itself."""

Draws = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One line of the table, shares in percent."""

    shape: str
    reruns: int
    references: int
    looks: int
    margin: float
    shift: str
    reproduced: float
    not_reproduced: float
    reproduced_in_the_worse_direction: float
    not_reproduced_in_the_worse_direction: float


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What the design asks of a share.

    Attributes:
        shift: Where it is asked.
        answer: Of which answer.
        percent: At most.
        margins: From which margin on, in spreads, up to which.
        shapes: Of which distributions.
        least_runs: On either side.
    """

    shift: str
    answer: str
    percent: float
    margins: tuple[float, float]
    shapes: tuple[str, ...]
    least_runs: int = 1


NORMAL, OTHERS = ("normal",), ("t4", "skewed", "collapsing")
LIMITS = (
    Limit(shift="the margin", answer="reproduced", percent=5.2, margins=(1.0, 6.0), shapes=SHAPES, least_runs=3),
    Limit(shift="the margin", answer="not_reproduced", percent=5.2, margins=(1.0, 6.0), shapes=SHAPES, least_runs=3),
    Limit(shift="twice the margin", answer="reproduced", percent=0.1, margins=(2.0, 6.0), shapes=SHAPES, least_runs=3),
    Limit(shift="no difference", answer="not_reproduced", percent=0.5, margins=(2.0, 6.0), shapes=SHAPES, least_runs=3),
    Limit(shift="the margin", answer="reproduced", percent=5.2, margins=(1.0, 6.0), shapes=NORMAL),
    Limit(shift="the margin", answer="not_reproduced", percent=5.3, margins=(1.0, 6.0), shapes=NORMAL),
    Limit(shift="twice the margin", answer="reproduced", percent=0.6, margins=(1.0, 1.0), shapes=NORMAL),
    Limit(shift="twice the margin", answer="reproduced", percent=0.15, margins=(2.0, 6.0), shapes=NORMAL),
    Limit(shift="no difference", answer="not_reproduced", percent=0.5, margins=(2.0, 6.0), shapes=NORMAL),
    Limit(shift="the margin", answer="reproduced", percent=6.0, margins=(1.0, 6.0), shapes=OTHERS),
    Limit(shift="twice the margin", answer="reproduced", percent=0.4, margins=(2.0, 6.0), shapes=OTHERS),
    Limit(shift="no difference", answer="not_reproduced", percent=1.0, margins=(2.0, 6.0), shapes=("t4", "skewed")),
)
"""Those of the design from three runs on both sides on, and of normal runs; of other runs as they came out if one side
has one or two: no mean smooths what is skewed there."""


def draw_runs(generator: np.random.Generator, shape: str, size: tuple[int, int]) -> Draws:
    """Return runs of one recipe: mean 0 and standard deviation 1, collapses apart."""
    if shape == "t4":
        return np.asarray(generator.standard_t(4, size) / np.sqrt(2.0))
    if shape == "skewed":
        return np.asarray((generator.gamma(2.0, 1.0, size) - 2.0) / np.sqrt(2.0))
    runs = generator.standard_normal(size)
    if shape == "collapsing":
        runs -= COLLAPSE * (generator.random(size) < COLLAPSING)
    return runs


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """The interval of each draw at one look: centres without any shift, and half-widths."""

    difference: Draws
    half_width: Draws


def find_intervals(reruns: Draws, references: Draws, *, level: float) -> Intervals:
    """Return the intervals of `compare`, all draws at once."""
    n, m = reruns.shape[1], references.shape[1]
    squares = sum(((group - group.mean(1, keepdims=True)) ** 2).sum(1) for group in (reruns, references))
    spread = np.sqrt(squares / (n + m - 2))
    return Intervals(
        difference=reruns.mean(1) - references.mean(1),
        half_width=quantile(n + m - 2, level=level) * spread * standard_error(n, m),
    )


def require_the_rule(reruns: Draws, references: Draws, found: Intervals, *, level: float) -> None:
    """Require that the first draws are judged as the program judges them."""
    for number in range(CHECKED):
        interval = compare(list(reruns[number]), list(references[number]), declared=None, level=level)
        assert interval is not None
        assert abs(interval.difference - found.difference[number]) < 1e-9
        assert abs(interval.half_width - found.half_width[number]) < 1e-9
        assert interval.place(2.0) in set(Place)


def count_answers(looks: list[Intervals], *, margin: float, shift: float) -> tuple[float, float]:
    """Return in how many percent of the draws the first look that decides says REPRODUCED, and NOT_REPRODUCED."""
    is_open = np.ones(len(looks[0].difference), dtype=bool)
    inside = outside = 0
    for look in looks:
        distance = np.abs(look.difference + shift)
        is_inside = is_open & (distance + look.half_width <= margin + SLACK)
        is_outside = is_open & (distance - look.half_width > margin + SLACK)
        inside += int(is_inside.sum())
        outside += int(is_outside.sum())
        is_open &= ~(is_inside | is_outside)
    return 100.0 * inside / len(is_open), 100.0 * outside / len(is_open)


def simulate(shape: str, *, num_reruns: int, num_references: int, num_draws: int) -> Iterator[Cell]:
    """Yield the cells of one pair of numbers: with one look, and with two where the program looks twice."""
    generator = np.random.default_rng([SEED, SHAPES.index(shape), num_reruns, num_references])
    reruns = draw_runs(generator, shape, (num_draws, num_reruns))
    references = draw_runs(generator, shape, (num_draws, num_references))
    plans = [{num_reruns: LEVEL}]
    chosen = choose_looks(num_reruns, num_references=num_references)
    plans += [chosen] if len(chosen) > 1 else []
    for plan in plans:
        looks = []
        for number, level in plan.items():
            looks.append(find_intervals(reruns[:, :number], references, level=level))
            require_the_rule(reruns[:, :number], references, looks[-1], level=level)
        for margin in MARGINS:
            for name, times in SHIFTS.items():
                answers = [count_answers(looks, margin=margin, shift=sign * times * margin) for sign in (-1, 1)]
                reproduced, refuted = zip(*answers, strict=True)
                yield Cell(
                    shape=shape,
                    reruns=num_reruns,
                    references=num_references,
                    looks=len(plan),
                    margin=margin,
                    shift=name,
                    reproduced=round(sum(reproduced) / 2, 2),
                    not_reproduced=round(sum(refuted) / 2, 2),
                    reproduced_in_the_worse_direction=round(max(reproduced), 2),
                    not_reproduced_in_the_worse_direction=round(max(refuted), 2),
                )


def list_broken(cells: list[Cell]) -> list[str]:
    """Return each limit that a cell does not keep."""
    broken = []
    for limit in LIMITS:
        for cell in cells:
            lowest, highest = limit.margins
            is_meant = (
                cell.shift == limit.shift
                and lowest <= cell.margin <= highest
                and cell.shape in limit.shapes
                and min(cell.reruns, cell.references) >= limit.least_runs
            )
            found = getattr(cell, limit.answer)
            if is_meant and found > limit.percent:
                looks = f"{cell.looks} look{'s' if cell.looks > 1 else ''}"
                broken.append(
                    f"{cell.shape}, {cell.reruns} against {cell.references}, {looks}, margin {cell.margin:g} σ, "
                    f"{cell.shift}: {limit.answer} {found:.2f} %, limit {limit.percent:g} %"
                )
    return broken


def describe(cells: list[Cell]) -> str:
    """Return the normal runs' one-look table of the design."""
    lines = [f"{'margin':>7} {'n, m':>6} " + " ".join(f"{name:>18}" for name in SHIFTS)]
    chosen = [cell for cell in cells if (cell.shape, cell.looks) == ("normal", 1)]
    for margin in MARGINS:
        for pair in dict.fromkeys((cell.reruns, cell.references) for cell in chosen):
            row = [cell for cell in chosen if cell.margin == margin and (cell.reruns, cell.references) == pair]
            figures = " ".join(f"{cell.reproduced:>9.1f} / {cell.not_reproduced:>4.1f}  " for cell in row)
            lines.append(f"{margin:>6g}σ {pair[0]:>3}, {pair[1]} {figures}")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Simulate, print and record the table; 1 if a limit is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=200_000)
    options = parser.parse_args(arguments)
    start = time.monotonic()
    cells = [
        cell
        for shape in SHAPES
        for n in NUMBERS
        for m in NUMBERS
        if n + m >= 4
        for cell in simulate(shape, num_reruns=n, num_references=m, num_draws=options.draws)
    ]
    broken = list_broken(cells)
    record = {
        "command": f"python -m benchmarks.verdict_operating_characteristics --draws {options.draws}",
        "measured_on": today(),
        "seconds": round(time.monotonic() - start, 1),
        "draws": options.draws,
        "seed": SEED,
        "limits_not_kept": broken,
        "columns": [field.name for field in fields(Cell)],
        "cells": [list(asdict(cell).values()) for cell in cells],
    }
    print(describe(cells))
    print("\n".join(broken) or "every limit is kept")
    text = json.dumps(record, separators=(",", ":")).replace("],[", "],\n[")
    RESULT.write_text(f"{text}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
