"""The figures of the recorded benchmark follow from the recorded values of every seed."""

import json

import pytest

from benchmarks.recipes import BASE, METRIC, RESULT, compare_all
from benchmarks.scoreboard import README, list_lines


def test_the_recorded_comparison_is_the_one_that_the_program_computes() -> None:
    content = json.loads(RESULT.read_text())
    found, spread = compare_all(content["recipes"])
    assert spread == pytest.approx(content["spread"], rel=1e-9)
    for name, figures in found.items():
        for figure, value in figures.items():
            if isinstance(value, float):
                assert value == pytest.approx(content["recipes"][name][figure], rel=1e-6), (name, figure)


def test_the_table_of_the_benchmark_is_that_of_the_recorded_figures() -> None:
    recipes = json.loads(RESULT.read_text())["recipes"]
    assert "\n".join(list_lines(recipes, base=BASE)) in README.read_text()


def test_no_mean_of_the_benchmark_is_known_better_than_the_shared_spread_allows() -> None:
    recipes = json.loads(RESULT.read_text())["recipes"]
    assert min(figures["half_width"] for figures in recipes.values()) > 0.003
    assert recipes[BASE]["difference"] is None
    assert len(recipes[BASE][METRIC]) == 3
