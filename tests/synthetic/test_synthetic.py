"""Made-up data: the same for ever, of MovieLens' shape, and learnable."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.data.arrays import Int64Array
from hstu_preserve.data.store import Store
from hstu_preserve.errors import UsageError
from hstu_preserve.synthetic import stores
from hstu_preserve.synthetic.draws import SPLITMIX_GAMMA, Purpose, draw, mix, scale_below
from hstu_preserve.synthetic.stores import MIN_EVENTS_PER_USER
from tests.data.stores_in_memory import synthesize

TINY_FINGERPRINT = "bf483e8ae13ea8e03cc8854600b7dbe1c07bec4a794c84ff438c6350562c1489"
DEFAULT_FINGERPRINT = "7c34f3d6d67bae3a9f182ba3a925a359e8abd5ffe2e3435cc54366276f4de52d"


def test_the_stream_is_frozen() -> None:
    tiny = synthesize(seed=7, num_users=20, num_items=60, num_ratings=400)
    assert tiny.fingerprint == TINY_FINGERPRINT
    assert synthesize(seed=7).fingerprint == DEFAULT_FINGERPRINT


def test_draws_are_splitmix64() -> None:
    """The published test vector of SplitMix64 with state 1234567: 6457827717110365317, 3203168211198807973."""
    state = np.array([1234567], dtype=np.uint64)
    gamma = np.uint64(SPLITMIX_GAMMA)
    assert mix(state + gamma).tolist() == [6457827717110365317]
    assert mix(state + gamma + gamma).tolist() == [3203168211198807973]


def test_a_draw_depends_on_seed_purpose_and_counter_and_on_nothing_else() -> None:
    counters = np.arange(1000)
    bits = draw(1, Purpose.ITEM, counters=counters)
    assert draw(1, Purpose.ITEM, counters=counters[500:]).tolist() == bits[500:].tolist()
    others = [draw(2, Purpose.ITEM, counters=counters), draw(1, Purpose.TIME, counters=counters)]
    assert len(set(np.concatenate([bits, *others]).tolist())) == 3000


def test_scaled_draws_are_below_their_bound_and_even() -> None:
    values = scale_below(draw(3, Purpose.TIME, counters=np.arange(100_000)), 10)
    assert np.bincount(values, minlength=10).tolist() == pytest.approx([10_000] * 10, rel=0.05)


@given(data=st.data(), seed=st.integers(0, 2**64 - 1), num_users=st.integers(1, 30), num_items=st.integers(5, 60))
def test_any_possible_shape_is_met_exactly(data: st.DataObject, seed: int, num_users: int, num_items: int) -> None:
    num_ratings = data.draw(st.integers(MIN_EVENTS_PER_USER * num_users, num_users * num_items))
    store = synthesize(seed=seed, num_users=num_users, num_items=num_items, num_ratings=num_ratings)
    assert (store.num_users, len(store.candidate_ids), store.num_events) == (num_users, num_items, num_ratings)
    assert store.lengths.min() >= MIN_EVENTS_PER_USER
    owners = np.repeat(store.user_ids.astype(np.int64), store.lengths)
    assert len(np.unique(owners * 2**31 + store.item_ids)) == num_ratings
    assert (np.diff(store.timestamps)[np.diff(owners) == 0] >= 0).all()
    assert 1 <= store.half_stars.min() <= store.half_stars.max() <= 10


def test_the_blocks_it_is_made_in_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = synthesize(seed=5, num_users=50, num_items=80, num_ratings=900).fingerprint
    monkeypatch.setattr(stores, "EVENTS_PER_BLOCK", 37)
    assert synthesize(seed=5, num_users=50, num_items=80, num_ratings=900).fingerprint == whole
    monkeypatch.setattr(stores, "MAX_SEEN_FLAGS", 80)
    assert synthesize(seed=5, num_users=50, num_items=80, num_ratings=900).fingerprint == whole


def test_seeds_give_different_data_under_any_name() -> None:
    one, two = (synthesize(seed=seed, num_users=20, num_items=60, num_ratings=400, name="mine") for seed in (1, 2))
    assert one.fingerprint != two.fingerprint
    assert one.name == "mine"
    assert one.record.provenance.redistributable


@pytest.mark.parametrize(
    ("seed", "num_users", "num_items", "num_ratings"),
    [(-1, 20, 60, 400), (2**64, 20, 60, 400), (1, 0, 60, 400), (1, 20, 4, 100), (1, 20, 60, 99), (1, 20, 60, 1201)],
)
def test_impossible_shapes_are_refused(seed: int, num_users: int, num_items: int, num_ratings: int) -> None:
    with pytest.raises(UsageError):
        synthesize(seed=seed, num_users=num_users, num_items=num_items, num_ratings=num_ratings)


@pytest.fixture(scope="module")
def store() -> Store:
    return synthesize(seed=11)


def test_events_come_in_sessions_with_ties(store: Store) -> None:
    gaps = np.diff(store.timestamps)[np.diff(np.repeat(store.user_ids, store.lengths)) == 0]
    assert 0.15 < (gaps == 0).mean() < 0.35
    assert 0.03 < (gaps >= 3600).mean() < 0.1
    assert ((gaps <= 60) | (gaps >= 3600)).all()


def test_a_few_items_take_most_of_the_ratings(store: Store) -> None:
    counts = np.sort(np.bincount(store.item_ids))[::-1]
    assert counts[: len(store.candidate_ids) // 10].sum() > 0.5 * store.num_events


def test_items_have_genres_and_most_have_years(store: Store) -> None:
    assert (store.candidate_genres.sum(axis=1) >= 1).all()
    assert 0.001 < (store.candidate_years == 0).mean() < 0.05
    assert store.max_item_id > len(store.candidate_ids)


def test_the_next_item_can_be_learnt_far_better_than_by_popularity(store: Store) -> None:
    """Counting which items follow which (training events only) finds the held-out one in its first ten."""
    rows = np.searchsorted(store.candidate_ids, store.item_ids)
    num_items = len(store.candidate_ids)
    follows = np.zeros((num_items, num_items), dtype=np.float32)
    training = np.ones(store.num_events, dtype=np.bool_)
    training[store.offsets[1:] - 1] = False
    owners = np.repeat(store.user_ids, store.lengths)
    for step in (1, 2, 3, 4):
        pairs = training[step:] & (owners[step:] == owners[:-step])
        np.add.at(follows, (rows[:-step][pairs], rows[step:][pairs]), 1)
    popularity = np.bincount(rows[training], minlength=num_items).astype(np.float32)
    scores = np.stack([follows[rows[end - 4 : end - 1]].sum(axis=0) for end in store.offsets[1:]])
    learnt = hit_rate_at_10(scores, store=store, rows=rows)
    popular = hit_rate_at_10(np.tile(popularity, (store.num_users, 1)), store=store, rows=rows)
    assert learnt > 0.15
    assert learnt > 3 * popular


def hit_rate_at_10(scores: np.ndarray, *, store: Store, rows: Int64Array) -> float:
    hits = 0
    for user, (start, end) in enumerate(zip(store.offsets[:-1], store.offsets[1:], strict=True)):
        user_scores = scores[user].copy()
        user_scores[rows[start : end - 1]] = -1
        hits += rows[end - 1] in np.argsort(-user_scores, kind="stable")[:10]
    return hits / store.num_users
