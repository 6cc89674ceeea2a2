"""HSTU-TF: HSTU-Tensorflow's numbers, and what its encoder may and may not see."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hstu_preserve.model.embeddings import OUTPUT_NORM_EPS, l2_normalize
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.windowed.hstu_tf import WindowBias, bucket_next_gaps, rotate, share_attention
from hstu_preserve.training.optimizers import ADAM_BETAS, TensorFlowAdam
from tests.model.tf_golden import (
    GROUPS,
    LEARNING_RATE,
    PADDING_FROM,
    Group,
    PaddingFrom,
    TensorFlowGolden,
    TinyModel,
    find_events,
    load_golden,
    make_settings,
    normalize,
)

EXACT = 1e-5
VISIBLE = 1e-3  # a change larger than any rounding
ROUNDING = 1e-6
LENGTH = 8
LENGTHS = (8, 5, 1, 3)
MAX_ITEM_ID = 40
NOW_SECONDS = 1_700_000_000

# Until the first step both meanings of padding are the same; after it the code's is its own.
AS_THE_CODE = [(group, "normalized_query") for group in GROUPS] + [("init", "sequence")]
EVERY_PADDING = pytest.mark.parametrize("padding_from", PADDING_FROM)


@pytest.fixture
def golden() -> TensorFlowGolden:
    return load_golden()


def make_model(
    padding_from: PaddingFrom, *, dropout_rate: float = 0.2, length: int = LENGTH, seed: int = 1
) -> TinyModel:
    """Return a model in evaluation mode, its weights large enough that every one of them shows in the output."""
    settings = make_settings(padding_from, width=6, dropout_rate=dropout_rate)
    model = TinyModel(settings, max_sequence_length=length, max_item_id=MAX_ITEM_ID)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.7)
    return model.eval()


def make_histories(lengths: tuple[int, ...] = LENGTHS, *, positions: int = LENGTH + 3, seed: int = 0) -> Histories:
    """Return random histories with their targets: ascending times, gaps from none to weeks."""
    generator = torch.Generator().manual_seed(seed)
    length_B, shape = torch.tensor(lengths), (len(lengths), positions)
    is_given_BN = torch.arange(positions) <= length_B[:, None]
    gap_BN = torch.randint(0, 10, shape, generator=generator) ** torch.randint(1, 7, shape, generator=generator)
    return Histories(
        length_B=length_B,
        item_BN=torch.randint(1, MAX_ITEM_ID + 1, shape, generator=generator) * is_given_BN,
        time_BN=(NOW_SECONDS + gap_BN.cumsum(1)) * is_given_BN,
        half_star_BN=torch.zeros(shape, dtype=torch.int64),
    )


def last_states(model: TinyModel, histories: Histories) -> Tensor:
    """Return the state after each user's last event."""
    encoded_BND: Tensor = model(histories)
    return encoded_BND[torch.arange(len(histories.length_B)), histories.length_B - 1]


def backpropagate(model: TinyModel, histories: Histories) -> Tensor:
    """Return the loss, its gradients computed."""
    model.zero_grad()
    loss = model.loss(histories)
    loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    return loss.detach()


def layer_norm(x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """Return the norm over one vector, written out."""
    deviation = x - x.sum() / len(x)
    return gain * deviation / (deviation.square().sum() / len(x) + 1e-8).sqrt() + shift


def restate(model: TinyModel, items: list[int], times: list[int], *, request_time: int) -> Tensor:
    """Return the states of one history, one event after another: RECIPES' formulas with no padding to mistake.

    Padding that nobody sees is as good as none, so this is what `padding_from = "sequence"` means.
    """
    weights = {name: value.detach().double() for name, value in model.named_parameters()}
    events, window = len(items), len(weights["encoder.position_weight"])
    width = weights["encoder.position_weight"].shape[1]
    next_times = [*times[1:], request_time]
    states = [
        weights["item_embedding.weight"][item] * width**0.5 + weights["encoder.position_weight"][window - events + i]
        for i, item in enumerate(items)
    ]
    for layer in range(2):
        own = {
            name.removeprefix(f"encoder.layers.{layer}."): value for name, value in weights.items() if "layers" in name
        }
        normed = [layer_norm(x, own["input_norm.weight"], own["input_norm.bias"]) for x in states]
        parts = [[F.silu(q @ kernel) for kernel in own["qkvu"].chunk(4, dim=1)] for q in normed]
        states = []
        for i in range(events):
            attended = torch.zeros(width, dtype=torch.float64)
            for head in (slice(0, width // 2), slice(width // 2, width)):
                for j in range(i + 1):
                    gap = max(1, next_times[i] - times[j])
                    bucket = int(min(128.0, math.log(gap) / 0.301))
                    score = parts[i][0][head] @ parts[j][1][head]
                    score = score + own["bias.position_weight"][i - j + window] + own["bias.time_weight"][bucket]
                    attended[head] += F.silu(score) / (i + 1 + 1e-9) * parts[j][2][head]
            gated = parts[i][3] * layer_norm(attended, own["attended_norm.weight"], own["attended_norm.bias"])
            states.append(own["output.weight"] @ gated + own["output.bias"] + normed[i])
    return torch.stack(states)


# HSTU-Tensorflow's numbers


def test_the_golden_time_buckets_are_ours(golden: TensorFlowGolden) -> None:
    found = bucket_next_gaps(golden.tensors["timestamps"], golden.tensors["last_timestamp"])
    assert torch.equal(found, golden.tensors["interval"].long())


@pytest.mark.parametrize(("group", "padding_from"), AS_THE_CODE)
def test_the_state_after_every_event_is_tensorflows(
    golden: TensorFlowGolden, group: Group, padding_from: PaddingFrom
) -> None:
    histories = golden.histories
    found = golden.make_model(group, padding_from=padding_from)(histories)
    theirs = golden.value(group, "seq_out")
    expected = torch.cat([theirs[user, -length:] for user, length in enumerate(histories.length_B.tolist())])
    torch.testing.assert_close(found[find_events(histories)], expected, atol=EXACT, rtol=0)


@pytest.mark.parametrize(("group", "padding_from"), AS_THE_CODE)
def test_the_loss_is_tensorflows(golden: TensorFlowGolden, group: Group, padding_from: PaddingFrom) -> None:
    found = golden.make_model(group, padding_from=padding_from).loss(golden.histories)
    assert found.item() == pytest.approx(golden.value(group, "loss").item(), abs=EXACT)


@pytest.mark.parametrize(("group", "padding_from"), AS_THE_CODE)
def test_every_gradient_is_tensorflows(golden: TensorFlowGolden, group: Group, padding_from: PaddingFrom) -> None:
    model = golden.make_model(group, padding_from=padding_from)
    backpropagate(model, golden.histories)
    expected = golden.gradients(group)
    assert {name for name, _ in model.named_parameters()} == expected.keys()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert expected[name].norm() > 0, name
        assert (parameter.grad - expected[name]).norm() <= 1e-4 * expected[name].norm(), name
        unused = expected[name] == 0
        assert not parameter.grad[unused].any(), name


def test_the_weights_after_three_steps_are_tensorflows(golden: TensorFlowGolden) -> None:
    model = golden.make_model("init", padding_from="normalized_query")
    optimizer = TensorFlowAdam(model.parameters(), lr=LEARNING_RATE, betas=ADAM_BETAS)
    before, expected = golden.weights("init"), golden.weights("after3adam")
    for _ in range(3):
        backpropagate(model, golden.histories)
        optimizer.step()
    for name, parameter in model.named_parameters():
        assert (expected[name] - before[name]).abs().max() > 1e-3, name
        torch.testing.assert_close(parameter.detach(), expected[name], atol=EXACT, rtol=0, msg=name)


@pytest.mark.parametrize(("group", "padding_from"), AS_THE_CODE)
def test_users_score_items_as_in_tensorflow(golden: TensorFlowGolden, group: Group, padding_from: PaddingFrom) -> None:
    model = golden.make_model(group, padding_from=padding_from)
    found, expected = model.score(last_states(model, golden.histories)), golden.value(group, "test_logits")
    is_ranked = expected > torch.finfo(torch.float32).min  # the padding row and the user's history are not
    assert not is_ranked[:, 0].any()
    torch.testing.assert_close(found[is_ranked], expected[is_ranked], atol=EXACT, rtol=0)
    values, ids = found.masked_fill(~is_ranked, torch.finfo(torch.float32).min).topk(10)
    assert torch.equal(ids, golden.value(group, "topk_indices")[:, :10].long())
    torch.testing.assert_close(values, golden.value(group, "topk_values")[:, :10], atol=EXACT, rtol=0)


def test_tensorflows_norm_of_users_and_items_is_ours() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 16, generator=generator) * torch.logspace(-12, 3, 50)[:, None]
    x[0] = 0
    torch.testing.assert_close(l2_normalize(x, eps=OUTPUT_NORM_EPS), normalize(x), atol=1e-6, rtol=1e-6)


# Both meanings of padding


@pytest.mark.parametrize("seed", range(3))
def test_padding_seen_in_the_ids_is_as_good_as_none(seed: int) -> None:
    model, histories = make_model("sequence", seed=seed), make_histories(seed=seed)
    found = model.double()(histories)
    for user, length in enumerate(LENGTHS):
        items, times = histories.item_BN[user].tolist(), histories.time_BN[user].tolist()
        expected = restate(model, items[:length], times[:length], request_time=times[length])
        torch.testing.assert_close(found[user, :length], expected, atol=1e-9, rtol=0)


def test_padding_is_seen_by_the_code_once_its_norm_has_a_shift() -> None:
    sequence, query, histories = make_model("sequence"), make_model("normalized_query"), make_histories()
    change_B = (sequence(histories) - query(histories)).abs().amax((1, 2))
    assert change_B[0] == 0, "a history that fills the window has no padding"
    assert (change_B[1:] > VISIBLE).all()


def test_both_meanings_of_padding_agree_while_no_norm_has_a_shift() -> None:
    models = [make_model(padding_from) for padding_from in PADDING_FROM]
    for model in models:
        for name, parameter in model.named_parameters():
            if name.endswith("input_norm.bias"):
                torch.nn.init.zeros_(parameter)
    sequence, query = models
    assert torch.equal(sequence(make_histories()), query(make_histories()))


# What is seen


@EVERY_PADDING
def test_nothing_from_the_target_on_is_seen_but_its_time(padding_from: PaddingFrom) -> None:
    model, histories = make_model(padding_from), make_histories()
    is_request_BN = torch.arange(LENGTH + 3) == histories.length_B[:, None]
    dirty = replace(
        histories,
        item_BN=torch.where(find_events(histories), histories.item_BN, 7),
        time_BN=torch.where(find_events(histories) | is_request_BN, histories.time_BN, NOW_SECONDS + 5),
    )
    assert not torch.equal(histories.item_BN, dirty.item_BN)
    assert not torch.equal(histories.time_BN, dirty.time_BN)
    assert torch.equal(model(histories), model(dirty))


@EVERY_PADDING
def test_states_stand_at_their_events_and_zeros_elsewhere(padding_from: PaddingFrom) -> None:
    histories = make_histories()
    encoded_BND = make_model(padding_from)(histories)
    assert encoded_BND.shape == (len(LENGTHS), LENGTH + 3, 6)
    assert encoded_BND[find_events(histories)].any(dim=1).all()
    assert not encoded_BND[~find_events(histories)].any()


@EVERY_PADDING
@pytest.mark.parametrize("positions", [LENGTH + 1, LENGTH + 20])
def test_the_padded_length_does_not_matter(padding_from: PaddingFrom, positions: int) -> None:
    model, histories, others = make_model(padding_from), make_histories(), make_histories(positions=positions)
    shared = LENGTH + 1
    for name in ("item_BN", "time_BN"):
        getattr(others, name)[:, :shared] = getattr(histories, name)[:, :shared]
    assert torch.equal(model(histories)[:, :LENGTH], model(others)[:, :LENGTH])


@EVERY_PADDING
@pytest.mark.parametrize("changed", range(5))
def test_another_item_changes_no_state_before_it(padding_from: PaddingFrom, changed: int) -> None:
    model, histories, user = make_model(padding_from), make_histories(), 1
    item_BN = histories.item_BN.clone()
    item_BN[user, changed] = item_BN[user, changed] % MAX_ITEM_ID + 1
    change_BN = (model(replace(histories, item_BN=item_BN)) - model(histories)).abs().amax(2)
    assert not change_BN[user, :changed].any()
    assert (change_BN[user, changed:5] > VISIBLE).all()
    assert not change_BN[[0, 2, 3]].any()


@EVERY_PADDING
def test_the_time_of_the_request_is_seen_by_the_last_state_only(padding_from: PaddingFrom) -> None:
    model, histories = make_model(padding_from), make_histories((8, 5, 2, 3))
    later = torch.full((4, 1), 10**8)
    change_BN = model(replace(histories, time_BN=histories.time_BN.scatter_add(1, histories.length_B[:, None], later)))
    change_BN = (change_BN - model(histories)).abs().amax(2)
    is_last_BN = torch.arange(LENGTH + 3) == histories.length_B[:, None] - 1
    assert (change_BN[is_last_BN] > VISIBLE).all()
    assert not change_BN[~is_last_BN].any()


@EVERY_PADDING
def test_a_user_alone_is_encoded_as_in_a_batch(padding_from: PaddingFrom) -> None:
    model, histories = make_model(padding_from), make_histories()
    together = model(histories)
    for user in range(len(LENGTHS)):
        alone = Histories(
            length_B=histories.length_B[user, None],
            item_BN=histories.item_BN[user, None],
            time_BN=histories.time_BN[user, None],
            half_star_BN=histories.half_star_BN[user, None],
        )
        torch.testing.assert_close(model(alone)[0], together[user], atol=EXACT, rtol=0)


# Parts


# In float32 the last gap would fall into bucket 43.
@pytest.mark.parametrize(
    ("gap", "bucket"), [(-(10**9), 0), (0, 0), (1, 0), (2, 2), (60, 13), (86_400, 37), (417_901, 42)]
)
def test_a_gap_falls_into_the_bucket_of_its_logarithm_and_a_negative_one_into_none(gap: int, bucket: int) -> None:
    request_time_B = torch.tensor([NOW_SECONDS + gap])
    assert bucket_next_gaps(torch.tensor([[NOW_SECONDS]]), request_time_B).tolist() == [[[bucket]]]


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=6), st.integers(0, 2**62))
def test_buckets_are_of_the_next_events_time(times: list[int], request_time: int) -> None:
    found = bucket_next_gaps(torch.tensor([times]), torch.tensor([request_time]))[0].tolist()
    following = [*times[1:], request_time]
    expected = [[int(min(128.0, math.log(max(1, n - t)) / 0.301)) for t in times] for n in following]
    assert found == expected


def test_a_query_shares_its_attention_among_the_keys_it_sees_and_one_that_does_not_count_has_none() -> None:
    is_seen_BT = torch.tensor([[False, True, False, True], [True, True, True, True]])
    share_BTS = share_attention(is_seen_BT, torch.ones(4, 4).tril())
    expected = [
        [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 1 / 2, 0, 1 / 2]],
        [[1, 0, 0, 0], [1 / 2, 1 / 2, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0], [1 / 4, 1 / 4, 1 / 4, 1 / 4]],
    ]
    torch.testing.assert_close(share_BTS, torch.tensor(expected), atol=1e-8, rtol=0)


def test_the_bias_is_the_weight_of_the_distance_plus_the_weight_of_the_bucket() -> None:
    length = 5
    bias = WindowBias(length)
    torch.nn.init.normal_(bias.position_weight)
    torch.nn.init.normal_(bias.time_weight)
    bucket_BTS = torch.randint(0, 129, (2, length, length), generator=torch.Generator().manual_seed(1))
    found = bias(bucket_BTS)
    for b in range(2):
        for i in range(length):
            for j in range(length):
                expected = bias.position_weight[i - j + length] + bias.time_weight[bucket_BTS[b, i, j]]
                assert found[b, i, j] == expected


@pytest.mark.parametrize("shift", [-7, -3, 0, 2, 4, 11])
def test_rotation_moves_to_the_right_and_back(shift: int) -> None:
    x_BN = torch.arange(10).view(2, 5)
    shift_B = torch.tensor([shift, 0])
    expected = [[(n - shift) % 5 for n in range(5)], [5, 6, 7, 8, 9]]
    assert rotate(x_BN, shift_B).tolist() == expected
    assert torch.equal(rotate(rotate(x_BN, shift_B), -shift_B), x_BN)


# Weights whose zeros leave nothing to drop at the other place.
SILENCED = {"input": ("output.weight",), "gated attention": ("item_embedding.weight", "encoder.position_weight")}


@pytest.mark.parametrize("dropped", SILENCED)
def test_the_input_and_the_gated_attention_are_dropped_in_training_only(dropped: str) -> None:
    model, sure = (make_model("sequence", dropout_rate=rate) for rate in (0.5, 0.0))
    for either in (model, sure):
        for name, parameter in either.named_parameters():
            if name.endswith(SILENCED[dropped]):
                torch.nn.init.zeros_(parameter)
    histories = make_histories()
    expected = model(histories)
    torch.manual_seed(0)
    assert (model.train()(histories) - expected).abs().max() > VISIBLE
    assert torch.equal(sure.train()(histories), expected)


@pytest.mark.usefixtures("two_threads")
@EVERY_PADDING
def test_every_gradient_is_the_same_the_second_time(padding_from: PaddingFrom) -> None:
    # Large enough that torch splits every operator over its threads.
    model = make_model(padding_from, length=48)
    histories = make_histories(tuple(range(1, 49)), positions=51)
    gradients = []
    for _ in range(2):
        torch.manual_seed(3)
        backpropagate(model.train(), histories)
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    first, second = gradients
    for name, gradient in first.items():
        assert gradient is not None
        assert torch.equal(gradient, second[name]), name  # type: ignore[arg-type]
