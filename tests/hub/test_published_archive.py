"""The published repository rebuilt on a local hub: eight bundles, code archive, MANIFEST.md, README; end to end."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.records.catalog import CatalogEntry
from tests.corpus.legacy.generators import ARCHIVE_NAME, Case, build
from tests.hub.conftest import REPOSITORY, Program
from tests.hub.faults import Fault
from tests.hub.local_hub import LocalHub
from tests.legacy.published_layout import Layout, report_as, rising_curve

CODE_NAME = "hstu-iter78-code.tar.gz"
IDS = [one.id for one in read_catalog().values() if one.bundle is not None and one.bundle.repository == REPOSITORY]


def make_archive(folder: Path, *, text: str) -> bytes:
    """Return a small legacy archive; the text tells it from the others."""
    folder.mkdir(parents=True)
    edits = [{"do": "add", "name": "config/notes.gin", "text": f'train_fn.notes = "{text}"\n'}]
    build(Case(id="x", kind="", canonical="", outcome="", manifest="list", edits=edits), folder=folder)
    return (folder / ARCHIVE_NAME).read_bytes()


def make_code() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("generative_recommenders/train.py")
        member.size = 9
        archive.addfile(member, io.BytesIO(b"print(1)\n"))
    return buffer.getvalue()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    archives = {f"{one}.tar.gz": make_archive(tmp_path / "made" / one, text=one) for one in IDS}
    archives[CODE_NAME] = make_code()
    rows = [
        f"| `{name}` | {len(content)} | `{hashlib.md5(content, usedforsecurity=False).hexdigest()}` |"
        for name, content in archives.items()
    ]
    listing = "\n".join(["# Preservation manifest", "", "| file | bytes | md5 |", "|---|---|---|", *rows, ""])
    return {**archives, "MANIFEST.md": listing.encode(), "README.md": b"# HSTU iter7+iter8 preservation\n"}


def test_the_catalog_knows_eight_bundles_of_it() -> None:
    assert len(IDS) == 8


def test_all_of_it_is_fetched_verified_and_shown(hub: LocalHub, program: Program, files: dict[str, bytes]) -> None:
    hub.add(REPOSITORY, files)
    result = program.run("download", "--all", "--code")
    assert result.returncode == 0, result.stdout + result.stderr
    assert program.files == {name: content for name, content in files.items() if name != "README.md"}
    assert result.stdout.count("as MANIFEST.md (line") == 9
    names = [name for name in files if name.endswith(".tar.gz") and name != CODE_NAME]
    verified = program.run("verify", *names)
    assert verified.returncode == 0, verified.stdout
    assert verified.stdout.count("as MANIFEST.md lists it") == 8
    for name in names:
        shown = program.run("show", name)
        assert shown.returncode == 0
        assert "PRISM.mode" in shown.stdout
        assert name.removesuffix(".tar.gz") in shown.stdout.replace(name, "")  # what its own gin says


def make_archive_with_curve(folder: Path, *, entry: CatalogEntry) -> bytes:
    """Return an archive whose event file holds the number that was published of it."""
    (claim,) = (one for one in entry.claims if one.metric == "ndcg@10")
    curve = rising_curve(end=claim.value + 1e-5, epochs=101)
    manifest = report_as(f"{claim.value:.4f}")
    return Layout(manifest=manifest, events={1_700_000_000: curve}).write(folder / "x.tar.gz").read_bytes()


def test_all_eight_stand_in_one_table(hub: LocalHub, program: Program, tmp_path: Path) -> None:
    archives = {f"{one}.tar.gz": make_archive_with_curve(tmp_path / one, entry=read_catalog()[one]) for one in IDS}
    edited = report_as("0.1939")
    archives[f"{IDS[2]}.tar.gz"] = Layout(manifest=edited).write(tmp_path / "edited" / "x.tar.gz").read_bytes()
    listing = "".join(f"{hashlib.md5(content).hexdigest()}  {name}\n" for name, content in archives.items())
    hub.add(REPOSITORY, {**archives, "MANIFEST.md": listing.encode()})
    assert program.run("download", "--all").returncode == 0
    hub.requests.clear()
    reported = program.run("report", *IDS)
    assert reported.returncode == 5  # one number is not what its run wrote down
    assert all(one.origin == "hub" for one in hub.requests)  # asked for the present commit, and no file is sent
    text = (program.folder / "PRESERVATION_REPORT.md").read_text()
    table = text.partition("### Archives of others, ndcg@10")[2].partition("###")[0]
    rows = {row.split("|")[1].strip(): row for row in table.splitlines() if row.startswith("| iter")}
    assert sorted(rows) == sorted(IDS)
    for one, row in rows.items():
        claim = next(claim for claim in read_catalog()[one].claims if claim.metric == "ndcg@10")
        if one != IDS[2]:
            assert f"| {claim.value:.4f} | {claim.value + 1e-5:.6f} (epoch 100, one of 101) |" in row
        assert ("recorded NOT_REPRODUCED" if one == IDS[2] else "recorded REPRODUCED_NUMERIC") in row
    published = text.partition('### The archive "HSTU iter7')[2].partition("###")[0]
    assert "never seen here" not in published
    assert published.count("recorded") == 8


def test_without_code_the_code_archive_stays_there(hub: LocalHub, program: Program, files: dict[str, bytes]) -> None:
    hub.add(REPOSITORY, files)
    result = program.run("download", "--all")
    assert result.returncode == 0
    assert f"--all leaves out what is called code ({CODE_NAME}); fetch it with --code" in " ".join(
        result.stdout.split()
    )
    assert sorted(program.files) == sorted({*files} - {CODE_NAME, "README.md"})
    assert program.run("download", "--code", "--output-dir", "code").returncode == 0
    assert program.files[f"code/{CODE_NAME}"] == files[CODE_NAME]


def test_all_that_can_be_fetched_is_when_one_file_is_not_what_the_list_says(
    hub: LocalHub, program: Program, files: dict[str, bytes]
) -> None:
    wrong = f"{IDS[3]}.tar.gz"
    hub.add(REPOSITORY, {**files, wrong: files[f"{IDS[0]}.tar.gz"]})
    result = program.run("download", "--all")
    assert result.returncode == 3
    assert f"{wrong}: md5 differs" in result.stdout
    assert wrong not in program.files
    assert sum(name.endswith(".tar.gz") for name in program.files) == 7


def test_a_list_that_contradicts_itself_stops_everything(
    hub: LocalHub, program: Program, files: dict[str, bytes]
) -> None:
    extra = f"| `{IDS[0]}.tar.gz` | 7 | `{'0' * 32}` |\n".encode()
    hub.add(REPOSITORY, {**files, "MANIFEST.md": files["MANIFEST.md"] + extra})
    result = program.run("download", "--all")
    assert result.returncode == 3
    assert "contradict each other" in result.stderr
    assert program.files == {}


def test_a_commit_in_between_changes_nothing(hub: LocalHub, program: Program, files: dict[str, bytes]) -> None:
    commit = hub.add(REPOSITORY, files)
    hub.spoil(Fault(pattern="GET /lfs", bytes_per_second=20_000))
    process = program.start("download", "--all")
    while not any(one.origin == "storage" for one in hub.requests):
        process.poll()
    hub.add(REPOSITORY, dict.fromkeys(files, b"another content"))
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    assert commit in out
    assert program.files == {name: files[name] for name in files if name not in {"README.md", CODE_NAME}}


def test_code_that_was_fetched_is_found_and_not_run_before_it_is_trusted(
    hub: LocalHub, program: Program, files: dict[str, bytes]
) -> None:
    hub.add(REPOSITORY, files)
    (program.folder / "ratings.csv").write_text("1,1\n")
    stage = ("--stage", "ratings.csv=tmp/ratings.csv")
    judge = ("reproduce", IDS[0], "--runner", "archived", "--entry", "generative_recommenders/train.py", *stage)
    without = program.run(*judge, "--output", "out")
    assert without.returncode == 2
    assert "--code" in without.stderr
    assert program.run("download", IDS[0], "--code", "--output-dir", "elsewhere").returncode == 0
    refused = program.run(*judge, "--output", "out")
    assert refused.returncode == 2
    assert CODE_NAME in refused.stderr
    assert f"--trust-code {hashlib.sha256(files[CODE_NAME]).hexdigest()}" in refused.stderr
    assert "out" not in {path.partition("/")[0] for path in program.files}
