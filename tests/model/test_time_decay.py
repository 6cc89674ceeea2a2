"""Weights by age: 1 for what is new, less for what is old, and exactly 1 where nothing decays."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from hstu_preserve.model.hstu import measure_time_gaps
from hstu_preserve.model.time_decay import AgeWeight, TimeDecay, measure_age, project_rates, weigh_positions
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.settings.components import TimeDecaySettings
from tests.factories import COMPONENTS

MODES = ("power", "exp", "exp_power")
DAY_SECONDS = 86_400
NOW_SECONDS = 1_700_000_000
AGES = (0, 1, 59, 3600, DAY_SECONDS, 30 * DAY_SECONDS, 3000 * DAY_SECONDS, NOW_SECONDS)


def make_settings(**changes: Json) -> TimeDecaySettings:
    return TimeDecaySettings.model_validate(COMPONENTS["time_decay"] | changes)


def make_constant(**changes: Json) -> AgeWeight:
    return AgeWeight(make_settings(learnable=False, **changes))


def make_learned(settings: TimeDecaySettings) -> AgeWeight:
    weight = AgeWeight(settings)
    assert weight.rate is not None
    nn.init.constant_(weight.rate, settings.rate)
    return weight


def make_attention_decay(rates: Sequence[Sequence[float]], **changes: Json) -> TimeDecay:
    """Return a learned decay with these rates, a row for each layer that has its own."""
    settings = make_settings(per_layer=len(rates) > 1, **changes)
    decay = TimeDecay(settings, heads=len(rates[0]), layers=max(len(rates), 2))
    assert decay.rate is not None
    with torch.no_grad():
        decay.rate.copy_(torch.tensor(rates))
    return decay


def compute_exactly(age: int, settings: TimeDecaySettings) -> float:
    """Return the weight in double precision, each mode by its published form."""
    scaled = age / settings.tau_seconds
    if settings.mode == "power":
        return float((1 + scaled) ** -settings.rate)
    gamma = math.exp(-settings.rate)
    return float(gamma ** (scaled if settings.mode == "exp" else scaled**settings.beta))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("learnable", [True, False])
def test_a_rate_of_zero_weighs_every_age_exactly_one(mode: str, learnable: bool) -> None:
    settings = make_settings(mode=mode, rate=0.0, learnable=learnable)
    weight = make_learned(settings)(torch.tensor(AGES)) if learnable else AgeWeight(settings)(torch.tensor(AGES))
    assert weight.tolist() == [1.0] * len(AGES)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rate", [1e-6, 0.1, 1.0, 100.0])
def test_what_is_new_weighs_exactly_one(mode: str, rate: float) -> None:
    assert make_constant(mode=mode, rate=rate)(torch.zeros(3, dtype=torch.int64)).tolist() == [1.0] * 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rate", [0.01, 0.1, 2.0])
@pytest.mark.parametrize("tau", [1.0, 86_400.0, 1e7])
def test_weights_are_those_of_double_precision(mode: str, rate: float, tau: float) -> None:
    settings = make_settings(mode=mode, rate=rate, tau_seconds=tau, learnable=False)
    expected = torch.tensor([compute_exactly(age, settings) for age in AGES])
    found = AgeWeight(settings)(torch.tensor(AGES))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=2e-5, atol=1e-29)


@pytest.mark.parametrize("beta", [0.05, 0.3, 1.0, 1.4, 2.0])
@pytest.mark.parametrize("tau", [3600.0, 1e7])
def test_the_exponent_of_exp_power_is_beta(beta: float, tau: float) -> None:
    settings = make_settings(mode="exp_power", beta=beta, rate=0.1, tau_seconds=tau, learnable=False)
    expected = torch.tensor([compute_exactly(age, settings) for age in AGES], dtype=torch.float64)
    found = AgeWeight(settings)(torch.tensor(AGES)).double()
    matters = expected > 1e-20
    assert matters.sum() >= 4
    torch.testing.assert_close(found[matters], expected[matters], rtol=1e-4, atol=0)
    measured = measure_age(torch.tensor(AGES), settings).double()
    by_hand = torch.tensor([(age / tau) ** beta for age in AGES], dtype=torch.float64)
    torch.testing.assert_close(measured, by_hand, rtol=1e-5, atol=0)


@given(
    st.sampled_from(MODES),
    st.floats(0.0, 50.0),
    st.floats(1.0, 1e8),
    st.floats(0.1, 2.0),
    st.lists(st.integers(0, 2 * NOW_SECONDS), min_size=2, max_size=8),
)
def test_weights_are_positive_at_most_one_and_never_grow_with_age(
    mode: str, rate: float, tau: float, beta: float, ages: list[int]
) -> None:
    weight = make_constant(mode=mode, rate=rate, tau_seconds=tau, beta=beta)(torch.tensor(sorted(ages)))
    assert (weight > 0).all()
    assert (weight <= 1).all()
    assert (weight.diff() <= 0).all()


@pytest.mark.parametrize("mode", MODES)
def test_older_weighs_less(mode: str) -> None:
    weight = make_constant(mode=mode, rate=0.01)(torch.tensor(AGES[3:7]))
    assert (weight.diff() < 0).all()


def test_ages_of_epochs_ago_can_be_divided_by_their_sum() -> None:
    weight = make_constant(mode="exp", rate=10.0)(torch.tensor([NOW_SECONDS, NOW_SECONDS]))
    assert (weight / weight.sum()).tolist() == [0.5, 0.5]


def test_ages_keep_their_shape() -> None:
    age = torch.randint(0, 10**6, (2, 3, 4))
    assert make_constant()(age).shape == age.shape
    assert make_learned(make_settings())(age).shape == age.shape


@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_of_the_rate_is_minus_the_measured_age_times_the_weight(mode: str) -> None:
    settings = make_settings(mode=mode)
    for age in AGES:
        weight = make_learned(settings)
        assert weight.rate is not None
        (gradient,) = torch.autograd.grad(weight(torch.tensor([age])).sum(), [weight.rate])
        step = 1e-7
        ends = [
            compute_exactly(age, settings.model_copy(update={"rate": settings.rate + sign * step})) for sign in (1, -1)
        ]
        assert gradient.item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_of_the_rate_is_finite_at_rate_zero_and_age_zero(mode: str) -> None:
    weight = make_learned(make_settings(mode=mode, rate=0.0))
    assert weight.rate is not None
    new, old = (torch.autograd.grad(weight(torch.tensor([age])).sum(), [weight.rate])[0] for age in (0, NOW_SECONDS))
    assert new.item() == 0
    assert math.isfinite(old.item())
    assert old.item() < 0


def test_rate_zero_is_reached_and_left() -> None:
    weight = make_learned(make_settings(rate=0.01))
    assert weight.rate is not None
    optimizer = torch.optim.SGD(weight.parameters(), lr=0.1)
    rates = []
    for sign in (-1, -1, 1):  # twice towards less decay, then towards more
        optimizer.zero_grad()
        (sign * weight(torch.tensor([DAY_SECONDS])).sum()).backward()
        optimizer.step()
        project_rates(weight)
        rates.append(weight.rate.item())
    assert rates[:2] == [0.0, 0.0]
    assert rates[2] > 0


def test_projection_changes_negative_rates_only() -> None:
    learned, attention = make_learned(make_settings(rate=0.5)), make_attention_decay([[-1.0, 2.0], [0.25, -3.0]])
    other = nn.Linear(3, 3)
    nn.init.constant_(other.weight, -1.0)
    module = nn.ModuleList([nn.Sequential(learned), attention, other, make_constant()])
    project_rates(module)
    assert learned.rate is not None
    assert attention.rate is not None
    assert learned.rate.item() == 0.5
    assert attention.rate.tolist() == [[0.0, 2.0], [0.25, 0.0]]
    assert (other.weight == -1).all()


def test_a_rate_that_is_not_learned_is_neither_a_parameter_nor_rounded_with_the_model() -> None:
    age = torch.tensor(AGES)
    constant = make_constant(rate=0.1)
    assert not list(constant.parameters())
    assert not constant.state_dict()
    assert torch.equal(constant.to(torch.bfloat16)(age), make_constant(rate=0.1)(age))


def gaps(*times: int) -> Tensor:
    return measure_time_gaps(torch.tensor([times]))


def test_attention_decays_by_the_time_from_a_key_to_the_next_event() -> None:
    settings = make_settings(mode="exp", learnable=False)
    times = [NOW_SECONDS + day * DAY_SECONDS for day in (0, 1, 5)]
    (decay_BHNM,) = TimeDecay(settings, heads=3, layers=2)(gaps(*times))
    assert decay_BHNM.shape == (1, 1, 3, 3)
    expected = [[math.exp(-0.1 * max(0, after - key)) for key in (0, 1, 5)] for after in (1, 5, 5)]
    torch.testing.assert_close(decay_BHNM[0, 0], torch.tensor(expected), rtol=1e-6, atol=0)


def test_a_second_counts_on_todays_clock() -> None:
    (decay_BHNM,) = make_attention_decay([[1.0]], mode="exp", tau_seconds=1.0)(gaps(NOW_SECONDS, NOW_SECONDS + 1))
    assert decay_BHNM[0, 0, 0, 0].item() == pytest.approx(math.exp(-1))


@pytest.mark.parametrize("mode", MODES)
def test_the_future_is_as_new_as_can_be(mode: str) -> None:
    (decay_BHNM,) = make_attention_decay([[1.0]], mode=mode)(gaps(NOW_SECONDS, 0))
    assert decay_BHNM[0, 0, :, 0].tolist() == [1.0, 1.0]
    assert torch.isfinite(decay_BHNM).all()


def test_each_head_has_a_rate_of_its_own() -> None:
    (decay_BHNM,) = make_attention_decay([[0.0, 0.5]])(gaps(0, 10 * DAY_SECONDS))
    assert (decay_BHNM[0, 0] == 1).all()
    assert decay_BHNM[0, 1, 0, 0].item() == pytest.approx(11**-0.5)


def test_each_layer_has_rates_of_its_own_where_the_recipe_says_so() -> None:
    first, second = make_attention_decay([[0.0, 0.5], [1.0, 0.0]])(gaps(0, 10 * DAY_SECONDS))
    assert [decay[0, :, 0, 0].tolist() for decay in (first, second)] == [
        [1.0, pytest.approx(11**-0.5)],
        [pytest.approx(1 / 11), 1.0],
    ]


def test_layers_share_one_tensor_where_they_share_the_rates() -> None:
    assert len(TimeDecay(make_settings(), heads=2, layers=5)(gaps(0, 1))) == 1
    assert len(TimeDecay(make_settings(learnable=False), heads=2, layers=5)(gaps(0, 1))) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_rate_of_zero_weighs_every_position_exactly_one(mode: str) -> None:
    settings = make_settings(mode=mode, rate=0.0, learnable=False, where="loss")
    assert weigh_positions(torch.tensor(AGES), settings).tolist() == [1.0] * len(AGES)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("age", [0, 17, DAY_SECONDS])
def test_positions_of_one_age_weigh_one(mode: str, age: int) -> None:
    settings = make_settings(mode=mode, learnable=False, where="loss")
    torch.testing.assert_close(weigh_positions(torch.tensor([age] * 7), settings), torch.ones(7))


@pytest.mark.parametrize("mode", MODES)
def test_positions_weigh_by_their_age_with_mean_one(mode: str) -> None:
    settings = make_settings(mode=mode, learnable=False, where="loss")
    weight_T = weigh_positions(torch.tensor(AGES[:6]), settings)
    exact = [compute_exactly(age, settings) for age in AGES[:6]]
    expected_T = torch.tensor([6 * weight / sum(exact) for weight in exact])
    assert weight_T.mean().item() == pytest.approx(1)
    torch.testing.assert_close(weight_T, expected_T, rtol=1e-5, atol=0)
