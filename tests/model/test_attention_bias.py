"""HSTU's attention: its bias by position and by time, the keys it sees, what it is divided by, and how it fades."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hstu_preserve.model.hstu import HstuEncoder, HstuLayer, RelativeBias, bucket_time_gaps, normalize
from hstu_preserve.model.jagged import PLAIN_OPERATORS, JaggedOperators
from hstu_preserve.model.time_buckets import NUM_TIME_BUCKETS
from hstu_preserve.model.time_decay import TimeDecay
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.settings.components import TimeDecaySettings
from hstu_preserve.records.settings.encoders import HstuSettings
from tests.factories import COMPONENTS, make_recipe
from tests.model.tiny_models import OPERATORS

DAY_SECONDS = 86_400
NOW_SECONDS = 1_700_000_000
NORMALIZATIONS = ("padded_length", "real_length")
WIDTH = 8
LENGTHS = (6, 3, 1, 4)
PADDED = 9


@pytest.mark.parametrize("start", [0, NOW_SECONDS])
@pytest.mark.parametrize(
    ("gap", "bucket"),
    [(0, 0), (1, 0), (2, 2), (3, 3), (60, 13), (3600, 27), (DAY_SECONDS, 37), (365 * DAY_SECONDS, 57), (2**62, 128)],
)
def test_a_gap_falls_into_the_bucket_of_its_logarithm(start: int, gap: int, bucket: int) -> None:
    time_BN = torch.tensor([[start, start + gap], [start + gap, start]])
    assert bucket_time_gaps(time_BN)[:, 0, 0].tolist() == [bucket, bucket]


def test_the_gap_to_padding_is_the_age_of_the_epoch() -> None:
    assert bucket_time_gaps(torch.tensor([[NOW_SECONDS, 0]]))[0, 0, 0] == 70


@given(st.lists(st.integers(0, 2 * NOW_SECONDS), min_size=1, max_size=6))
def test_buckets_are_of_the_next_events_time(times: list[int]) -> None:
    bucket_NM = bucket_time_gaps(torch.tensor([times]))[0]
    following = [*times[1:], times[-1]]
    for n, later in enumerate(following):
        for m, earlier in enumerate(times):
            exact = math.log(max(1, abs(later - earlier))) / 0.301
            assert 0 <= bucket_NM[n, m] <= NUM_TIME_BUCKETS
            assert exact - 1 - 1e-4 <= bucket_NM[n, m] <= exact + 1e-4


def test_the_bias_is_the_weight_of_the_distance_plus_the_weight_of_the_bucket() -> None:
    length = 5
    bias = RelativeBias(length)
    torch.nn.init.normal_(bias.position_weight)
    torch.nn.init.normal_(bias.time_weight)
    bucket_BNM = torch.randint(0, NUM_TIME_BUCKETS + 1, (2, length, length), generator=torch.Generator().manual_seed(1))
    found = bias(bucket_BNM)
    for b in range(2):
        for n in range(length):
            for m in range(length):
                expected = bias.position_weight[length - 1 - (n - m)] + bias.time_weight[bucket_BNM[b, n, m]]
                assert found[b, n, m] == expected


def make_encoder(
    *,
    decay: dict[str, Json] | None = None,
    padded_length: int = PADDED,
    operators: JaggedOperators = PLAIN_OPERATORS,
    **model: Json,
) -> HstuEncoder:
    """Return an encoder of two layers with two heads and random weights, rates of decay between 0 and 1."""
    settings = make_recipe(model={"num_heads": 2, "dqk": 3, "dv": 4, **model}).model
    assert isinstance(settings, HstuSettings)
    fading = TimeDecaySettings.model_validate(COMPONENTS["time_decay"] | decay) if decay is not None else None
    encoder = HstuEncoder(
        settings,
        padded_length=padded_length,
        operators=operators,
        decay=TimeDecay(fading, heads=2, layers=settings.num_blocks) if fading else None,
    ).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in sorted(encoder.named_parameters(), key=lambda named: "decay" in named[0]):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
            if "decay" in name:
                parameter.abs_()
    return encoder


def make_inputs(padded_length: int = PADDED) -> tuple[Tensor, Tensor, Tensor]:
    """Return x_BND, length_B, time_BN as a recommender makes them: the target's time known, zeros where padded."""
    generator = torch.Generator().manual_seed(1)
    length_B = torch.tensor(LENGTHS)
    x_BND = torch.randn(len(LENGTHS), PADDED, WIDTH, generator=generator)
    gap_BN = torch.randint(0, 40 * DAY_SECONDS, (len(LENGTHS), PADDED), generator=generator)
    position_N = torch.arange(PADDED)
    time_BN = (NOW_SECONDS + gap_BN.cumsum(1)) * (position_N <= length_B[:, None])
    x_BND = x_BND * (position_N < length_B[:, None])[..., None]
    more = padded_length - PADDED
    return F.pad(x_BND, (0, 0, 0, more)), length_B, F.pad(time_BN, (0, more))


def draw_visible(share: float) -> Tensor:
    """Return visible_BNM, in which a query sees itself and the given share of the other keys."""
    shape = (len(LENGTHS), PADDED, PADDED)
    return (torch.rand(shape, generator=torch.Generator().manual_seed(2)) < share) | torch.eye(PADDED, dtype=torch.bool)


def encode_one_event_at_a_time(
    encoder: HstuEncoder, x_ND: Tensor, *, times: list[int], visible_NM: Tensor | None
) -> Tensor:
    """Return what the encoder makes of one user's events, by the formulas, in double precision."""
    bucket_NM = bucket_time_gaps(torch.tensor([times]))[0]
    x_ND = x_ND.double()
    for depth, layer in enumerate(encoder.layers):
        assert isinstance(layer, HstuLayer)
        uvqk: Tensor = F.silu(normalize(x_ND) @ layer.uvqk.double())
        u, v, q, k = torch.split(uvqk, layer.split_sizes, dim=-1)
        rows = []
        for n in range(len(x_ND)):
            keys = [m for m in range(n + 1) if visible_NM is None or visible_NM[n, m]]
            divisor = encoder.padded_length if encoder.normalization == "padded_length" else len(keys)
            heads = []
            for h in range(2):
                total = torch.zeros(4, dtype=torch.float64)
                for m in keys:
                    bias = layer.bias.position_weight[encoder.padded_length - 1 - (n - m)].double()
                    bias = bias + layer.bias.time_weight[bucket_NM[n, m]].double()
                    score = q[n, 3 * h : 3 * h + 3] @ k[m, 3 * h : 3 * h + 3] + bias
                    fading = fade_exactly(encoder.decay, times[n + 1] - times[m], depth=depth, head=h)
                    total = total + F.silu(score) / divisor * fading * v[m, 4 * h : 4 * h + 4]
                heads.append(total)
            rows.append(torch.cat(heads))
        gated = u * normalize(torch.stack(rows))
        x_ND = gated @ layer.output.weight.double().T + layer.output.bias.double() + x_ND
    return x_ND


def fade_exactly(decay: TimeDecay | None, gap: int, *, depth: int, head: int) -> float:
    """Return the factor of one key in the mode `power`."""
    if decay is None:
        return 1.0
    rate = decay.settings.rate
    if decay.rate is not None:
        rate = decay.rate[depth if decay.settings.per_layer else 0, head].item()
    return float((1 + max(0, gap) / decay.settings.tau_seconds) ** -rate)


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("share", [None, 0.5])
@pytest.mark.parametrize("decay", [None, {}, {"per_layer": True}, {"learnable": False}])
def test_the_encoder_computes_its_formulas(
    decay: dict[str, Json] | None, share: float | None, normalization: str, operators: JaggedOperators
) -> None:
    encoder = make_encoder(decay=decay, attention_normalization=normalization, operators=operators)
    x_BND, length_B, time_BN = make_inputs()
    visible_BNM = None if share is None else draw_visible(share)
    encoded_BND = encoder(x_BND, length_B, time_BN, visible_BNM)
    for user, length in enumerate(LENGTHS):
        expected = encode_one_event_at_a_time(
            encoder,
            x_BND[user, :length],
            times=time_BN[user, : length + 1].tolist(),
            visible_NM=None if visible_BNM is None else visible_BNM[user],
        )
        torch.testing.assert_close(encoded_BND[user, :length].double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_seeing_everything_is_seeing_by_causality_exactly(normalization: str) -> None:
    encoder = make_encoder(attention_normalization=normalization)
    inputs = make_inputs()
    everything = torch.ones(len(LENGTHS), PADDED, PADDED, dtype=torch.bool)
    assert torch.equal(encoder(*inputs, everything), encoder(*inputs))
    assert not torch.equal(encoder(*inputs, draw_visible(0.5)), encoder(*inputs))


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_hidden_key_changes_nothing(normalization: str) -> None:
    encoder = make_encoder(attention_normalization=normalization, num_blocks=1)
    x_BND, length_B, time_BN = make_inputs()
    visible_BNM = torch.ones(len(LENGTHS), PADDED, PADDED, dtype=torch.bool)
    visible_BNM[:, 4:, 2] = False
    other_BND = x_BND.clone()
    other_BND[0, 2] *= -1
    change_N = (encoder(other_BND, length_B, time_BN, visible_BNM) - encoder(x_BND, length_B, time_BN, visible_BNM))[0]
    moved = change_N.abs().amax(-1) > 1e-6
    assert moved[: LENGTHS[0]].tolist() == [False, False, True, True, False, False]


def test_a_query_that_sees_no_key_has_finite_outputs_and_gradients() -> None:
    encoder = make_encoder(attention_normalization="real_length", decay={})
    nothing = torch.zeros(len(LENGTHS), PADDED, PADDED, dtype=torch.bool)
    encoded_BND = encoder(*make_inputs(), nothing)
    gradients = torch.autograd.grad(encoded_BND.pow(2).sum(), list(encoder.parameters()), allow_unused=True)
    assert torch.isfinite(encoded_BND).all()
    assert all(torch.isfinite(gradient).all() for gradient in gradients if gradient is not None)


@pytest.mark.parametrize(("normalization", "is_kept"), [("real_length", True), ("padded_length", False)])
def test_with_the_real_length_more_padding_changes_nothing(normalization: str, is_kept: bool) -> None:
    more = 5
    long = make_encoder(attention_normalization=normalization, padded_length=PADDED + more)
    short = make_encoder(attention_normalization=normalization)
    weights = {
        name: weight[more:-more] if name.endswith("position_weight") else weight
        for name, weight in long.state_dict().items()
    }
    short.load_state_dict(weights)
    found, expected = short(*make_inputs()), long(*make_inputs(PADDED + more))[:, :PADDED]
    assert torch.allclose(found, expected, atol=1e-5, rtol=0) == is_kept


def test_attention_is_divided_by_the_padded_length_or_by_the_keys_up_to_the_query() -> None:
    padded, real = (make_encoder(attention_normalization=normalization) for normalization in NORMALIZATIONS)
    visible = padded.causal_NM
    divisor_N1 = real.find_divisor(visible)
    assert padded.find_divisor(visible) == PADDED
    assert isinstance(divisor_N1, Tensor)
    assert divisor_N1.flatten().tolist() == list(range(1, PADDED + 1))
