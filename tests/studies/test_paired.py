"""The tests of a study are scipy's, and Holm's correction is what a hand computes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hstu_preserve.studies.paired import (
    LEVEL,
    compare_groups,
    compare_pairs,
    correct_by_holm,
    find_detectable,
)

GENERATOR = np.random.default_rng(7)
SAMPLES = [GENERATOR.normal(0.2, 0.01, size=(2, size)) for size in (2, 3, 5, 40, 943)]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: str(sample.shape[1]))
def test_pairs_give_scipys_ttest_rel(sample: np.ndarray) -> None:
    found = compare_pairs(sample[0], sample[1])
    theirs = stats.ttest_rel(sample[0], sample[1])
    interval = theirs.confidence_interval(LEVEL)
    assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-12, abs=1e-12)
    assert found.half_width is not None
    assert found.difference - found.half_width == pytest.approx(interval.low, abs=1e-12)
    assert found.difference + found.half_width == pytest.approx(interval.high, abs=1e-12)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: str(sample.shape[1]))
def test_groups_give_scipys_ttest_ind(sample: np.ndarray) -> None:
    ours, theirs = sample[0].tolist(), sample[1].tolist()[:-1]
    found, expected = compare_groups(ours, theirs), stats.ttest_ind(ours, theirs)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-12, abs=1e-12)
    assert found.difference == pytest.approx(np.mean(ours) - np.mean(theirs), abs=1e-12)


def test_one_pair_and_pairs_without_any_scatter_have_no_test() -> None:
    assert compare_pairs([0.2], [0.1]).p_value is None
    assert compare_groups([0.2], [0.1]).half_width is None
    shifted = compare_pairs([0.5, 0.75], [0.25, 0.5])
    assert (shifted.difference, shifted.half_width, shifted.p_value) == (0.25, 0.0, None)
    assert compare_pairs([0.5, 0.25], [0.5, 0.25]).p_value == 1.0


def test_holms_correction_is_that_of_a_hand() -> None:
    # Sorted: 0.01 × 4, 0.02 × 3, 0.03 × 2 (not below the one before), 0.5 × 1; what is not tested counts for nothing.
    assert correct_by_holm([0.03, 0.01, None, 0.5, 0.02]) == pytest.approx([0.06, 0.04, None, 0.5, 0.06], abs=1e-15)
    assert correct_by_holm([0.4, 0.9, 0.45]) == [1.0, 1.0, 1.0]
    assert correct_by_holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_a_correction_never_lowers_a_p_value_and_keeps_their_order(p_values: list[float]) -> None:
    corrected = [value for value in correct_by_holm(list(p_values)) if value is not None]
    assert all(p <= one <= 1 for p, one in zip(p_values, corrected, strict=True))
    ordered = [one for _, one in sorted(zip(p_values, corrected, strict=True))]
    assert ordered == sorted(ordered)


@pytest.mark.parametrize("num_pairs", [3, 5, 20])
def test_the_detectable_difference_is_found_four_times_in_five(num_pairs: int) -> None:
    spread = 0.004
    detectable = find_detectable(error=spread / math.sqrt(num_pairs), degrees=num_pairs - 1)
    draws = np.random.default_rng(num_pairs).normal(detectable, spread, size=(40_000, num_pairs))
    found = stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.01)
