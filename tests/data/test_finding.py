"""Which store a recipe or bundle gets, and what is said where there is none."""

from pathlib import Path

import pytest

from hstu_preserve.data.finding import STORES_VARIABLE, find_store_for_recipe, open_store_for_bundle
from hstu_preserve.data.known_datasets import PUBLISHED_NAMES, advise, find_known_dataset
from hstu_preserve.data.store import write_store
from hstu_preserve.errors import ContentError, UnavailableError, UnknownNameError
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
