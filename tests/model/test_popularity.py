"""Popularity debiasing: counted in training events alone, by its formulas, and nothing where all items are equal."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from hstu_preserve.data.store import Store
from hstu_preserve.inputs.items import describe_items
from hstu_preserve.model.items import Items, items_of_shape
from hstu_preserve.model.negatives import draw_local
from hstu_preserve.model.popularity import Popularity, measure_lift
from hstu_preserve.records.settings.components import (
    InversePropensity,
    LogitAdjustment,
    PopularityDebiasing,
    PopularitySampler,
)
from tests.data.stores_in_memory import synthesize
from tests.factories import make_recipe

COUNTS = (99, 3, 0, 17, 41)
CANDIDATES = (1, 3, 4, 6, 7)
PADDING, NO_CANDIDATES = 0, [0, 2, 5, 8]
SHARES = [(count + 1) / (sum(COUNTS) + len(COUNTS)) for count in COUNTS]

logit_adjustments = st.builds(LogitAdjustment, mode=st.just("logit_adjust"), alpha=st.floats(0, 4))
propensities = st.builds(
    InversePropensity,
    mode=st.just("ips"),
    alpha=st.floats(0, 4),
    clip_min=st.floats(0.01, 1),
    clip_max=st.floats(1, 100),
)
samplers = st.builds(
    PopularitySampler,
    mode=st.just("pop_sampler"),
    mix=st.floats(0, 1),
    power=st.floats(0, 1000),
    correct=st.booleans(),
)


def adjust_by(alpha: float) -> LogitAdjustment:
    return LogitAdjustment(mode="logit_adjust", alpha=alpha)


def weigh_by(alpha: float, *, clip_min: float = 1e-6, clip_max: float = 1e6) -> InversePropensity:
    return InversePropensity(mode="ips", alpha=alpha, clip_min=clip_min, clip_max=clip_max)


def sample_by(mix: float, *, power: float = 1.0, correct: bool = True) -> PopularitySampler:
    return PopularitySampler(mode="pop_sampler", mix=mix, power=power, correct=correct)


def make_items(counts: tuple[int, ...] = COUNTS, candidates: tuple[int, ...] = CANDIDATES) -> Items:
    """Return items of which only counts are known; ids that are no candidates have some, too."""
    items = items_of_shape(max_item_id=max(candidates) + 1, num_genres=1)
    candidate_I = torch.tensor(candidates)
    count_J = torch.full_like(items.count_J, 1000).index_copy(0, candidate_I, torch.tensor(counts))
    return replace(items, candidate_I=candidate_I, count_J=count_J)


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def known(value_J: Tensor | None) -> Tensor:
    assert value_J is not None
    return value_J


@pytest.mark.parametrize("power", [0.0, 1.0, 8.0, 200.0, 1e4, 2.0**52])
def test_a_correction_without_a_uniform_part_is_finite_and_the_logarithm_of_the_share(power: float) -> None:
    adjustment_J = known(Popularity(sample_by(1.0, power=power), make_items()).adjustment_J)
    assert torch.isfinite(adjustment_J).all()
    top = max(SHARES)
    log_powered = [power * math.log(share / top) for share in SHARES]
    log_mean = math.log(sum(map(math.exp, log_powered)) / len(SHARES))
    wanted = torch.tensor([log_mean - value for value in log_powered], dtype=torch.float64)
    assert torch.allclose(adjustment_J[list(CANDIDATES)].double(), wanted, rtol=1e-6, atol=1e-6)


def test_a_share_counts_one_more_event_per_candidate_and_the_shares_sum_to_one() -> None:
    lift_I = measure_lift(make_items())
    assert (lift_I / 5).tolist() == pytest.approx(SHARES, rel=1e-12)
    assert (lift_I / 5).sum().item() == pytest.approx(1, rel=1e-12)


@given(
    st.integers(0, 10**7), st.integers(1, 60), st.one_of(logit_adjustments, propensities, samplers), st.integers(1, 50)
)
def test_uniform_popularity_adjusts_by_exactly_zero_and_weighs_exactly_one(
    count: int, num_candidates: int, settings: PopularityDebiasing, positions: int
) -> None:
    candidates = tuple(range(1, num_candidates + 1))
    popularity = Popularity(settings, make_items((count,) * num_candidates, candidates))
    if popularity.adjustment_J is not None:
        assert popularity.adjustment_J.dtype == torch.float32
        assert (popularity.adjustment_J == 0).all()
    weight_T = popularity.weigh(torch.randint(1, num_candidates + 1, (positions,), generator=seeded(count)))
    assert weight_T is None or (weight_T == 1).all()
    if popularity.probability_I is not None:
        assert (popularity.probability_I == 1 / num_candidates).all()


def test_an_exponent_of_zero_adjusts_by_zero_and_weighs_one() -> None:
    assert (known(Popularity(adjust_by(0.0), make_items()).adjustment_J) == 0).all()
    assert (known(Popularity(weigh_by(0.0), make_items()).weigh(torch.tensor(CANDIDATES))) == 1).all()
    assert (known(Popularity(sample_by(0.7, power=0.0), make_items()).adjustment_J) == 0).all()


@given(st.floats(0, 4))
def test_a_logit_is_adjusted_by_alpha_times_the_log_of_the_lift(alpha: float) -> None:
    adjustment_J = known(Popularity(adjust_by(alpha), make_items()).adjustment_J)
    expected = [alpha * (math.log(share) - math.log(1 / 5)) for share in SHARES]
    assert adjustment_J[list(CANDIDATES)].tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert adjustment_J[NO_CANDIDATES].tolist() == [0.0] * 4


@given(st.lists(st.sampled_from(range(5)), min_size=1, max_size=20), st.floats(0, 2))
def test_a_target_is_weighted_by_its_clipped_inverse_propensity_with_mean_one(places: list[int], alpha: float) -> None:
    popularity = Popularity(weigh_by(alpha, clip_min=0.5, clip_max=3.0), make_items())
    found = known(popularity.weigh(torch.tensor([CANDIDATES[place] for place in places])))
    weights = [min(max((1 / 5 / SHARES[place]) ** alpha, 0.5), 3.0) for place in places]
    mean = sum(weights) / len(weights)
    assert found.tolist() == pytest.approx([weight / mean for weight in weights], rel=1e-5)
    assert found.mean().item() == pytest.approx(1, rel=1e-5)


@given(st.floats(0, 1), st.floats(0, 4))
def test_the_sampler_mixes_uniform_and_popular_and_the_logits_lose_its_log(mix: float, power: float) -> None:
    popularity = Popularity(sample_by(mix, power=power), make_items())
    total = sum(share**power for share in SHARES)
    expected = [(1 - mix) / 5 + mix * share**power / total for share in SHARES]
    if popularity.probability_I is None:
        assert mix == 0
    else:
        assert popularity.probability_I.tolist() == pytest.approx(expected, rel=1e-9)
    logs = [-(math.log(one) - math.log(1 / 5)) for one in expected]
    assert known(popularity.adjustment_J)[list(CANDIDATES)].tolist() == pytest.approx(logs, rel=1e-5, abs=1e-6)


def test_even_an_extreme_power_leaves_probabilities_and_finite_adjustments() -> None:
    popularity = Popularity(sample_by(0.5, power=1e4), make_items())
    assert known(popularity.probability_I).tolist() == pytest.approx([0.6, 0.1, 0.1, 0.1, 0.1])
    assert known(popularity.adjustment_J).isfinite().all()


def test_each_mode_does_one_thing() -> None:
    items = make_items()
    adjusted, weighted, sampled = (Popularity(s, items) for s in (adjust_by(0.1), weigh_by(0.5), sample_by(0.5)))
    uncorrected = Popularity(sample_by(0.5, correct=False), items)
    target = torch.tensor([1])
    assert [one.adjustment_J is None for one in (adjusted, weighted, sampled, uncorrected)] == [0, 1, 0, 1]
    assert [one.weigh(target) is None for one in (adjusted, weighted, sampled, uncorrected)] == [1, 0, 1, 1]
    assert [one.probability_I is None for one in (adjusted, weighted, sampled, uncorrected)] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    "settings", [adjust_by(0.1), weigh_by(0.5), sample_by(0.0)], ids=["logit_adjust", "ips", "unmixed sampler"]
)
def test_without_a_mixed_sampler_the_draw_is_the_uniform_one_bit_for_bit(settings: PopularityDebiasing) -> None:
    items = make_items()
    ours, base = seeded(1), seeded(1)
    found = Popularity(settings, items).draw(items.candidate_I, positions=6, num_negatives=4, generator=ours)
    expected = draw_local(items.candidate_I, positions=6, num_negatives=4, generator=base)
    assert torch.equal(found, expected)
    assert torch.equal(ours.get_state(), base.get_state())


def test_a_mixed_sampler_draws_with_its_probabilities() -> None:
    items = make_items()
    popularity = Popularity(sample_by(0.5), items)
    found = popularity.draw(items.candidate_I, positions=1000, num_negatives=50, generator=seeded(1))
    probability_I = known(popularity.probability_I)
    expected = dict(zip(CANDIDATES, (probability_I * 50_000).tolist(), strict=True))
    assert Counter(found.flatten().tolist()) == pytest.approx(expected, rel=0.05)


def test_corrected_logits_of_the_drawn_estimate_the_sum_over_all_candidates() -> None:
    items = make_items()
    popularity = Popularity(sample_by(0.8), items)
    score_J = torch.randn(items.max_item_id + 1, generator=seeded(3), dtype=torch.float64)
    drawn = popularity.draw(items.candidate_I, positions=400, num_negatives=500, generator=seeded(4)).flatten()
    corrected = (score_J + known(popularity.adjustment_J))[drawn].exp().mean() * len(CANDIDATES)
    uncorrected = score_J[drawn].exp().mean() * len(CANDIDATES)
    total = score_J[list(CANDIDATES)].exp().sum()
    assert (corrected / total).item() == pytest.approx(1, abs=0.01)
    assert (uncorrected / total).item() != pytest.approx(1, abs=0.05)


def test_a_model_in_bfloat16_draws_with_unrounded_probabilities_and_a_checkpoint_holds_none() -> None:
    popularity = Popularity(sample_by(0.5), make_items())
    before = known(popularity.probability_I).clone()
    assert torch.equal(known(popularity.to(torch.bfloat16).probability_I), before)
    assert before.dtype == torch.float64
    assert not popularity.state_dict()


def load_store() -> Store:
    return synthesize(seed=7, num_users=40, num_items=60, num_ratings=600)


def rewrite_event(store: Store, *, back: int) -> Store:
    """Return the store with the first candidate as the `back`-th last event of every user."""
    item_ids = store.item_ids.copy()
    item_ids[np.asarray(store.offsets[1:]) - back] = store.candidate_ids[0]
    return replace(store, item_ids=item_ids)


@pytest.mark.parametrize(("protocol", "held_out"), [("upstream", 1), ("validated", 2)])
def test_popularity_is_counted_without_what_the_protocol_holds_out(protocol: str, held_out: int) -> None:
    recipe = make_recipe(dataset={"protocol": protocol})
    lift_I = measure_lift(describe_items(load_store(), recipe))
    for back in range(1, held_out + 2):
        rewritten = measure_lift(describe_items(rewrite_event(load_store(), back=back), recipe))
        assert torch.equal(rewritten, lift_I) is (back <= held_out)
