"""Which line of a list of digests is about a file: the one at its path; a bare name only where it can mean no other."""

from pathlib import Path

import pytest

from hstu_preserve.digest_lists.matching import FilePlace, find_listing, locate, read_list
from hstu_preserve.digest_lists.parsing import parse_list
from hstu_preserve.errors import ContentError

A, B = "a" * 32, "b" * 32


def find(path: str, lines: dict[str, str], *, others: tuple[str, ...] = ()) -> str | None:
    listing = "\n".join(f"{md5}  {name}" for name, md5 in lines.items())
    found = find_listing(FilePlace(path=path, others=others), parse_list(listing.encode(), source="list"))
    return found.md5 if found else None


@pytest.mark.parametrize(
    ("path", "lines", "others"),
    [
        ("x.tar.gz", {"x.tar.gz": A}, ()),
        ("x.tar.gz", {"old/x.tar.gz": B, "x.tar.gz": A}, ()),
        ("x.tar.gz", {"old/x.tar.gz": B, "x.tar.gz": A}, ("old/x.tar.gz",)),
        ("old/x.tar.gz", {"x.tar.gz": B, "old/x.tar.gz": A}, ("x.tar.gz",)),
        ("x.tar.gz", {"x.tar.gz": A}, ("x.tgz",)),
        ("x.tar.gz", {"x": A}, ()),
        ("x.tar.gz", {"x.tar.gz": A, "x": B}, ()),
        ("old/x.tar.gz", {"old/x": A}, ()),
        ("old/x.tar.gz", {"x.tar.gz": A}, ("y.tar.gz",)),
        ("old/x.tar.gz", {"bundles/old/x.tar.gz": A}, ("x.tar.gz",)),
        ("x.tar.gz", {"/data/bundles/x.tar.gz": A}, ()),
    ],
)
def test_a_line_at_the_path_is_about_the_file(path: str, lines: dict[str, str], others: tuple[str, ...]) -> None:
    assert find(path, lines, others=others) == A


@pytest.mark.parametrize(
    ("path", "lines", "others"),
    [
        ("x.tar.gz", {"old/x.tar.gz": B}, ("old/x.tar.gz",)),
        ("x.tar.gz", {"old/x.tar.gz": B}, ()),
        ("old/x.tar.gz", {"x.tar.gz": B}, ("x.tar.gz",)),
        ("old/x.tar.gz", {"x.tar.gz": B}, ("new/x.tar.gz",)),
        ("old/x.tar.gz", {"new/x.tar.gz": B}, ()),
        ("x.tar.gz", {"y-x.tar.gz": B, "x.tar.gz.sig": B}, ()),
        ("b/x.tar.gz", {"a/b/x.tar.gz": B}, ("a/b/x.tar.gz",)),
    ],
)
def test_a_line_that_is_about_another_file_or_may_be_is_not(
    path: str, lines: dict[str, str], others: tuple[str, ...]
) -> None:
    assert find(path, lines, others=others) is None


def test_lines_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ContentError, match=r"x\.tar\.gz: the list gives it several digests \(line 1, line 2\)"):
        find("x.tar.gz", {"/data/x.tar.gz": A, "/other/x.tar.gz": B})


def test_a_file_on_this_machine_is_seen_from_the_list(tmp_path: Path) -> None:
    listing, archive = tmp_path / "MANIFEST.md", tmp_path / "old" / "x.tar.gz"
    assert locate(archive, digest_list=listing) == FilePlace(path="old/x.tar.gz", others=[])
    assert locate(archive, digest_list=tmp_path / "elsewhere" / "MANIFEST.md").path == "x.tar.gz"
    (tmp_path / "x.tar.gz").write_bytes(b"")
    assert locate(archive, digest_list=listing) == FilePlace(path="old/x.tar.gz", others=["x.tar.gz"])
    assert locate(tmp_path / "x.tar.gz", digest_list=listing) == FilePlace(path="x.tar.gz", others=[])


@pytest.mark.parametrize(
    "encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "latin-1", "cp1252", "iso8859-15", "cp437", "cp850"]
)
def test_an_unreadable_list_that_names_the_file_in_another_encoding_is_not_passed_over(encoding: str) -> None:
    unreadable = read_list(f"{A}  älter.tar.gz\n{A}  ø\n".replace("ø", "ü").encode(encoding) + b"\xff", name="MD5SUMS")
    with pytest.raises(ContentError, match=r"the list names älter\.tar\.gz"):
        unreadable.find(FilePlace(path="älter.tar.gz"))
    assert unreadable.find(FilePlace(path="other.tar.gz")) is None
    assert unreadable.notice is not None
    assert "no name that was wanted was found in its bytes" in unreadable.notice
