"""Input compression: which tokens stand for old history, and what nobody else may notice of it."""

from dataclasses import dataclass, replace
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hstu_preserve.model.histories import Histories, Tokens
from hstu_preserve.model.input_compression import InputCompression, shorten
from hstu_preserve.records.settings.components import InputCompressionSettings
from tests.model.tiny_compressions import (
    DAY,
    LENGTHS,
    NUM_GENRES,
    NUM_ITEMS,
    OUTPUT_LENGTH,
    POOLINGS,
    RAW_LENGTH,
    RECENT,
    START,
    WIDTH,
    choose_age_weight,
    count_unsupervised,
    embed,
    make_age_weight,
    make_compression,
    make_histories,
    make_items,
    make_settings,
    tokens_are_equal,
)

each_pooling = pytest.mark.parametrize("pooling", POOLINGS)


# The definition once more, event by event, for one user.


@dataclass(frozen=True, kw_only=True)
class Group:
    """The old events of one token, oldest first, and what is added to their mean."""

    events: list[int]
    extra: Tensor


def cut_into_chunks(num_old: int, settings: InputCompressionSettings) -> list[Group]:
    chunks: list[Group] = []
    end = num_old
    while end > 0 and len(chunks) < settings.num_tokens:
        start = max(0, end - settings.ratio)
        chunks.insert(0, Group(events=list(range(start, end)), extra=torch.zeros(WIDTH)))
        end = start
    return chunks


def sort_into_genres(
    items: list[int], compression: InputCompression, settings: InputCompressionSettings
) -> list[Group]:
    genre_JG = make_items().genre_JG
    seen = {
        genre: [event for event, item in enumerate(items) if genre_JG[item, genre]][-32:] for genre in range(NUM_GENRES)
    }
    latest = sorted((events[-1], genre) for genre, events in seen.items() if events)[-settings.num_tokens :]
    table_GD = dict(compression.named_parameters())["pooling.genre_embedding"]
    return [Group(events=seen[genre], extra=table_GD[genre]) for _, genre in latest]


def average(group: Group, embedding_LD: Tensor, settings: InputCompressionSettings) -> Tensor:
    weights = [settings.decay**rank for rank in range(len(group.events))][::-1]
    total = sum(
        (weight * embedding_LD[event] for weight, event in zip(weights, group.events, strict=True)),
        start=torch.zeros(WIDTH),
    )
    return total / sum(weights) + group.extra


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What one user's tokens should be, position by position, the target last."""

    embeddings: list[Tensor]
    items: list[int]
    times: list[int]
    num_unsupervised: int


def restate(
    user: int,
    *,
    compression: InputCompression,
    settings: InputCompressionSettings,
    histories: Histories,
    embedding_BLD: Tensor,
) -> Expected:
    length = int(histories.length_B[user])
    items = [int(item) for item in histories.item_BN[user]]
    times = [int(time) for time in histories.time_BN[user]]
    num_old = max(0, length - settings.recent_len)
    kept: list[int] = []
    if settings.pooling == "learned":
        kept = list(range(num_old))
        token_ZD = dict(compression.named_parameters())["pooling.token"]
        tokens = list(token_ZD) if num_old else []
        token_times = [times[num_old - 1]] * len(tokens)
    else:
        groups = (
            cut_into_chunks(num_old, settings)
            if settings.pooling == "chunk"
            else sort_into_genres(items[:num_old], compression, settings)
        )
        tokens = [average(group, embedding_BLD[user], settings) for group in groups]
        token_times = [times[group.events[-1]] for group in groups]
    recent = list(range(num_old, length + 1))
    return Expected(
        embeddings=[*embedding_BLD[user, kept], *tokens, *embedding_BLD[user, recent]],
        items=[*(items[event] for event in kept), *[0] * len(tokens), *(items[event] for event in recent)],
        times=[*(times[event] for event in kept), *token_times, *(times[event] for event in recent)],
        num_unsupervised=len(kept) + len(tokens),
    )


@given(
    pooling=st.sampled_from(POOLINGS),
    lengths=st.lists(st.integers(1, RAW_LENGTH), min_size=1, max_size=4).map(tuple),
    ratio=st.integers(2, 5),
    recent_len=st.integers(1, RAW_LENGTH - 1),
    num_tokens=st.integers(1, 6),
    decay=st.sampled_from([1.0, 0.5]),
    seed=st.integers(0, 1000),
)
def test_tokens_are_what_the_definition_says(
    pooling: str,
    lengths: tuple[int, ...],
    ratio: int,
    recent_len: int,
    num_tokens: int,
    decay: float,
    seed: int,
) -> None:
    settings = make_settings(pooling, ratio=ratio, recent_len=recent_len, num_tokens=num_tokens, decay=decay)
    compression, histories = make_compression(settings), make_histories(lengths, seed=seed)
    embedding_BLD = embed(histories)
    with torch.no_grad():
        tokens = compression(embedding_BLD, histories)
        for user in range(len(lengths)):
            expected = restate(
                user, compression=compression, settings=settings, histories=histories, embedding_BLD=embedding_BLD
            )
            present = len(expected.items)
            assert tokens.length_B[user] == present - 1
            assert tokens.num_unsupervised_B[user] == expected.num_unsupervised
            assert tokens.item_BN[user, :present].tolist() == expected.items
            assert tokens.time_BN[user, :present].tolist() == expected.times
            torch.testing.assert_close(tokens.embedding_BND[user, :present], torch.stack(expected.embeddings))
            assert tokens.is_filled_BN[user, :present].all()
            padding = (tokens.is_filled_BN, tokens.item_BN, tokens.time_BN, tokens.embedding_BND)
            assert not any(value[user, present:].any() for value in padding)


@each_pooling
@pytest.mark.parametrize("with_target", [True, False])
def test_a_history_without_old_events_stays_bit_for_bit(pooling: str, with_target: bool) -> None:
    histories = make_histories((4, 3, 12, 1), with_target=with_target)
    embedding_BLD = embed(histories)
    tokens = make_compression(make_settings(pooling))(embedding_BLD, histories)
    for user, length in [(0, 4), (1, 3), (3, 1)]:
        end = length + int(with_target)
        assert tokens.length_B[user] == length
        assert tokens.num_unsupervised_B[user] == 0
        assert torch.equal(tokens.embedding_BND[user, :end], embedding_BLD[user, :end])
        assert tokens.item_BN[user, :end].tolist() == histories.item_BN[user, :end].tolist()
        assert tokens.time_BN[user, : length + 1].tolist() == histories.time_BN[user, : length + 1].tolist()
        assert tokens.is_filled_BN[user].sum() == end
    assert tokens.num_unsupervised_B[2] > 0


@each_pooling
def test_in_evaluation_the_target_is_unknown_and_its_time_is_not(pooling: str) -> None:
    compression = make_compression(make_settings(pooling))
    training, evaluation = (make_histories(with_target=has) for has in (True, False))
    embedding_BLD = embed(training)
    with_target, without = compression(embedding_BLD, training), compression(embedding_BLD, evaluation)
    place_B1 = without.length_B[:, None]
    assert torch.equal(with_target.time_BN, without.time_BN)
    assert torch.equal(with_target.length_B, without.length_B)
    assert with_target.item_BN.gather(1, place_B1).all()
    assert not without.item_BN.gather(1, place_B1).any()
    assert not without.is_filled_BN.gather(1, place_B1).any()
    assert torch.equal(with_target.is_filled_BN.sum(1), without.is_filled_BN.sum(1) + 1)


@given(
    length=st.integers(1, RAW_LENGTH),
    ratio=st.integers(2, 5),
    recent_len=st.integers(1, RAW_LENGTH - 1),
    num_tokens=st.integers(1, 6),
)
def test_a_chunked_history_has_as_many_tokens_as_the_formula_says(
    length: int, ratio: int, recent_len: int, num_tokens: int
) -> None:
    settings = make_settings("chunk", ratio=ratio, recent_len=recent_len, num_tokens=num_tokens)
    histories = make_histories((length,))
    tokens = make_compression(settings)(embed(histories), histories)
    num_chunks = min(num_tokens, -(-max(0, length - recent_len) // ratio))
    assert tokens.length_B.tolist() == [num_chunks + min(length, recent_len)]
    assert count_unsupervised(tokens) == [num_chunks]


@each_pooling
@pytest.mark.parametrize("seed", range(5))
def test_times_never_go_back_up_to_the_targets(pooling: str, seed: int) -> None:
    histories = make_histories(seed=seed)
    tokens = make_compression(make_settings(pooling, num_tokens=4))(embed(histories), histories)
    is_present_BN = torch.arange(tokens.time_BN.shape[1]) <= tokens.length_B[:, None]
    assert (tokens.time_BN[is_present_BN] >= START).all()
    assert (tokens.time_BN.diff(dim=1)[is_present_BN[:, 1:]] >= 0).all()


@each_pooling
@pytest.mark.parametrize("is_by_age", [False, True])
@pytest.mark.parametrize("back", range(RECENT))
def test_a_recent_event_changes_nothing_before_it(pooling: str, back: int, is_by_age: bool) -> None:
    compression = make_compression(
        make_settings(pooling, decay=0.5), age_weight=choose_age_weight(pooling, is_by_age=is_by_age)
    )
    histories = make_histories((12, 9))
    embedding_BLD = embed(histories)
    event_B1 = histories.length_B[:, None] - 1 - back
    changed = replace(
        histories,
        item_BN=histories.item_BN.scatter(1, event_B1, histories.item_BN.gather(1, event_B1) % NUM_ITEMS + 1),
        time_BN=histories.time_BN + (torch.arange(RAW_LENGTH + OUTPUT_LENGTH) >= event_B1),
    )
    is_changed_BL1 = (torch.arange(RAW_LENGTH + OUTPUT_LENGTH) == event_B1)[:, :, None]
    before = compression(embedding_BLD, histories)
    after = compression(torch.where(is_changed_BL1, 9.0, embedding_BLD), changed)
    assert torch.equal(before.length_B, after.length_B)
    for user in range(2):
        place = int(before.length_B[user]) - 1 - back
        assert torch.equal(before.embedding_BND[user, :place], after.embedding_BND[user, :place])
        assert torch.equal(before.item_BN[user, :place], after.item_BN[user, :place])
        assert torch.equal(before.time_BN[user, :place], after.time_BN[user, :place])
        assert (after.embedding_BND[user, place] == 9.0).all()
        assert before.item_BN[user, place] != after.item_BN[user, place]


def swap_events(histories: Histories, embedding_BLD: Tensor, *, events: tuple[int, int]) -> tuple[Histories, Tensor]:
    """Return the first user's history with two events in each other's place, times left as they are."""
    order_L = torch.arange(histories.item_BN.shape[1])
    order_L[list(events)] = order_L[list(events[::-1])]
    return replace(histories, item_BN=histories.item_BN[:, order_L]), embedding_BLD[:, order_L]


@pytest.mark.parametrize(("decay", "is_invariant"), [(1.0, True), (0.9, False)])
def test_the_order_inside_a_chunk_matters_only_where_weights_decay(decay: float, is_invariant: bool) -> None:
    compression = make_compression(make_settings("chunk", ratio=4, decay=decay))
    histories = make_histories((12,))
    embedding_BLD = embed(histories)
    before = compression(embedding_BLD, histories)
    inside, swapped_BLD = swap_events(histories, embedding_BLD, events=(4, 6))
    after = compression(swapped_BLD, inside)
    assert torch.allclose(before.embedding_BND, after.embedding_BND, atol=1e-6) == is_invariant


def test_the_order_across_chunks_matters() -> None:
    compression = make_compression(make_settings("chunk", ratio=4))
    histories = make_histories((12,))
    embedding_BLD = embed(histories)
    across, swapped_BLD = swap_events(histories, embedding_BLD, events=(3, 4))
    before, after = compression(embedding_BLD, histories), compression(swapped_BLD, across)
    assert not torch.allclose(before.embedding_BND, after.embedding_BND, atol=1e-2)


@each_pooling
@pytest.mark.parametrize("is_by_age", [False, True])
def test_what_stands_in_the_padding_changes_nothing(pooling: str, is_by_age: bool) -> None:
    compression = make_compression(
        make_settings(pooling, num_tokens=4),
        age_weight=choose_age_weight(pooling, is_by_age=is_by_age),
    )
    histories = make_histories()
    embedding_BLD = embed(histories)
    is_padding_BL = torch.arange(RAW_LENGTH + OUTPUT_LENGTH) > histories.length_B[:, None]
    dirty = replace(
        histories,
        item_BN=torch.where(is_padding_BL, 7, histories.item_BN),
        time_BN=torch.where(is_padding_BL, 1, histories.time_BN),
        half_star_BN=torch.where(is_padding_BL, 9, histories.half_star_BN),
    )
    noise_BLD = torch.where(is_padding_BL[:, :, None], 1e6, embedding_BLD)
    assert tokens_are_equal(compression(embedding_BLD, histories), compression(noise_BLD, dirty))


def mark_first_events(histories: Histories, count: int) -> Tensor:
    """Return True (B, L) for the first `count` events."""
    return (torch.arange(histories.item_BN.shape[1]) < count).expand_as(histories.item_BN)


@pytest.mark.parametrize("is_by_age", [False, True])
def test_what_is_older_than_all_chunks_has_no_influence(is_by_age: bool) -> None:
    settings = make_settings("chunk", ratio=3, num_tokens=2)
    compression = make_compression(settings, age_weight=make_age_weight() if is_by_age else None)
    histories = make_histories((12,))  # 8 old events, of which 2 chunks of 3 are kept
    embedding_BLD = embed(histories)

    def rewrite(count: int) -> Tokens:
        is_first_BL = mark_first_events(histories, count)
        other = replace(
            histories,
            item_BN=torch.where(is_first_BL, histories.item_BN % NUM_ITEMS + 1, histories.item_BN),
            time_BN=torch.where(is_first_BL, START - 5 * DAY, histories.time_BN),
        )
        tokens: Tokens = compression(torch.where(is_first_BL[:, :, None], 1e3, embedding_BLD), other)
        return tokens

    before = compression(embedding_BLD, histories)
    assert tokens_are_equal(before, rewrite(2))
    assert not tokens_are_equal(before, rewrite(3))


@pytest.mark.parametrize(
    ("pooling", "num_dropped"),
    [("chunk", 2), ("category", 0), ("learned", 0)],
)
def test_gradients_reach_every_kept_event_and_no_other(pooling: str, num_dropped: int) -> None:
    settings = make_settings(pooling, ratio=3, num_tokens=2 if pooling == "chunk" else NUM_GENRES, decay=0.8)
    compression = make_compression(settings)
    histories = make_histories((12, 4, 9))
    embedding_BLD = embed(histories).requires_grad_()
    tokens = compression(embedding_BLD, histories)
    weight_BND = torch.randn(tokens.embedding_BND.shape, generator=torch.Generator().manual_seed(2))
    gradient_BLD, *of_parameters = torch.autograd.grad(
        (tokens.embedding_BND * weight_BND).sum(), [embedding_BLD, *compression.parameters()]
    )
    position_L = torch.arange(RAW_LENGTH + OUTPUT_LENGTH)
    is_kept_BL = position_L <= histories.length_B[:, None]  # the target is read, too, by what masks it later
    is_kept_BL[0, :num_dropped] = False
    assert torch.equal((gradient_BLD != 0).any(2), is_kept_BL)
    assert all(gradient.any() for gradient in of_parameters)
    assert len(of_parameters) == (0 if pooling == "chunk" else 1)


# Numbers.


@each_pooling
def test_bfloat16_embeddings_give_bfloat16_tokens_near_the_exact_ones(pooling: str) -> None:
    compression = make_compression(make_settings(pooling, decay=0.7), age_weight=None)
    histories = make_histories()
    exact = compression(embed(histories), histories).embedding_BND
    rough = compression.to(torch.bfloat16)(embed(histories).bfloat16(), histories).embedding_BND
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, atol=0.05, rtol=0.02)


@pytest.mark.usefixtures("two_threads")
@each_pooling
def test_every_gradient_is_the_same_the_second_time(pooling: str) -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    weight = None if pooling == "learned" else make_age_weight()
    compression = make_compression(make_settings(pooling, num_tokens=30), age_weight=weight, raw_length=100)
    histories = make_histories(tuple(range(37, 101)), raw_length=100)
    embedding_BLD = embed(histories).requires_grad_()

    def differentiate() -> list[Tensor]:
        loss = compression(embedding_BLD, histories).embedding_BND.square().sum()
        return list(torch.autograd.grad(loss, [embedding_BLD, *compression.parameters()]))

    first = differentiate()
    assert all(gradient.any() for gradient in first)
    for _ in range(3):
        assert all(torch.equal(one, other) for one, other in zip(first, differentiate(), strict=True))


def test_genres_are_no_weights() -> None:
    compression = make_compression(make_settings("category"))
    assert list(compression.state_dict()) == ["pooling.genre_embedding"]
    assert compression.to(torch.bfloat16).pooling.has_genre_JG.dtype == torch.bool


def test_every_pooling_is_tested() -> None:
    assert get_args(InputCompressionSettings.model_fields["pooling"].annotation) == POOLINGS


# Random boundary.


def shorten_with(histories: Histories, *, seed: int = 0) -> Histories:
    return shorten(histories, recent_len=RECENT, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(20))
def test_a_shortened_history_ends_at_an_earlier_event_and_asks_for_the_one_after_it(seed: int) -> None:
    histories = make_histories()
    short = shorten_with(histories, seed=seed)
    assert (short.length_B <= histories.length_B).all()
    for user in range(len(LENGTHS)):
        length = int(short.length_B[user])
        assert torch.equal(short.item_BN[user, : length + 1], histories.item_BN[user, : length + 1])
        assert torch.equal(short.time_BN[user, : length + 1], histories.time_BN[user, : length + 1])
        assert torch.equal(short.half_star_BN[user, :length], histories.half_star_BN[user, :length])
        assert short.item_BN[user, length] > 0
        assert not short.item_BN[user, length + 1 :].any()
        assert not short.time_BN[user, length + 1 :].any()
        assert not short.half_star_BN[user, length:].any()


def test_histories_without_old_events_are_not_shortened() -> None:
    histories = make_histories((4, 3, 1))
    for seed in range(20):
        short = shorten_with(histories, seed=seed)
        for name in Histories.__dataclass_fields__.keys() - {"user_B"}:  # made-up histories have no users' ids
            assert torch.equal(getattr(short, name), getattr(histories, name)), name


def test_a_long_history_may_end_anywhere_from_the_recent_length_on_with_equal_chances() -> None:
    num_users = 9000
    histories = make_histories((12,) * num_users)
    counts = shorten_with(histories).length_B.bincount()
    assert not counts[:RECENT].any()
    assert len(counts) == 13
    # 9 lengths of 1000 each; the standard deviation is 30.
    assert ((counts[RECENT:] - 1000).abs() < 150).all()


def test_a_boundary_depends_on_the_generator_and_on_no_other_users_length() -> None:
    histories = make_histories((12, 12, 12, 12, 12, 12))
    others = replace(histories, length_B=torch.tensor([12, 3, 12, 5, 12, 1]))
    one, two = shorten_with(histories), shorten_with(others)
    assert one.length_B[::2].tolist() == two.length_B[::2].tolist()
    assert one.length_B.tolist() == shorten_with(histories).length_B.tolist()
    assert len({tuple(shorten_with(histories, seed=seed).length_B.tolist()) for seed in range(5)}) > 1
