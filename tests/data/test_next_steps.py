"""Where there are no data, the message names what to fetch, how it is checked, and what to type."""

from pathlib import Path

import pytest

from hstu_preserve.data.finding import DATASET_BINDING, STORES_VARIABLE, search_stores
from hstu_preserve.data.known_datasets import KNOWN_DATASETS, advise
from hstu_preserve.errors import UnavailableError
from hstu_preserve.gin_recipes.bindings import RECIPE_BINDINGS


@pytest.mark.parametrize("name", KNOWN_DATASETS)
def test_an_edition_is_named_with_its_page_its_digest_and_the_command(name: str) -> None:
    said = advise(name)
    assert "https://grouplens.org/datasets/movielens/" in said
    assert f"data download {name}" in said
    assert f"data prepare {name} --from {name}.zip" in said
    assert (KNOWN_DATASETS[name].zip_md5 or "no md5 is known for it") in said


@pytest.mark.parametrize(
    ("name", "verb"), [("synthetic", "synthesize"), ("my-own", "import"), ("amzn-books", "import")]
)
def test_other_data_are_made_otherwise(name: str, verb: str) -> None:
    assert f"data {verb}" in advise(name)


def test_it_is_said_with_and_without_a_folder_of_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("", str(tmp_path)):
        monkeypatch.setenv(STORES_VARIABLE, folder)
        with pytest.raises(UnavailableError, match="data prepare ml-1m"):
            search_stores(lambda _: False, wanted="dataset ml-1m", advice=advise("ml-1m"))


def test_the_line_to_change_is_one_that_recipes_have() -> None:
    assert [one.path for one in RECIPE_BINDINGS if one.name == DATASET_BINDING] == ["dataset.name"]
