"""The interval is scipy's, its power is what the simulation of the design gave, and rounding decides nothing."""

import numpy as np
import pytest
from scipy import stats

from hstu_preserve.verdict.statistics import (
    LEVEL,
    Interval,
    Place,
    Spread,
    choose_looks,
    compare,
    pool,
    power,
)

SIMULATED = [
    *((1, 5, 5, 6.8), (2, 3, 1, 13), (2, 3, 3, 38), (2, 5, 5, 78), (3, 1, 5, 50), (3, 3, 1, 33), (3, 5, 1, 51)),
    *((3, 3, 3, 82), (3, 5, 5, 99), (4, 3, 1, 56), (4, 5, 1, 82), (4, 3, 3, 98), (6, 1, 3, 88), (6, 3, 1, 88)),
]
"""Margin in spreads, re-runs, references, and the percentage that came out inside without any difference, of 100,000
draws each: the table of the verdict's design."""


@pytest.mark.parametrize("seed", range(20))
def test_the_interval_is_that_of_students_t(seed: int) -> None:
    draw = np.random.default_rng(seed)
    reruns, references = draw.normal(0.19, 0.001, 1 + seed % 5), draw.normal(0.19, 0.001, 2 + seed % 4)
    found = compare(list(reruns), list(references), declared=None)
    assert found is not None
    expected = stats.ttest_ind(reruns, references).confidence_interval(0.9)
    assert found.difference - found.half_width == pytest.approx(expected.low, abs=1e-12)
    assert found.difference + found.half_width == pytest.approx(expected.high, abs=1e-12)
    assert found.spread.degrees == len(reruns) + len(references) - 2


def test_without_a_second_run_or_a_declared_spread_there_is_no_interval() -> None:
    assert compare([0.1], [0.2], declared=None) is None
    declared = Spread(value=0.00071, degrees=4)
    found = compare([0.1931], [0.1948], declared=declared)
    assert found is not None
    assert found.spread == declared
    assert found.half_width == pytest.approx(stats.t.ppf(0.95, 4) * 0.00071 * 2**0.5)


def test_a_declared_spread_counts_by_its_degrees() -> None:
    found = pool([[1.0, 3.0], [5.0]], declared=Spread(value=2.0, degrees=3))
    assert found is not None
    assert found.value == pytest.approx(((2.0 + 4.0 * 3) / 4) ** 0.5)
    assert found.degrees == 4
    assert pool([[1.0], [5.0]], declared=None) is None


@pytest.mark.parametrize(
    ("margin", "reruns", "references", "percent"),
    SIMULATED,
)
def test_power_is_that_of_the_simulation(margin: float, reruns: int, references: int, percent: float) -> None:
    found = power(margin, num_reruns=reruns, num_references=references, spread=1.0, degrees=reruns + references - 2)
    assert 100 * found == pytest.approx(percent, abs=1.0)


def test_power_knows_its_limits() -> None:
    assert power(0.1, num_reruns=1, num_references=1, spread=0.0, degrees=1) == 1.0
    assert power(1e-9, num_reruns=3, num_references=3, spread=1.0, degrees=4) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("difference", "half_width", "margin", "place"),
    [
        (0.0, 0.001, 0.002, Place.INSIDE),
        (0.520 - 0.518, 0.0, 0.002, Place.INSIDE),  # 0.0020000000000000018
        (-0.0015, 0.001, 0.002, Place.ACROSS),
        (-0.004, 0.001, 0.002, Place.OUTSIDE),
        (0.003, 0.001, 0.002, Place.ACROSS),  # its end is the margin: not beyond it
        (0.0, 0.003, 0.002, Place.ACROSS),
    ],
)
def test_an_interval_has_one_of_three_places(difference: float, half_width: float, margin: float, place: Place) -> None:
    interval = Interval(difference=difference, half_width=half_width, spread=Spread(value=1.0, degrees=1))
    assert interval.place(margin) is place


def test_two_looks_share_the_error() -> None:
    assert choose_looks(3, num_references=5) == {3: LEVEL}
    assert choose_looks(8, num_references=2) == {8: LEVEL}
    assert choose_looks(5, num_references=3) == {3: pytest.approx(0.96), 5: pytest.approx(0.94)}
    assert sum(1 - level for level in choose_looks(4, num_references=3).values()) == pytest.approx(1 - LEVEL)
