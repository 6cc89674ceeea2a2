"""What several runs of several recipes say of means and differences over seeds."""

import math

import numpy as np
import pytest
from scipy import stats

from hstu_preserve.studies.over_seeds import summarize

BASE = {0: 0.0415, 1: 0.0437, 2: 0.0420}
LUCKY = {0: 0.04141, 1: 0.04139, 2: 0.04140}
OTHER = {0: 0.0379, 1: 0.0362, 2: 0.0401}


def test_the_interval_of_a_mean_rests_on_the_spread_of_all_recipes() -> None:
    found, spread = summarize({"base": BASE, "lucky": LUCKY, "other": OTHER}, baseline="base")
    groups = [list(runs.values()) for runs in (BASE, LUCKY, OTHER)]
    pooled = math.sqrt(sum(2 * np.var(group, ddof=1) for group in groups) / 6)
    assert spread is not None
    assert spread.value == pytest.approx(pooled, abs=1e-15)
    assert spread.degrees == 6
    expected = stats.t.ppf(0.975, 6) * pooled / math.sqrt(3)
    assert [one.half_width for one in found.values()] == pytest.approx([expected] * 3, abs=1e-12)
    own = stats.t.ppf(0.975, 2) * np.std(groups[1], ddof=1) / math.sqrt(3)
    assert own < 0.0001 < expected  # three runs that agree by luck


def test_other_seeds_are_compared_as_two_groups() -> None:
    found, _ = summarize({"base": BASE, "other": {3: 0.0379, 4: 0.0362, 5: 0.0401}}, baseline="base")
    difference = found["other"].difference
    assert difference is not None
    assert not difference.is_paired
    expected = stats.ttest_ind(list(OTHER.values()), list(BASE.values())).pvalue
    assert difference.estimate.p_value == pytest.approx(expected, abs=1e-12)
    assert difference.detectable is not None


def test_a_recipe_with_one_run_has_no_interval_and_one_of_several_has() -> None:
    found, spread = summarize({"base": BASE, "single": {0: 0.04}}, baseline="base")
    assert spread is not None
    assert found["single"].half_width is None
    assert found["single"].spread is None
    assert found["base"].half_width is not None


def test_single_runs_have_neither_spread_nor_test() -> None:
    found, spread = summarize({"base": {0: 0.04}, "other": {0: 0.05}}, baseline="base")
    difference = found["other"].difference
    assert difference is not None
    assert spread is None
    assert difference.estimate.difference == pytest.approx(0.01)
    assert (difference.estimate.half_width, difference.estimate.p_value, difference.detectable) == (None, None, None)


def test_a_recipe_that_scatters_more_than_the_others_is_not_pooled_with_them() -> None:
    collapsing = {0: 0.0428, 1: 0.0392, 2: 0.0190}
    calm = {f"calm {shift}": {seed: value + shift / 100 for seed, value in BASE.items()} for shift in range(4)}
    found, spread = summarize({"base": BASE, **calm, "collapsing": collapsing}, baseline="base")
    _, without = summarize({"base": BASE, **calm}, baseline="base")
    assert [name for name, one in found.items() if one.scatters_more] == ["collapsing"]
    assert spread == without
    own = stats.t.ppf(0.975, 2) * np.std(list(collapsing.values()), ddof=1) / math.sqrt(3)
    assert found["collapsing"].half_width == pytest.approx(own, abs=1e-12)


def test_the_detectable_difference_is_that_of_the_shared_spread_of_pairs() -> None:
    found, _ = summarize({"base": BASE, "lucky": LUCKY, "other": OTHER}, baseline="base")
    detectable = {one.difference.detectable for one in found.values() if one.difference}
    assert len(detectable) == 1  # a lucky recipe finds no more than another one
