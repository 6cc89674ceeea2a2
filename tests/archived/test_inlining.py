"""A gin chain is written as one file that says the same, wherever it is started."""

from pathlib import Path

import pytest

from hstu_preserve.archived.inlining import inline_chain
from hstu_preserve.errors import RecipeError
from hstu_preserve.gin_recipes.reader import MAX_FILES_READ, read_chain
from tests.archived.strangers import GINS


def test_includes_are_replaced_by_the_included_text_and_the_overlay_follows() -> None:
    chain = inline_chain(GINS, entry="config/toy.gin", root="config", overlay=["train_fn.num_epochs = 1"])
    assert chain.text == (
        "# what the run was given\n"
        'train_fn.dataset_name = "toy"\ntrain_fn.num_epochs = 5\n'
        "WaveMixer.strength = 0.5\n"
        "\n# added for this run\ntrain_fn.num_epochs = 1\n"
    )
    assert chain.files == ("config/toy.gin", "config/base.gin")
    assert chain.sha256 != chain.chain_sha256


def test_the_one_file_binds_what_the_chain_binds(tmp_path: Path) -> None:
    contents = {
        "a.gin": b"x.a = 1\ninclude 'b.gin'\nx.b = %M\nM = 3\ninclude 'b.gin'  # twice\n",
        "b.gin": b"x.a = 2\nx.c = [\n  1,\n  2]\ninclude 'c.gin'\nx.c = 5",
        "c.gin": b"y/x.a = 'include'\nM = 4",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "one.gin").write_text(inline_chain(contents, entry="a.gin", root="", overlay=[]).text)
    one, chain = (read_chain(tmp_path / name, root=None).bindings for name in ("one.gin", "a.gin"))
    assert {key: one[key].value for key in one} == {key: chain[key].value for key in chain}


@pytest.mark.parametrize(
    "text",
    ["import os\n", "include 'gone.gin'\n", "include 'a.gin'\n", "x.a = \n"],
    ids=["import", "gone", "cycle", "no"],
)
def test_a_chain_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        inline_chain({"a.gin": text.encode()}, entry="a.gin", root="", overlay=[])


def test_includes_that_multiply_are_refused() -> None:
    contents = {f"{n}.gin": f"include '{n + 1}.gin'\n".encode() * 4 for n in range(8)} | {"8.gin": b"x.a = 1\n"}
    with pytest.raises(RecipeError, match=rf"too many|more than {MAX_FILES_READ}"):
        inline_chain(contents, entry="0.gin", root="", overlay=[])


@pytest.mark.parametrize("line", ["x", "include 'a.gin'", "import os", "x.a = 1\nx.b = 2", "# nothing", ""])
def test_what_is_not_one_binding_is_no_overlay(line: str) -> None:
    with pytest.raises(RecipeError):
        inline_chain(GINS, entry="config/toy.gin", root="config", overlay=[line])
