import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.primitives.paths import find_colliding, require_inside_bundle


@pytest.mark.parametrize(
    "path",
    [
        "run.json",
        "config/ml-1m/hstu-sampled-softmax-n128-final.gin",
        "ckpts/HSTU-b8-h2_ep100",
        "tb/events.out.tfevents.1700000000.host.0",
        "code/größe/日本.txt",
        "code/.hidden",
        "code/console.py",
        "code/with space.txt",
        "a" * 255,
    ],
)
def test_an_ordinary_path_is_returned_unchanged(path: str) -> None:
    assert require_inside_bundle(path) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "../a", "a/../b", "a/..", "./a", "a/.", "a//b", "a/", "/a", "//host/a", "/"),
        *("C:\\a", "C:a", "a\\b", "..\\a", "a:stream", "~", "~user/a", "a/~b", "a*", "a?", "a|b", "<a>", '"a"'),
        *("a\nb", "a\0b", "a\x1b[31m", "a\u202eb", "a\u200bb", "a\u2028b", "a\u2029b", "a\u0085b", "a\ud800b", "a\x7f"),
        *("a.", "a ", "a./b", "a /b", "CON", "con.txt", "a/NUL", "aux.tar.gz", "COM1", "lpt9.x"),
        *("e\u0301", "a/\u1112\u1161", "a" * 256, "é" * 128, "a/" * 2048 + "a"),
    ],
)
def test_a_path_that_leaves_blurs_or_differs_between_systems_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|file name|form C"):
        require_inside_bundle(path)


@given(path=st.text(max_size=30))
def test_what_is_accepted_is_relative_normal_and_one_line(path: str) -> None:
    try:
        require_inside_bundle(path)
    except ValueError:
        return
    assert unicodedata.is_normalized("NFC", path)
    assert not {"", ".", ".."} & set(path.split("/"))
    assert path.splitlines() == [path]
    assert path.encode().decode() == path


def test_names_that_are_one_on_some_systems_collide() -> None:
    assert find_colliding(["a/B", "a/b", "c"]) == [("a/B", "a/b")]
    assert find_colliding(["straße", "STRASSE"]) == [("STRASSE", "straße")]
    assert find_colliding(["é", "e\u0301"]) == [("e\u0301", "é")]


def test_a_file_and_a_folder_of_one_name_collide() -> None:
    assert find_colliding(["a", "a/b"]) == [("a", "a")]
    assert find_colliding(["A", "a/b/c"]) == [("A", "a")]


def test_folders_that_differ_in_case_only_collide() -> None:
    assert find_colliding(["Config/a", "config/b", "config/c"]) == [("Config", "config")]
    assert find_colliding(["x/É/a", "x/é/b/c"]) == [("x/É", "x/é")]


@given(paths=st.sets(st.from_regex(r"[a-c](/[a-c]){0,2}", fullmatch=True), max_size=8))
def test_without_prefixes_lower_case_names_never_collide(paths: set[str]) -> None:
    leaves = {f"{path}.x" for path in paths}
    assert find_colliding(leaves) == []
