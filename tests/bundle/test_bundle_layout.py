import os
import socket
from pathlib import Path

import pytest

from hstu_preserve.bundle.layout import checksums_text, role_of
from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.errors import ContentError, MissingPathError, UsageError
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.records.contents import Role
from tests.factories import TINY_RUN, make_manifest, make_sealed_run, write_files


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("config/a.gin", Role.CONFIG),
        ("ckpts/sub/a", Role.CHECKPOINT),
        ("tb/run/events", Role.EVENTS),
        ("results/ranks.npz", Role.RESULT),
        ("environment.json", Role.ENVIRONMENT),
        ("run.json", Role.RUN),
        ("data/store.json", Role.DATA),
        ("code/a.py", Role.CODE),
        ("requirements.lock", Role.REQUIREMENTS),
        ("legacy/MANIFEST.json", Role.LEGACY),
        ("config", None),
        ("notes.txt", None),
        ("sub/run.json", None),
    ],
)
def test_the_folder_decides_the_role(path: str, role: Role | None) -> None:
    assert role_of(path) is role


def test_every_file_is_recorded_once_sorted_with_digest_size_and_role(tmp_path: Path) -> None:
    write_files(tmp_path, TINY_RUN)
    files = record_files(tmp_path).files
    assert [file.path for file in files] == sorted(TINY_RUN)
    assert {file.path: (file.size, file.sha256) for file in files} == {
        path: (len(content), sha256_of_bytes(content)) for path, content in TINY_RUN.items()
    }
    assert all(file.role is role_of(file.path) for file in files)


def test_manifest_and_checksums_are_not_contents(tmp_path: Path) -> None:
    manifest = make_sealed_run(tmp_path)
    assert record_files(tmp_path) == manifest.contents


def test_every_unfit_entry_is_named_at_once(tmp_path: Path) -> None:
    write_files(tmp_path, TINY_RUN)
    (tmp_path / "config/link.gin").symlink_to("tiny.gin")
    (tmp_path / "code").symlink_to("config")
    (tmp_path / "ckpts/empty").mkdir()
    os.mkfifo(tmp_path / "tb/pipe")
    (tmp_path / "notes.txt").write_text("hm")
    (tmp_path / "scratch").mkdir()
    (tmp_path / "results/CON").write_text("")
    (tmp_path / "results/a\nb").write_text("")
    (tmp_path / "results/Metrics.json").write_text("")
    (tmp_path / os.fsdecode(b"results/\xff")).write_text("")
    with pytest.raises(ContentError) as caught:
        record_files(tmp_path)
    message = str(caught.value)
    for expected in (
        "config/link.gin: wrong-type (expected a regular file, found symbolic link)",
        "code: wrong-type (expected a regular file, found symbolic link)",
        "ckpts/empty: wrong-type (expected a file, found an empty directory)",
        "tb/pipe: wrong-type (expected a regular file, found named pipe)",
        "notes.txt: unexpected",
        "scratch: unexpected",
        "results/CON: not-canonical",
        r"results/a\nb: not-canonical",
        "results/metrics.json: duplicate (expected names that differ on every system, found results/Metrics.json)",
        r"results/\udcff: not-canonical",
    ):
        assert expected in message


def test_a_socket_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, TINY_RUN)
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("tb/socket")
        with pytest.raises(ContentError, match=r"tb/socket: wrong-type .*found socket"):
            record_files(tmp_path)


def test_a_directory_where_a_file_belongs_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, {"run.json/x": b""})
    with pytest.raises(ContentError, match=r"run\.json: unexpected .*found unknown top-level directory"):
        record_files(tmp_path)


def test_a_missing_root_and_a_file_as_root_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="no such directory"):
        record_files(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="not a directory"):
        record_files(tmp_path / "file")


def test_sealing_writes_the_canonical_manifest_and_its_checksums(tmp_path: Path) -> None:
    write_files(tmp_path, TINY_RUN)
    manifest = make_manifest(tmp_path)
    stored = seal(tmp_path, manifest=manifest)
    assert (tmp_path / "MANIFEST.json").read_bytes() == manifest.to_json() == stored.content
    assert (tmp_path / "SHA256SUMS").read_bytes() == checksums_text(stored.content, contents=manifest.contents)
    assert read_tree_manifest(tmp_path) == stored
    assert stored.identity == sha256_of_bytes(stored.content)


def test_checksums_list_the_manifest_and_every_file(tmp_path: Path) -> None:
    manifest = make_sealed_run(tmp_path)
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines()
    assert lines == [
        f"{sha256_of_bytes((tmp_path / path).read_bytes())}  {path}"
        for path in ["MANIFEST.json", *(file.path for file in manifest.contents.files)]
    ]


def test_a_manifest_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    make_sealed_run(tmp_path / "run")
    (tmp_path / "run/MANIFEST.json").rename(tmp_path / "elsewhere.json")
    (tmp_path / "run/MANIFEST.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ContentError, match="not a regular file"):
        read_tree_manifest(tmp_path / "run")


def test_a_run_without_manifest_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, TINY_RUN)
    with pytest.raises(MissingPathError, match=r"MANIFEST\.json: no such file"):
        read_tree_manifest(tmp_path)
