"""Code is known by its digest, found by its entry, unpacked by our own reader, and nothing else of it is touched."""

import hashlib
import subprocess
import tarfile
from pathlib import Path

import pytest

from hstu_preserve.archived.code import describe_code, find_entry, require_trusted, unpack_code
from hstu_preserve.errors import ContentError, MissingPathError, UsageError
from tests.archived.strangers import write_code


def pack(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, arcname=folder.name)
    return path


def test_an_archive_is_known_by_the_digest_of_its_bytes(tmp_path: Path) -> None:
    archive = pack(write_code(tmp_path / "fork", "x = 1\n"), tmp_path / "fork.tar.gz")
    code = describe_code(archive)
    assert code.digest == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert [file.path for file in code.files] == ["fork/main.py"]


def test_a_folder_is_known_by_what_sha256sum_prints_of_its_files(tmp_path: Path) -> None:
    folder = write_code(tmp_path / "fork", "x = 1\n")
    write_code(folder / "lib", "y = 2\n", name="a.py")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("passed over")
    command = "find . -type f -not -path './.git/*' -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    printed = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert describe_code(folder).digest == printed.split()[0]


def test_one_changed_byte_is_other_code(tmp_path: Path) -> None:
    folder = write_code(tmp_path / "fork", "x = 1\n")
    trusted = describe_code(folder).digest
    write_code(folder, "x = 2\n")
    with pytest.raises(UsageError, match="is other code"):
        require_trusted(describe_code(folder), trusted, plan="")


def test_without_a_digest_nothing_is_run_and_the_digest_is_shown(tmp_path: Path) -> None:
    code = describe_code(write_code(tmp_path / "fork", "x = 1\n"))
    with pytest.raises(UsageError, match=f"nothing was run; python would run.*--trust-code {code.digest}"):
        require_trusted(code, None, plan="python would run main.py")


def test_the_digest_may_be_spelled_in_capitals_and_with_its_kind(tmp_path: Path) -> None:
    code = describe_code(write_code(tmp_path / "fork", "x = 1\n"))
    require_trusted(code, f"sha256:{code.digest}", plan="")
    require_trusted(code, code.digest.upper(), plan="")


def test_the_entry_is_found_below_the_one_folder_of_an_archive(tmp_path: Path) -> None:
    code = describe_code(pack(write_code(tmp_path / "fork", ""), tmp_path / "fork.tar.gz"))
    assert find_entry(code, None) == find_entry(code, "main.py") == find_entry(code, "fork/main.py") == "fork/main.py"


def test_a_missing_entry_is_refused_and_the_scripts_are_offered(tmp_path: Path) -> None:
    code = describe_code(write_code(tmp_path / "fork", "", name="train.py"))
    with pytest.raises(UsageError, match=r"no file main\.py; name the script with --entry; at its top are train\.py"):
        find_entry(code, None)


def test_code_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="--code"):
        describe_code(tmp_path / "nothing.tar.gz")


def test_links_in_an_archive_or_folder_are_refused(tmp_path: Path) -> None:
    folder = write_code(tmp_path / "fork", "")
    (folder / "out").symlink_to("/etc")
    with pytest.raises(ContentError, match="fork/out"):
        describe_code(pack(folder, tmp_path / "fork.tar.gz"))
    with pytest.raises(UsageError, match="neither a file nor a folder"):
        describe_code(folder)


def test_unpacked_code_is_the_same_and_cannot_be_written(tmp_path: Path) -> None:
    folder = write_code(tmp_path / "fork", "x = 1\n")
    for place in (folder, pack(folder, tmp_path / "fork.tar.gz")):
        code = describe_code(place)
        target = tmp_path / f"unpacked-{place.name}"
        unpack_code(code, target)
        assert describe_code(target).files == code.files
        assert all(path.stat().st_mode & 0o222 == 0 for path in target.rglob("*") if path.is_file())


def test_code_that_changed_after_its_digest_was_taken_is_not_unpacked(tmp_path: Path) -> None:
    folder = write_code(tmp_path / "fork", "x = 1\n")
    archive = pack(folder, tmp_path / "fork.tar.gz")
    codes = describe_code(folder), describe_code(archive)
    write_code(folder, "x = 2\n")
    pack(folder, archive)
    for number, code in enumerate(codes):
        with pytest.raises(ContentError, match="changed while it was worked on; nothing was run"):
            unpack_code(code, tmp_path / str(number))
