"""What each form of pooling makes of old events: by category, learned, and weighed by age."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hstu_preserve.model.histories import Histories, Tokens
from hstu_preserve.model.input_compression import InputCompression
from hstu_preserve.model.pooling import EVENTS_PER_GENRE
from tests.model.tiny_compressions import (
    DAY,
    NUM_GENRES,
    NUM_ITEMS,
    OUTPUT_LENGTH,
    POOLINGS,
    RAW_LENGTH,
    RECENT,
    START,
    WIDTH,
    count_unsupervised,
    embed,
    make_age_weight,
    make_compression,
    make_histories,
    make_items,
    make_settings,
    tokens_are_equal,
)

each_mean = pytest.mark.parametrize("pooling", POOLINGS[:2])


# Category.


def compress_one(compression: InputCompression, items: list[int], embedding_BLD: Tensor) -> Tokens:
    """Return the tokens of one user who had these items, a second apart, and item 30 as the target."""
    shape = embedding_BLD.shape[:2]
    row = torch.zeros(shape[1], dtype=torch.int64)
    row[: len(items) + 1] = torch.tensor([*items, NUM_ITEMS])
    histories = Histories(
        length_B=torch.tensor([len(items)]),
        item_BN=row[None],
        time_BN=(torch.arange(shape[1]) + START)[None] * (row > 0),
        half_star_BN=torch.zeros(shape, dtype=torch.int64),
    )
    tokens: Tokens = compression(embedding_BLD, histories)
    return tokens


def genre_table(compression: InputCompression) -> Tensor:
    return dict(compression.named_parameters())["pooling.genre_embedding"].detach()


def test_an_event_counts_in_each_of_its_genres_and_without_genres_nowhere() -> None:
    items = make_items(lambda item: {1: {0}, 2: {0, 1}, 3: {1}, 5: {2}}.get(item, set()))
    compression = make_compression(make_settings("category", num_tokens=4), items=items)
    embedding_BLD = torch.randn(1, RAW_LENGTH + OUTPUT_LENGTH, WIDTH, generator=torch.Generator().manual_seed(0))
    tokens = compress_one(compression, [1, 2, 3, 4, 5, 4, 8, 8, 8, 8], embedding_BLD)
    mean = {0: embedding_BLD[0, [0, 1]].mean(0), 1: embedding_BLD[0, [1, 2]].mean(0), 2: embedding_BLD[0, 4]}
    expected = torch.stack([mean[genre] + genre_table(compression)[genre] for genre in (0, 1, 2)])
    torch.testing.assert_close(tokens.embedding_BND[0, :3], expected)
    assert tokens.time_BN[0, :3].tolist() == [START + 1, START + 2, START + 4]
    assert count_unsupervised(tokens) == [3]


def test_a_user_whose_old_events_have_no_genre_has_no_token() -> None:
    compression = make_compression(make_settings("category"), items=make_items(lambda _: set()))
    embedding_BLD = torch.randn(1, RAW_LENGTH + OUTPUT_LENGTH, WIDTH, generator=torch.Generator().manual_seed(0))
    tokens = compress_one(compression, [1, 2, 3, 4, 5, 6], embedding_BLD)
    assert count_unsupervised(tokens) == [0]
    assert tokens.item_BN[0, :6].tolist() == [3, 4, 5, 6, NUM_ITEMS, 0]
    assert torch.equal(tokens.embedding_BND[0, :5], embedding_BLD[0, 2:7])


def test_the_most_recently_seen_genres_are_kept_and_ties_stand_in_the_order_of_the_vocabulary() -> None:
    items = make_items(lambda item: {1: {0, 3}, 2: {4, 1}, 3: {2, 3}}.get(item, set()))
    compression = make_compression(make_settings("category", num_tokens=4), items=items)
    torch.nn.init.zeros_(dict(compression.named_parameters())["pooling.genre_embedding"])
    embedding_BLD = torch.randn(1, RAW_LENGTH + OUTPUT_LENGTH, WIDTH, generator=torch.Generator().manual_seed(0))
    tokens = compress_one(compression, [1, 2, 3, 9, 9, 9, 9], embedding_BLD)
    # Last seen: genre 0 first of all, which is left out; 1 and 4 in the second event; 2 and 3 in the third.
    assert tokens.time_BN[0, :4].tolist() == [START + 1, START + 1, START + 2, START + 2]
    expected = torch.stack(
        [embedding_BLD[0, 1], embedding_BLD[0, 1], embedding_BLD[0, 2], embedding_BLD[0, [0, 2]].mean(0)]
    )
    torch.testing.assert_close(tokens.embedding_BND[0, :4], expected)


def test_a_genre_reads_no_more_than_its_newest_events() -> None:
    num_old = EVENTS_PER_GENRE + 3
    compression = make_compression(
        make_settings("category", num_tokens=1), items=make_items(lambda _: {2}), raw_length=num_old + RECENT
    )
    generator = torch.Generator().manual_seed(0)
    embedding_BLD = torch.randn(1, num_old + RECENT + OUTPUT_LENGTH, WIDTH, generator=generator)
    tokens = compress_one(compression, [1 + event % 9 for event in range(num_old + RECENT)], embedding_BLD)
    expected = embedding_BLD[0, 3:num_old].mean(0) + genre_table(compression)[2]
    torch.testing.assert_close(tokens.embedding_BND[0, 0], expected)
    assert EVENTS_PER_GENRE == 32


def test_more_tokens_than_genres_are_no_problem() -> None:
    compression = make_compression(make_settings("category", num_tokens=NUM_GENRES + 4))
    histories = make_histories()
    tokens = compression(embed(histories), histories)
    assert tokens.embedding_BND.shape[1] == NUM_GENRES + 4 + RECENT + OUTPUT_LENGTH
    assert (tokens.num_unsupervised_B <= NUM_GENRES).all()


# Learned.


def test_recent_events_see_old_ones_through_the_tokens_only() -> None:
    settings = make_settings("learned", num_tokens=2)
    histories = make_histories((6, 4))
    tokens = make_compression(settings)(embed(histories), histories)
    assert tokens.visible_BNM is not None
    positions = RAW_LENGTH + 2 + OUTPUT_LENGTH
    assert tokens.visible_BNM.shape == (2, positions, positions)
    # Old events 0 and 1, tokens 2 and 3, recent events 4 to 7, target 8.
    assert count_unsupervised(tokens) == [4, 0]
    assert tokens.visible_BNM[0, :4].all()
    assert not tokens.visible_BNM[0, 4:, :2].any()
    assert tokens.visible_BNM[0, 4:, 2:].all()
    assert tokens.visible_BNM[1].all()


def test_all_users_share_the_learned_tokens_at_the_time_of_their_newest_old_event() -> None:
    compression = make_compression(make_settings("learned", num_tokens=3))
    histories = make_histories((12, 9))
    tokens = compression(embed(histories), histories)
    shared_ZD = dict(compression.named_parameters())["pooling.token"]
    for user, num_old in [(0, 8), (1, 5)]:
        assert torch.equal(tokens.embedding_BND[user, num_old : num_old + 3], shared_ZD)
        assert set(tokens.time_BN[user, num_old : num_old + 3].tolist()) == {int(histories.time_BN[user, num_old - 1])}


@each_mean
def test_only_learned_tokens_hide_anything(pooling: str) -> None:
    histories = make_histories()
    assert make_compression(make_settings(pooling))(embed(histories), histories).visible_BNM is None


# Weights by age.


@each_mean
def test_events_of_one_age_count_alike_whatever_the_rate(pooling: str) -> None:
    histories = make_histories()
    same_time = replace(histories, time_BN=(histories.time_BN > 0) * START)
    settings = make_settings(pooling, num_tokens=NUM_GENRES)
    by_age = make_compression(settings, age_weight=make_age_weight())(embed(histories), same_time)
    by_mean = make_compression(settings)(embed(histories), same_time)
    torch.testing.assert_close(by_age.embedding_BND, by_mean.embedding_BND)


@each_mean
def test_age_replaces_rank(pooling: str) -> None:
    histories = make_histories()
    tokens = [
        make_compression(make_settings(pooling, decay=decay), age_weight=make_age_weight())(embed(histories), histories)
        for decay in (0.3, 1.0)
    ]
    assert tokens_are_equal(*tokens)


# Of `exp`, a boundary elsewhere leaves all weights of a token multiplied alike, and their mean as it is.
@pytest.mark.parametrize("mode", ["power", "exp", "exp_power"])
def test_an_event_is_weighed_by_its_age_at_the_newest_old_event(mode: str) -> None:
    weight = make_age_weight(mode=mode)
    compression = make_compression(make_settings("chunk", ratio=2, num_tokens=2), age_weight=weight)
    histories = make_histories((8,))
    day = torch.tensor([0, 3, 5, 6, 7, 7, 8, 9, 30, *[0] * (RAW_LENGTH + OUTPUT_LENGTH - 9)])
    histories = replace(histories, time_BN=(START + DAY * day)[None])
    embedding_BLD = embed(histories)
    tokens = compression(embedding_BLD, histories)
    expected = []
    for events in ([0, 1], [2, 3]):
        a = weight(DAY * (6 - day[events]))
        expected.append((a[:, None] * embedding_BLD[0, events]).sum(0) / a.sum())
    torch.testing.assert_close(tokens.embedding_BND[0, :2], torch.stack(expected))
    gradients = [
        torch.autograd.grad(token_ZD.square().sum(), list(weight.parameters()))
        for token_ZD in (tokens.embedding_BND[0, :2], torch.stack(expected))
    ]
    torch.testing.assert_close(*gradients)
    assert not torch.allclose(tokens.embedding_BND[0, 0], embedding_BLD[0, :2].mean(0), atol=1e-2)


@each_mean
@pytest.mark.parametrize("mode", ["power", "exp", "exp_power"])
def test_tokens_of_events_decades_apart_are_finite_and_so_are_their_gradients(pooling: str, mode: str) -> None:
    weight = make_age_weight(mode=mode)
    compression = make_compression(make_settings(pooling, num_tokens=NUM_GENRES), age_weight=weight)
    histories = make_histories((12,))
    year = torch.arange(RAW_LENGTH + OUTPUT_LENGTH) * 2
    histories = replace(histories, time_BN=(histories.time_BN > 0) * (START + 365 * DAY * year))
    embedding_BLD = embed(histories).requires_grad_()
    tokens = compression(embedding_BLD, histories)
    gradients = torch.autograd.grad(tokens.embedding_BND.square().sum(), [embedding_BLD, *weight.parameters()])
    assert torch.isfinite(tokens.embedding_BND).all()
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert tokens.embedding_BND[0, : int(tokens.num_unsupervised_B[0])].any(1).all()


@each_mean
def test_a_learned_rate_gets_a_gradient(pooling: str) -> None:
    weight = make_age_weight()
    compression = make_compression(make_settings(pooling), age_weight=weight)
    histories = make_histories()
    tokens = compression(embed(histories), histories)
    (gradient,) = torch.autograd.grad(tokens.embedding_BND.square().sum(), list(weight.parameters()))
    assert gradient.item() != 0
