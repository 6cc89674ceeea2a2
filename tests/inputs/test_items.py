"""What a model is told of a store's items: candidates, genres, decades, and counts that leak nothing held out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given

from hstu_preserve.data.movie_table import MovieTable
from hstu_preserve.data.store import Store
from hstu_preserve.inputs.items import describe_items, find_decades
from hstu_preserve.model.items import NUM_DECADES
from hstu_preserve.records.recipe import Protocol, Recipe
from hstu_preserve.records.store import TiePolicy
from tests.data.stores_in_memory import build_store
from tests.data.strategies import MAX_ITEM, ORIGIN, Event, events, list_sequences, make_ratings, make_store
from tests.factories import make_recipe

each_protocol = pytest.mark.parametrize("protocol", Protocol)
HELD_OUT = {Protocol.UPSTREAM: 1, Protocol.VALIDATED: 2}

SPARSE = MovieTable(
    item_ids=np.array([90, 4, 7], dtype=np.int32),
    genres=(("Drama", "Comedy"), ("Western",), ("Comedy",)),
    years=np.array([1994, 0, 1888], dtype=np.int16),
)
"""A table with gaps between its ids, not in their order."""


def make_sparse_store(movies: MovieTable = SPARSE) -> Store:
    ratings = make_ratings([(1, 90, 10, 7), (1, 7, 8, 9)])
    return build_store(ratings, movies, name="sparse", tie_policy=TiePolicy.STABLE, origin=ORIGIN)


def choose(protocol: Protocol) -> Recipe:
    return make_recipe(dataset={"protocol": protocol.value})


@each_protocol
@given(rows=events)
def test_only_what_the_protocol_trains_on_is_counted(protocol: Protocol, rows: list[Event]) -> None:
    sequences = list_sequences(rows, tie_policy=TiePolicy.STABLE).values()
    trained_on = [event[1] for sequence in sequences for event in sequence[: -HELD_OUT[protocol]]]
    expected = [trained_on.count(item) for item in range(MAX_ITEM + 1)]
    assert describe_items(make_store(rows), choose(protocol)).count_J.tolist() == expected


@each_protocol
@given(rows=events)
def test_another_held_out_item_changes_no_count(protocol: Protocol, rows: list[Event]) -> None:
    store = make_store(rows)
    held_out = [
        event
        for start, end in zip(store.offsets[:-1], store.offsets[1:], strict=True)
        for event in range(max(start, end - HELD_OUT[protocol]), end)
    ]
    item_ids = store.item_ids.copy()
    item_ids[held_out] = item_ids[held_out] % MAX_ITEM + 1
    before, after = (describe_items(each, choose(protocol)) for each in (store, replace(store, item_ids=item_ids)))
    assert torch.equal(before.count_J, after.count_J)


def test_positional_sampling_leaves_the_counts() -> None:
    store = make_store([(1, 2, 10, time) for time in range(6)])
    recipes = [make_recipe(dataset={"positional_sampling_ratio": ratio}) for ratio in (1.0, 0.1)]
    counts = [describe_items(store, recipe).count_J[2].item() for recipe in recipes]
    assert counts == [5, 5]


def test_candidates_are_the_whole_table_or_what_anybody_rated_even_once_and_last() -> None:
    store = make_sparse_store()
    found = {
        choice: describe_items(store, make_recipe(dataset={"candidates": choice})).candidate_I
        for choice in ("all", "rated")
    }
    assert found["all"].tolist() == [4, 7, 90]
    assert found["rated"].tolist() == [7, 90]
    assert {candidate_I.dtype for candidate_I in found.values()} == {torch.int64}


def test_side_information_stands_at_the_ids_and_nowhere_else() -> None:
    items = describe_items(make_sparse_store(), make_recipe())
    assert items.max_item_id == 90
    assert items.num_genres == 3
    assert {len(table) for table in (items.genre_JG, items.decade_J, items.count_J)} == {91}
    assert {item: items.genre_JG[item].tolist() for item in (4, 7, 90)} == {
        4: [0, 0, 1],
        7: [1, 0, 0],
        90: [1, 1, 0],
    }
    assert {item: items.decade_J[item].item() for item in (4, 7, 90)} == {4: 0, 7: 2, 90: 13}
    is_elsewhere_J = torch.ones(91, dtype=torch.bool)
    is_elsewhere_J[[4, 7, 90]] = False
    assert not items.genre_JG[is_elsewhere_J].any()
    assert not items.decade_J[is_elsewhere_J].any()


def test_side_information_does_not_depend_on_which_items_are_candidates() -> None:
    store = make_sparse_store()
    all_items, rated = (
        describe_items(store, make_recipe(dataset={"candidates": choice})) for choice in ("all", "rated")
    )
    assert torch.equal(all_items.genre_JG, rated.genre_JG)
    assert torch.equal(all_items.decade_J, rated.decade_J)


def test_the_order_in_which_genres_are_listed_does_not_matter() -> None:
    turned = replace(SPARSE, genres=tuple(names[::-1] for names in SPARSE.genres))
    one, other = (describe_items(make_sparse_store(movies), make_recipe()) for movies in (SPARSE, turned))
    assert turned.genres != SPARSE.genres
    assert torch.equal(one.genre_JG, other.genre_JG)


def test_what_a_model_computes_with_has_the_promised_types() -> None:
    items = describe_items(make_sparse_store(), make_recipe())
    found = (items.candidate_I.dtype, items.genre_JG.dtype, items.decade_J.dtype, items.count_J.dtype)
    assert found == (torch.int64, torch.float32, torch.int64, torch.int64)


def test_decades_begin_with_their_first_year_and_zero_is_an_unknown_one() -> None:
    years = np.array([0, 1870, 1874, 1879, 1880, 1999, 2000, 2009, 2030, 2039], dtype=np.int16)
    assert find_decades(years).tolist() == [0, 1, 1, 1, 2, 13, 14, 14, 17, 17]


def test_years_outside_the_decades_count_as_the_nearest() -> None:
    years = np.array([1, 1869, 2040, 9999], dtype=np.int16)
    assert find_decades(years).tolist() == [1, 1, NUM_DECADES - 1, NUM_DECADES - 1]
