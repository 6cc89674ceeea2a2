"""Which store a recipe or bundle gets, and what is said where there is none."""

from dataclasses import replace
from pathlib import Path

import pytest

from hstu_preserve.data.filtered_data import FILTERED_DATA, REVIEWS
from hstu_preserve.data.finding import (
    STORES_VARIABLE,
    find_store_for_recipe,
    open_pinned_store,
    open_store_for_bundle,
)
from hstu_preserve.data.known_datasets import PUBLISHED_NAMES, advise, find_known_dataset
from hstu_preserve.data.store import write_store
from hstu_preserve.errors import ContentError, DataMismatchError, UnavailableError, UnknownNameError
from hstu_preserve.records.manifest import DataReference
from tests.data.stores_in_memory import synthesize
from tests.factories import make_recipe

STORE = synthesize(seed=7, num_users=12, num_items=30, num_ratings=150)


def refer(**changes: str | int) -> DataReference:
    counts = STORE.record.counts
    return DataReference.model_validate(
        {
            "name": STORE.name,
            "fingerprint": STORE.fingerprint,
            "tie_policy": "stable",
            "redistributable": True,
            "included": False,
            "num_users": counts.num_users,
            "num_rated_items": counts.num_rated_items,
            "num_candidates": counts.num_candidates,
            "num_ratings": counts.num_ratings,
            "source": "x",
            **changes,
        }
    )


def test_data_as_it_is_told_is_opened(tmp_path: Path) -> None:
    write_store(STORE, tmp_path / "store")
    assert open_store_for_bundle(refer(), tmp_path / "store").fingerprint == STORE.fingerprint
    assert open_store_for_bundle(refer(name="mine"), tmp_path / "store").name == STORE.name


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"num_users": 138_493}, "users told as 138,493, found 12"),
        ({"num_ratings": 20_000_263, "name": "ml-20m"}, "ratings told as 20,000,263, found 150"),
        ({"num_candidates": 27_278}, "candidates told as 27,278, found 30"),
        ({"num_rated_items": 1}, "rated items told as 1, found"),
    ],
)
def test_data_that_is_told_with_other_sizes_is_refused(tmp_path: Path, told: dict[str, str | int], found: str) -> None:
    write_store(STORE, tmp_path / "store")
    with pytest.raises(ContentError, match=f"the bundle calls its data .*{found}"):
        open_store_for_bundle(refer(**told), tmp_path / "store")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("ml-1m", "then 'hstu-preserve data prepare ml-1m --from ml-1m.zip --output ml-1m' makes one"),
        ("ml-10m", "'hstu-preserve data import CSV --name ml-10m --output DIR' makes one"),
        ("mine", "'hstu-preserve data import CSV --name mine --output DIR' makes one"),
        ("amzn-books", "'hstu-preserve data import CSV --name amzn-books --output DIR' makes one"),
        ("synthetic", "'hstu-preserve data synthesize --seed S --output DIR' makes one"),
        ("ml-3b", "generates it from ml-20m, and no command here makes a store of it"),
        ("ml-1b", "generated it from ml-20m (ml-20mx16x32), and no command here makes a store of it"),
    ],
)
@pytest.mark.parametrize("is_set", [False, True])
def test_where_there_is_no_data_the_command_that_makes_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, advice: str, is_set: bool
) -> None:
    if is_set:
        monkeypatch.setenv(STORES_VARIABLE, str(tmp_path))
    else:
        monkeypatch.delenv(STORES_VARIABLE, raising=False)
    with pytest.raises(UnavailableError) as caught:
        find_store_for_recipe(make_recipe(dataset={"name": name}).dataset, None)
    assert advice in str(caught.value)


@pytest.mark.parametrize("name", ["ml-10m", "ml-1b", "ml-3b", "mine", "amazon"])
def test_no_command_is_named_that_does_not_know_the_data(name: str) -> None:
    assert name not in PUBLISHED_NAMES
    assert "data prepare" not in advise(name)
    with pytest.raises(UnknownNameError) as caught:
        find_known_dataset(name)
    assert (
        all(known in str(caught.value) for known in PUBLISHED_NAMES)
        or "generated" in advise(name)
        or "generates" in advise(name)
    )


def write_filtered(folder: Path, *, least: int | None) -> Path:
    """Write the store as if users and items with fewer events had been left out of its source."""
    provenance = STORE.record.provenance.model_copy(update={"min_user_events": least, "min_item_events": least})
    write_store(replace(STORE, record=STORE.record.model_copy(update={"provenance": provenance})), folder)
    return folder


def test_a_store_of_another_filter_is_refused_and_the_command_for_the_right_one_is_named(tmp_path: Path) -> None:
    whole, filtered = write_filtered(tmp_path / "whole", least=None), write_filtered(tmp_path / "filtered", least=5)
    plain = make_recipe(dataset={"name": STORE.name}).dataset
    wanted = plain.model_copy(update={"min_user_events": 5, "min_item_events": 5})
    assert find_store_for_recipe(plain, whole).fingerprint == find_store_for_recipe(wanted, filtered).fingerprint
    with pytest.raises(DataMismatchError, match=r"holds synthetic of all users .*data.min_user_events = 5, .* = 5\)"):
        find_store_for_recipe(wanted, whole)
    with pytest.raises(DataMismatchError, match=r"at least 5 events \(counted once\), the recipe is for data of all"):
        open_pinned_store(plain, filtered)
    with pytest.raises(DataMismatchError, match=r"data prepare ml-1m --from ml-1m.zip --min-user-events 5 --min-item"):
        open_pinned_store(wanted.model_copy(update={"name": "ml-1m"}), whole)


def test_the_store_of_the_recipes_filter_is_found_among_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STORES_VARIABLE, str(tmp_path))
    for least in (None, 5):
        write_filtered(tmp_path / str(least), least=least)
    settings = make_recipe(dataset={"name": STORE.name}).dataset
    for least in (None, 5):
        wanted = settings.model_copy(update={"min_user_events": least, "min_item_events": least})
        assert find_store_for_recipe(wanted, None).record.provenance.min_user_events == least
    with pytest.raises(UnavailableError, match="no store with dataset synthetic of users with at least 4 events and"):
        find_store_for_recipe(settings.model_copy(update={"min_user_events": 4}), None)


@pytest.mark.parametrize("name", REVIEWS)
def test_reviews_are_named_with_the_command_that_imports_them(name: str) -> None:
    said = advise(name)
    assert f"import-sequences {REVIEWS[name]} --name {name} --min-user-events 5 --min-item-events 5" in said
    assert FILTERED_DATA[name].file_name in said
    with pytest.raises(UnknownNameError, match="import-sequences"):
        find_known_dataset(name)
