import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.errors import MissingPathError, PreserveError, RecipeError
from hstu_preserve.gin_recipes import reader
from hstu_preserve.gin_recipes.reader import GinChain, read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.gin_recipes.syntax import Location, Reference


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write the files under `root` and return the first one's path."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root / next(iter(files))


def read(root: Path, files: Mapping[str, str | bytes]) -> GinChain:
    return read_chain(write(root, files), root=root)


def values(chain: GinChain) -> dict[str, object]:
    return {str(key): binding.value for key, binding in chain.bindings.items()}


def test_literals_keep_their_value_and_type(tmp_path: Path) -> None:
    text = """
f.text = 'a' "b"
f.number = -1e-3
f.tuple = (1, 2)
f.parenthesised = (1)
f.nested = {'a': [1, None, True]}
f.reference = @some.module
"""
    found = values(read(tmp_path, {"a.gin": text}))
    assert found == {
        "f.text": "ab",
        "f.number": -1e-3,
        "f.tuple": (1, 2),
        "f.parenthesised": 1,
        "f.nested": {"a": [1, None, True]},
        "f.reference": Reference(name="some.module", is_call=False),
    }


def test_each_binding_keeps_its_place(tmp_path: Path) -> None:
    chain = read(
        tmp_path,
        {"a.gin": "# head\nf.x = 1\n\nf:\n  y = 2\n  z = [\n    3]\ninclude 'sub/b.gin'", "sub/b.gin": "g.x=4"},
    )
    assert {str(key): str(binding.location) for key, binding in chain.bindings.items()} == {
        "f.x": "a.gin:2",
        "f.y": "a.gin:5",
        "f.z": "a.gin:6",
        "g.x": "sub/b.gin:1",
    }


def test_the_last_binding_wins_with_includes_expanded_in_place(tmp_path: Path) -> None:
    chain = read(tmp_path, {"a.gin": "f.x = 1\nf.y = 1\ninclude 'b.gin'\nf.y = 3", "b.gin": "f.x = 2\nf.y = 2"})
    assert values(chain) == {"f.x": 2, "f.y": 3}
    assert [str(binding.location) for binding in chain.bindings.values()] == ["b.gin:1", "a.gin:4"]


def test_macros_are_bound_late(tmp_path: Path) -> None:
    text = "WIDTH = 50\nf.dqk = %WIDTH\nf.both = (%WIDTH, {'w': @WIDTH/macro()})\nWIDTH = 64\nWIDTH/macro.value = 32"
    assert values(read(tmp_path, {"a.gin": text})) == {"f.dqk": 32, "f.both": (32, {"w": 32})}


def test_macros_may_name_macros_and_have_scopes(tmp_path: Path) -> None:
    chain = read(tmp_path, {"a.gin": "f.x = %a/B\na/B = [%C]\nC = 7\nD = 1\nE/gin.macro:\n  value = 2"})
    assert values(chain) == {"f.x": [7]}
    assert chain.unused_macros == {"D": Location(file="a.gin", line=4), "E": Location(file="a.gin", line=6)}


def test_a_module_qualified_name_is_its_last_component(tmp_path: Path) -> None:
    chain = read(
        tmp_path, {"a.gin": "s/research.trainer.train.train_fn.x = 1\nresearch.train_fn.x = 2\ntrain_fn.x = 3"}
    )
    assert values(chain) == {"s/train_fn.x": 1, "train_fn.x": 3}


def test_an_include_is_looked_for_beside_the_file_and_then_in_the_root(tmp_path: Path) -> None:
    chain = read(
        tmp_path,
        {
            "recipes/a.gin": "include 'base.gin'\ninclude 'shared/c.gin'\ninclude '../shared/c.gin'",
            "recipes/base.gin": "f.x = 'beside'",
            "base.gin": "f.x = 'root'",
            "shared/c.gin": "f.y = 1",
        },
    )
    assert values(chain) == {"f.x": "beside", "f.y": 1}
    assert chain.entry == "recipes/a.gin"
    assert [name for name, _ in chain.files] == ["recipes/a.gin", "recipes/base.gin", "shared/c.gin"]
    assert dict(chain.files)["recipes/base.gin"] == b"f.x = 'beside'"


def test_a_chain_that_is_written_again_from_its_files_reads_the_same(tmp_path: Path) -> None:
    files = {"x/a.gin": "include 'b.gin'\ninclude 'c.gin'", "x/b.gin": "include 'c.gin'\nf.x = 1", "c.gin": "f.x = 2"}
    chain = read(tmp_path / "first", files)
    again = tmp_path / "again"
    write(again, dict(chain.files))
    copy = read_chain(again / chain.entry, root=again)
    assert (copy.bindings, copy.files, copy.entry) == (chain.bindings, chain.files, chain.entry)


def test_the_root_of_an_authored_chain_is_its_bundles_folder(tmp_path: Path) -> None:
    path = write(tmp_path, {"bundles/one/recipe.gin": "include 'base.gin'", "bundles/base.gin": "f.x = 1"})
    chain = read_chain(path, root=None)
    assert (chain.root, chain.entry) == (tmp_path / "bundles", "one/recipe.gin")
    lone = read_chain(write(tmp_path, {"other/recipe.gin": ""}), root=None)
    assert (lone.root, lone.entry) == (tmp_path / "other", "recipe.gin")


def test_the_root_may_be_named_through_a_symlink(tmp_path: Path) -> None:
    path = write(tmp_path, {"real/a.gin": "f.x = 1"})
    (tmp_path / "link").symlink_to("real")
    assert read_chain(path, root=tmp_path / "link").entry == "a.gin"
    assert read_chain(tmp_path / "link" / "a.gin", root=tmp_path / "real").entry == "a.gin"


def test_a_symlink_inside_the_root_is_packed_under_its_own_name(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.gin": "include 'link.gin'", "b.gin": "f.x = 1"})
    (tmp_path / "link.gin").symlink_to("b.gin")
    assert [name for name, _ in read_chain(path, root=tmp_path).files] == ["a.gin", "link.gin"]


def test_a_file_may_be_included_twice_but_not_without_end(tmp_path: Path) -> None:
    diamond = {"a.gin": "include 'b.gin'\ninclude 'c.gin'", "b.gin": "include 'd.gin'", "c.gin": "include 'd.gin'"}
    assert len(read(tmp_path, {**diamond, "d.gin": "f.x = 1"}).files) == 4
    doubling = {f"{n}.gin": f"include '{n + 1}.gin'\n" * 2 for n in range(12)}
    with pytest.raises(RecipeError, match=r"\d+\.gin:[12]: the chain reads more than 64 files"):
        read(tmp_path, {**doubling, "12.gin": ""})


def test_includes_nest_only_so_deep(tmp_path: Path) -> None:
    files = {f"{n}.gin": f"include '{n + 1}.gin'" for n in range(reader.MAX_INCLUDE_DEPTH)}
    depth = reader.MAX_INCLUDE_DEPTH
    assert len(read(tmp_path, {**files, f"{depth}.gin": ""}).files) == depth + 1
    with pytest.raises(RecipeError, match=rf"^{depth}.gin:1: includes are nested deeper than {depth}$"):
        read(tmp_path, {**files, f"{depth}.gin": f"include '{depth + 1}.gin'", f"{depth + 1}.gin": ""})


def test_a_chain_is_only_so_large(tmp_path: Path) -> None:
    filler = "#" * reader.MAX_FILE_BYTES
    files = {"a.gin": "\n".join(f"include '{n}.gin'" for n in range(5)), **{f"{n}.gin": filler for n in range(5)}}
    with pytest.raises(RecipeError, match=r"^a.gin:4: the chain is larger than 4194304 bytes$"):
        read(tmp_path, files)


def test_an_include_cycle_is_named(tmp_path: Path) -> None:
    files = {"a.gin": "include 'b.gin'", "b.gin": "\ninclude 'sub/c.gin'", "sub/c.gin": "include '../b.gin'"}
    with pytest.raises(RecipeError, match=r"^sub/c.gin:1: include cycle: b.gin → sub/c.gin → b.gin$"):
        read(tmp_path, files)


def test_an_include_cycle_through_a_symlink_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.gin": "include 'link.gin'"})
    (tmp_path / "link.gin").symlink_to("a.gin")
    with pytest.raises(RecipeError, match=r"^a.gin:1: include cycle: a.gin → link.gin$"):
        read_chain(path, root=tmp_path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.gin", "leads outside of the gin root"),
        ("sub/../../secret.gin", "leads outside of the gin root"),
        ("/etc/hostname", "is absolute"),
        ("C:\\\\secret.gin", "is absolute"),
        ("link.gin", "symbolic link that leads outside of the gin root"),
        ("folder/secret.gin", "symbolic link that leads outside of the gin root"),
        ("loop.gin", "symbolic link that leads nowhere"),
        ("", "not a relative path"),
        (".", "not a relative path"),
        ("a\\x00b.gin", "control, format"),
        ("\\ud800.gin", "control, format"),
        ("x" * 300, "path too long"),
        ("empty", "not a regular file"),
    ],
)
def test_an_include_that_is_no_file_of_the_root_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    root = tmp_path / "root"
    path = write(root, {"a.gin": f"\ninclude '{name}'"})
    write(tmp_path, {"secret.gin": "f.x = 1"})
    (root / "link.gin").symlink_to("../secret.gin")
    (root / "folder").symlink_to("..")
    (root / "loop.gin").symlink_to("loop.gin")
    (root / "empty").mkdir()
    with pytest.raises(RecipeError, match=rf"^a.gin:2: .*{reason}"):
        read_chain(path, root=root)


def test_a_fifo_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.gin": "include 'pipe.gin'"})
    os.mkfifo(tmp_path / "pipe.gin")
    with pytest.raises(RecipeError, match=r"^a.gin:1: .*not a regular file"):
        read_chain(path, root=tmp_path)


def test_a_missing_file_is_named_with_the_include_that_wants_it(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match=r"nowhere.gin: no such file"):
        read_chain(tmp_path / "nowhere.gin", root=None)
    with pytest.raises(MissingPathError, match=r"^a.gin:2: include 'b.gin': no such file"):
        read(tmp_path, {"a.gin": "\ninclude 'b.gin'"})
    with pytest.raises(MissingPathError, match=r"^sub/a.gin:1: include '../b.gin': no such file"):
        read(tmp_path, {"sub/a.gin": "include '../b.gin'"})
    (tmp_path / "b.gin").symlink_to("gone.gin")
    with pytest.raises(MissingPathError, match=r"^a.gin:1: .*gone.gin: no such file"):
        read(tmp_path, {"a.gin": "include 'b.gin'"})


def test_an_entry_outside_of_the_root_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"a.gin": ""})
    (tmp_path / "root").mkdir()
    with pytest.raises(RecipeError, match="outside of the gin root"):
        read_chain(path, root=tmp_path / "root")


def test_names_that_are_one_file_on_some_systems_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"B.gin and b.gin name one file on some systems"):
        read(tmp_path, {"a.gin": "include 'b.gin'\ninclude 'B.gin'", "b.gin": "", "B.gin": ""})


BOMB = "\n".join(f"M{n} = [{', '.join([f'%M{n + 1}'] * 10)}]" for n in range(9)) + "\nM9 = 1\nf.x = %M0"
LONG_CHAIN = "\n".join(f"M{n} = %M{n + 1}" for n in range(5000)) + "\nM5000 = 1\nf.x = %M0"

BAD_TEXTS: Mapping[str, tuple[str | bytes, str]] = {
    "import": ("f.x = 1\nimport os.path", "2: import of os.path refused"),
    "from": ("from os import path as p", "1: import of os.path refused"),
    "dynamic registration": ("from __gin__ import dynamic_registration", "1: import of"),
    "call": ("\nf.x = @os.system()", r"2: @os.system\(\) would call a function"),
    "call in a list": ("f.x = [1, (@g(),)]", r"1: @g\(\) would call a function"),
    "call in a key": ("f.x = {@g(): 1}", r"1: @g\(\) would call a function"),
    "call in a block": ("f:\n  x = 1\n  y = @g()", r"3: @g\(\) would call a function"),
    "call through a macro": ("M = @g()\nf.x = %M", r"2: @g\(\) would call a function"),
    "call in an unused macro": ("M = @g()", r"1: @g\(\) would call a function"),
    "undefined macro": ("\n\nf.x = %MISSING", "3: undefined macro %MISSING"),
    "undefined macro in an unused one": ("M = %N", "1: undefined macro %N"),
    "REQUIRED within a value": ("f.x = [%gin.REQUIRED]", "1: gin.REQUIRED stands within a value"),
    "macro loop": ("A = %B\nB = [%A]\nf.x = %A", "3: a macro stands for itself"),
    "unused macro loop": ("A = %A", "1: a macro stands for itself"),
    "macro bomb": (BOMB, "11: the chain's values expand to more than"),
    "long chain of macros": (LONG_CHAIN, "5002: the value expands to more than 64 levels"),
    "unhashable key through a macro": ("K = [1]\nf.x = {%K: 1}", "2: %K cannot be a dictionary's key"),
    "unhashable key": ("f.x = {[1]: 1}", "1: not gin: a list cannot be a dictionary's key"),
    "deep nesting": ("f.y = 1\nf.x = " + "[" * 10_000 + "]" * 10_000, "2: nested deeper than 32"),
    "deep nesting over lines": ("f.x = " + "(\n" * 10_000, "33: nested deeper than 32"),
    "many strings": ("f.x = " + "'a' " * 100_000, "1: more than 64 strings in a row"),
    "many strings over lines": ("f.x = (" + "'a'\n" * 100_000 + ")", "65: more than 64 strings in a row"),
    "unterminated string": ("f.y = 1\nf.x = 'abc", "2: not gin"),
    "unterminated long string": ("f.y = 1\nf.x = '''abc\n", "2: not gin"),
    "unterminated list": ("f.x = [1,\n2\n", "[23]: not gin"),
    "binary garbage": (bytes(range(256)), "2: not UTF-8"),
    "null byte": (b"f.x = 1\nf.\x00y = 2", "2: not gin"),
    "mark of UTF-16": ("f.x = 1".encode("utf-16"), "1: not UTF-8 but UTF-16; save the file as UTF-8"),
    "mark of UTF-32": ("f.x = 1".encode("utf-32"), "1: not UTF-8 but UTF-32; save the file as UTF-8"),
    "indentation": ("f:\nx = 1", "2: not gin: Expected indentation"),
    "dedent to nowhere": ("f:\n    x = 1\n  y = 2", "3: not gin"),
    "tabs and spaces": ("f:\n        x = 1\n\ty = 2\n  z = 3", "[34]: not gin"),
    "no value": ("f.x =", "1: not gin"),
    "two values": ("f.x = 1 2", "1: not gin: more text follows the value"),
    "expression": ("f.x = 1 + 1", "1: not gin"),
    "f-string": ("f.x = f'{1}'", "1: not gin"),
    "name": ("f.x = open", "1: not gin"),
    "call syntax": ("f.x = open('a')", "1: not gin"),
    "number of many digits": ("f.x = " + "9" * 5000, "1: not gin"),
    "include of no string": ("include 3", "1: not gin: Expected file path"),
    "malformed scope": ("a//f.x = 1", "1: not gin"),
    "malformed selector": ("f..x = 1", "1: not gin"),
    "spaces in a selector": ("f . x = 1", "1: not gin"),
    "half a reference": ("f.x = @", "1: not gin"),
    "half a macro": ("f.x = %", "1: not gin"),
    "half a call": ("f.x = @g(1)", "1: not gin"),
    "block of nothing": ("f:\n", "[12]: not gin"),
    "large file": ("#" * (2 * 1024 * 1024), " .*larger than 1048576 bytes"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_bad_text_is_refused_with_its_line(tmp_path: Path, case: str) -> None:
    text, message = BAD_TEXTS[case]
    with pytest.raises(RecipeError, match=rf"^bad.gin:{message}"):
        read(tmp_path, {"bad.gin": text})
    with pytest.raises(RecipeError, match=rf"^bad.gin:{message}|^entry.gin:1: .*larger"):
        read(tmp_path, {"entry.gin": "include 'bad.gin'", "bad.gin": text})


NO_VALUES = {
    "true": "'true' is no gin value; write True",
    "[1, false]": "'false' is no gin value; write False",
    "{'a': null}": "'null' is no gin value; write None",
    "-infinity": "'-infinity' is no gin value; text stands in quotes",
    "float('nan')": "'float' is no gin value; text stands in quotes",
    "f'{1}'": "the text f'{1}' cannot be read",
    "9" * 5000: "a number of 5000 digits",
    "{{}: 1}": "a dict cannot be a dictionary's key",
    "": "the value cannot be read: gin takes numbers",
    "@": "a name is expected here",
    "1 + 1": "more text follows the value",
}


@pytest.mark.parametrize("value", NO_VALUES)
def test_what_is_no_value_is_told_in_words_of_our_own(tmp_path: Path, value: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, {"a.gin": f"f.x = {value}\n"})
    assert str(caught.value).startswith(f"a.gin:1: not gin: {NO_VALUES[value]}")
    assert not re.search(r"0x[0-9a-f]{6}|ast\.|line 1:", str(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        "f.x = %gin.REQUIRED",
        "f.x = 1\nf.x = %gin.REQUIRED",
        "y/f.x = %gin.REQUIRED",
        "f:\n  x = %gin.REQUIRED",
    ],
)
def test_a_name_that_is_required_and_bound_nowhere_is_told_as_such(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError, match=r"^a\.gin:\d: (y/)?f\.x is marked REQUIRED and bound nowhere after that"):
        read(tmp_path, {"a.gin": text})


def test_a_required_name_that_is_bound_later_is_bound(tmp_path: Path) -> None:
    assert values(read(tmp_path, {"a.gin": "f.x = %gin.REQUIRED\nf.x = 2"})) == {"f.x": 2}


@pytest.mark.parametrize("marked", ["a.gin", "b.gin", "both"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, marked: str) -> None:
    texts = {"a.gin": "include 'b.gin'\nf.x = 'ä'", "b.gin": "# first\nf.y = 2"}
    files = {name: text.encode("utf-8-sig" if marked in {name, "both"} else "utf-8") for name, text in texts.items()}
    chain = read(tmp_path, files)
    assert values(chain) == {"f.x": "ä", "f.y": 2}
    assert dict(chain.files) == files


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_a_message_stays_readable(tmp_path: Path, case: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read(tmp_path, {"bad.gin": BAD_TEXTS[case][0]})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_literals_that_python_warns_of_are_read_without_a_warning(tmp_path: Path) -> None:
    assert values(read(tmp_path, {"a.gin": r"f.x = '\d'"})) == {"f.x": "\\d"}


def resolves_or_refuses(content: bytes) -> None:
    """Any other exception than ours fails the test that calls this."""
    with tempfile.TemporaryDirectory() as folder, suppress(PreserveError):
        path = Path(folder) / "a.gin"
        path.write_bytes(content)
        resolve(read_chain(path, root=None))


@given(st.binary())
def test_arbitrary_bytes_resolve_or_are_refused(content: bytes) -> None:
    resolves_or_refuses(content)


@given(st.text())
def test_arbitrary_text_resolves_or_is_refused(text: str) -> None:
    resolves_or_refuses(text.encode())


FRAGMENTS = (
    *("train_fn", "claim", "bundle", "include", "import", "A", "f", "macro", "value", "seeds", "loss_weights", "x/"),
    *(".", "/", "=", ":", "@", "%", "()", "(", ")", "[", "]", "{", "}", ",", "-", "$", "'", '"', "'''", "\\", "#"),
    *(
        " ",
        "\n",
        "\n  ",
        "\n\t",
        "\r",
        "\x0c",
        "1",
        "0.5",
        "1e999",
        "1j",
        "b'x'",
        "...",
        "None",
        "True",
        "'a.gin'",
        "''",
    ),
    *("train_fn.num_epochs = ", "A = ", "claim.seeds = ", "a/claim.metric = ", "bundle.id = ", "data.protocol = "),
)


@given(st.lists(st.sampled_from(FRAGMENTS)).map("".join))
def test_arbitrary_fragments_of_gin_resolve_or_are_refused(text: str) -> None:
    resolves_or_refuses(text.encode())
