"""Named files read from a folder or straight out of a zip."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from hstu_preserve.data.known_datasets import KNOWN_DATASETS, Layout, find_known_dataset
from hstu_preserve.data.ratings import join_ratings
from hstu_preserve.errors import ContentError, MissingPathError, UnknownNameError
from hstu_preserve.raw_data.movielens import read_movies, read_ratings
from hstu_preserve.raw_data.preparation import prepare_movielens
from hstu_preserve.raw_data.sources import open_source, read_whole
from hstu_preserve.records.store import TiePolicy
from tests.data.raw_files import write_layout, zip_folder


def count_ratings(path: Path) -> int:
    with open_source(path, zip_md5=None) as source:
        return sum(len(part.user_ids) for part in read_ratings(source, layout=Layout.CSV))


def test_a_folder_and_the_folder_that_holds_it_are_both_a_source(tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "download" / "ml-20m", layout=Layout.CSV)
    assert count_ratings(folder) == count_ratings(folder.parent) == 4


@pytest.mark.parametrize("prefix", ["", "ml-20m/"])
def test_a_zip_is_read_in_place(tmp_path: Path, prefix: str) -> None:
    folder = write_layout(tmp_path / "raw", layout=Layout.CSV)
    archive = zip_folder(folder, tmp_path / "some.zip", prefix=prefix)
    before = sorted(tmp_path.rglob("*"))
    with open_source(archive, zip_md5=None) as source:
        assert len(join_ratings(read_ratings(source, layout=Layout.CSV)).user_ids) == 4
        assert len(read_movies(source, layout=Layout.CSV).item_ids) == 3
        assert (source.name, source.md5) == ("some.zip", hashlib.md5(archive.read_bytes()).hexdigest())
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["../ratings.csv", "a/b/ratings.csv"])
def test_a_zip_member_outside_the_expected_folder_is_not_taken(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "some.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr("ml/movies.csv", "x")
        stream.writestr(f"a/{name}", "x")
    with pytest.raises(ContentError, match=r"expected one ratings\.csv, found 0"):
        count_ratings(archive)


def test_two_candidates_in_a_zip_are_refused(tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "raw", layout=Layout.CSV)
    archive = zip_folder(folder, tmp_path / "some.zip", prefix="a/")
    with zipfile.ZipFile(archive, "a") as stream:
        stream.writestr("b/ratings.csv", "x")
    with pytest.raises(ContentError, match=r"expected one ratings\.csv, found 2"):
        count_ratings(archive)


def test_two_candidates_among_folders_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_layout(tmp_path / name, layout=Layout.CSV)
    with pytest.raises(MissingPathError, match="in 2 of its folders"):
        count_ratings(tmp_path)


def test_the_known_zip_with_another_md5_is_refused_before_use_and_both_are_shown(tmp_path: Path) -> None:
    archive = tmp_path / "ml-1m.zip"
    archive.write_bytes(b"not even a zip")
    found = hashlib.md5(archive.read_bytes()).hexdigest()
    with pytest.raises(ContentError, match=f"md5 differs .expected c4d9eecfca2ab87c1945afe126590906, found {found}"):
        prepare_movielens(archive, name="ml-1m", tie_policy=TiePolicy.STABLE, output=tmp_path / "store")


def test_a_damaged_member_is_content_not_a_traceback(tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "raw", layout=Layout.CSV)
    archive = zip_folder(folder, tmp_path / "some.zip", prefix="")
    with zipfile.ZipFile(archive) as stream:
        info = stream.getinfo("ratings.csv")
    content = bytearray(archive.read_bytes())
    content[info.header_offset + 30 + len(info.filename) + 4] ^= 0xFF
    archive.write_bytes(bytes(content))
    with pytest.raises(ContentError, match="damaged"):
        count_ratings(archive)


def test_an_encrypted_member_is_content_not_a_traceback(tmp_path: Path) -> None:
    folder = write_layout(tmp_path / "raw", layout=Layout.CSV)
    archive = zip_folder(folder, tmp_path / "some.zip", prefix="")
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := content.find(signature, place + 1)) >= 0:
            content[place + offset] |= 1
    archive.write_bytes(bytes(content))
    with pytest.raises(ContentError, match=r"ratings\.csv cannot be read"):
        count_ratings(archive)


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "some.zip").write_bytes(b"text")
    with pytest.raises(ContentError, match="neither a folder nor a zip"):
        count_ratings(tmp_path / "some.zip")


def test_nothing_there_is_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError):
        count_ratings(tmp_path / "absent.zip")
    with pytest.raises(MissingPathError, match=r"ratings\.csv is not there"):
        count_ratings(tmp_path)


def test_a_table_too_large_to_be_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "movies.csv"
    path.write_bytes(b"x\n" * 100)
    with path.open("rb") as stream, pytest.raises(ContentError, match="larger than 50 bytes"):
        read_whole(stream, label="movies.csv", limit_bytes=50)


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    folder = write_layout(tmp_path, layout=Layout.CSV, ratings="1" * 2**22)
    with pytest.raises(ContentError, match="a line longer than"):
        count_ratings(folder)


def test_an_unknown_edition_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ml-20m'"):
        find_known_dataset("ml-20")
    assert {name for name, known in KNOWN_DATASETS.items() if not known.zip_md5} == {"ml-latest-small"}
