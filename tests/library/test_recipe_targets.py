"""A recipe that comes with the program is shown and trained by its id; it has no bundle to verify or to re-run."""

from pathlib import Path

import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.errors import UnknownNameError
from hstu_preserve.library.catalog import list_chains
from hstu_preserve.library.targets import resolve_target
from hstu_preserve.primitives.shipped import shipped_directory
from hstu_preserve.runs.planning import find_gin

RECIPE = "control-base-ic"


def test_every_folder_of_bundles_with_a_chain_is_found_by_its_id() -> None:
    folders = {folder.parent.name for folder in shipped_directory("bundles").glob("*/config")}
    assert list_chains().keys() == folders
    assert all(find_gin(one).name == f"{one}.gin" for one in folders)


def test_the_id_of_a_recipe_without_a_published_number_names_its_chain(capsys: pytest.CaptureFixture[str]) -> None:
    assert resolve_target(RECIPE) == list_chains()[RECIPE]
    assert main(["show", RECIPE]) == 0
    assert "input_compression.pooling = 'chunk'" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["verify", "reproduce", "unpack", "evaluate"])
def test_what_needs_a_bundle_says_that_a_recipe_is_none(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([verb, RECIPE]) == 2
    text = "".join(capsys.readouterr())
    assert f"{RECIPE}: a recipe without a bundle; make one with 'hstu-preserve train {RECIPE}'" in text
    assert list(tmp_path.iterdir()) == []


def test_a_misspelled_recipe_is_offered_its_neighbours() -> None:
    with pytest.raises(UnknownNameError, match="control-base-ic"):
        find_gin("control-base-icc")
