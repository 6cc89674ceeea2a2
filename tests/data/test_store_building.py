"""Ratings and a movie table made into a store."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.data.ratings import Ratings
from hstu_preserve.errors import ContentError
from hstu_preserve.records.store import TiePolicy
from tests.data.stores_in_memory import build_store
from tests.data.strategies import MOVIES, ORIGIN, Event, events, list_sequences, make_ratings, make_store

policies = st.sampled_from(TiePolicy)


@given(events, policies)
def test_users_are_sorted_and_their_events_ordered_as_the_policy_says(rows: list[Event], policy: TiePolicy) -> None:
    store = make_store(rows, tie_policy=policy)
    expected = list_sequences(rows, tie_policy=policy)
    assert store.user_ids.tolist() == list(expected)
    assert store.lengths.tolist() == [len(sequence) for sequence in expected.values()]
    flat = [event for sequence in expected.values() for event in sequence]
    assert store.item_ids.tolist() == [event[1] for event in flat]
    assert store.half_stars.tolist() == [event[2] for event in flat]
    assert store.timestamps.tolist() == [event[3] for event in flat]


@given(events, st.randoms(use_true_random=False))
def test_the_item_id_policy_gives_one_fingerprint_for_any_file_order(rows: list[Event], chance: random.Random) -> None:
    shuffled = chance.sample(rows, len(rows))
    assert (
        make_store(rows, tie_policy=TiePolicy.ITEM_ID).fingerprint
        == make_store(shuffled, tie_policy=TiePolicy.ITEM_ID).fingerprint
    )


def test_the_stable_policy_keeps_file_order_among_ties_and_so_fingerprints_it() -> None:
    rows = [(1, 3, 10, 7), (1, 2, 10, 7)]
    assert make_store(rows).item_ids.tolist() == [3, 2]
    assert make_store(rows).fingerprint != make_store(rows[::-1]).fingerprint


@given(events, policies)
def test_tied_events_are_those_that_share_user_and_time_with_the_one_before(
    rows: list[Event], policy: TiePolicy
) -> None:
    sequences = list_sequences(rows, tie_policy=policy).values()
    expected = sum(before[3] == after[3] for sequence in sequences for before, after in pairwise(sequence))
    assert make_store(rows, tie_policy=policy).record.provenance.tied_events == expected


def test_the_fingerprint_depends_on_the_arrays_and_not_on_name_or_origin() -> None:
    ratings = make_ratings([(1, 2, 10, 7), (1, 3, 8, 9)])
    one = build_store(ratings, MOVIES, name="one", tie_policy=TiePolicy.STABLE, origin=ORIGIN)
    two = build_store(ratings, MOVIES, name="two", tie_policy=TiePolicy.ITEM_ID, origin=ORIGIN)
    other = make_store([(1, 2, 10, 7), (1, 3, 9, 9)])
    assert one.fingerprint == two.fingerprint != other.fingerprint


def test_candidates_are_the_whole_movie_table_sorted_with_their_side_information() -> None:
    store = make_store([(1, 2, 10, 7)])
    assert store.candidate_ids.tolist() == list(range(1, 13))
    assert store.record.genres == ("Comedy", "Crime", "Drama")
    assert store.candidate_genres[[1, 2, 11]].tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 1]]
    assert store.candidate_years[[0, 11]].tolist() == [1951, 1999]
    assert store.max_item_id == 12
    assert store.record.counts.num_rated_items == 1


def test_a_repeated_rating_is_kept() -> None:
    assert make_store([(1, 2, 10, 7), (1, 2, 10, 7)]).num_events == 2


def test_a_rated_item_without_a_movie_is_refused_by_name() -> None:
    with pytest.raises(ContentError, match="item 13 is rated but not in the movie table"):
        make_store([(1, 2, 10, 7), (1, 99, 10, 7), (1, 13, 10, 7)])


def test_no_ratings_are_no_store() -> None:
    empty = Ratings(
        user_ids=np.empty(0, np.int32),
        item_ids=np.empty(0, np.int32),
        half_stars=np.empty(0, np.int8),
        timestamps=np.empty(0, np.int64),
    )
    with pytest.raises(ContentError, match="no ratings"):
        build_store(empty, MOVIES, name="none", tie_policy=TiePolicy.STABLE, origin=ORIGIN)


def test_the_arrays_of_a_store_cannot_be_written_to() -> None:
    with pytest.raises(ValueError, match="read-only"):
        make_store([(1, 2, 10, 7)]).item_ids[0] = 1
