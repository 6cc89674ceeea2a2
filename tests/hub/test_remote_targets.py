"""`hf://` addresses and ids as targets: read where they are, or fetched once where the work needs a file."""

import json
from pathlib import Path

import pytest

from hstu_preserve.bundle.verification import read_stored_manifest
from hstu_preserve.library.addresses import Address, parse_address
from hstu_preserve.library.targets import SAMPLE_BUNDLE
from hstu_preserve.primitives.shipped import shipped_directory
from tests.corpus.legacy.generators import Case, build
from tests.hub.conftest import REPOSITORY, TOKEN, Program
from tests.hub.faults import ALWAYS, Fault
from tests.hub.local_hub import LocalHub
from tests.hub.test_publish import make_bundle

SAMPLE_PATH = shipped_directory("bundles") / SAMPLE_BUNDLE
SAMPLE = SAMPLE_PATH.read_bytes()
ADDRESS = "hf://owner/experiments/native.tar.gz"
LEGACY_ADDRESS = f"hf://{REPOSITORY}/iter8-exp4-SOTA.tar.gz"
STORAGE = "GET /lfs"


@pytest.fixture
def published(hub: LocalHub, tmp_path: Path) -> LocalHub:
    hub.add("owner/experiments", {"native.tar.gz": SAMPLE})
    (tmp_path / "legacy").mkdir()
    archive = build(
        Case(id="x", kind="", canonical="", outcome="", manifest="list", md5_list="table"), folder=tmp_path / "legacy"
    )
    hub.add(
        REPOSITORY, {archive.name: archive.read_bytes(), "MANIFEST.md": (archive.parent / "MANIFEST.md").read_bytes()}
    )
    return hub


def list_kept(program: Program) -> list[str]:
    return sorted(path.name for path in program.home.rglob("files/*"))


@pytest.mark.parametrize(
    ("text", "revision", "path"),
    [
        ("hf://a/b/c.tar.gz", None, "c.tar.gz"),
        ("hf://a/b@v1/c/d.tar.gz", "v1", "c/d.tar.gz"),
        ("hf://a/b@refs%2Fpr%2F1/c", "refs/pr/1", "c"),
        ("hf://a/b@refs/pr/12/c/d", "refs/pr/12", "c/d"),
        ("hf://a/b@refs/convert/parquet/c", "refs/convert/parquet", "c"),
        ("hf://a/b@refs/heads/c", "refs", "heads/c"),
        ("hf://a/b@refs/pr/1x/c", "refs", "pr/1x/c"),
        ("hf://a/b/c%20d/e f%2525@2.tar.gz", None, "c d/e f%25@2.tar.gz"),
    ],
)
def test_addresses_are_read_as_the_hub_writes_them(text: str, revision: str | None, path: str) -> None:
    assert parse_address(text) == Address(text=text, repository="a/b", revision=revision, path=path)


def test_a_pull_request_and_a_name_with_a_space_are_read(published: LocalHub, program: Program) -> None:
    refs = published.repositories["owner/experiments"].refs
    published.add("owner/experiments", {"dir/b c.tar.gz": SAMPLE})
    refs["refs/pr/1"], refs["main"] = refs["main"], published.repositories["owner/experiments"].commit({})
    for revision in ("refs/pr/1", "refs%2Fpr%2F1"):
        result = program.run("verify", f"hf://owner/experiments@{revision}/dir/b%20c.tar.gz")
        assert result.returncode == 0, result.stdout


def test_a_native_bundle_is_verified_where_it_is(published: LocalHub, program: Program) -> None:
    result = program.run("verify", ADDRESS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{ADDRESS}: all 21 members are the packed bytes" in result.stdout
    assert list_kept(program) == []


def test_a_native_bundle_is_shown_from_its_beginning(published: LocalHub, program: Program) -> None:
    shown = program.run_json("show", ADDRESS)
    assert shown["identity"] == read_stored_manifest(SAMPLE_PATH).identity
    assert shown["path"] == ADDRESS
    assert shown["results"] is not None
    assert list_kept(program) == []


def test_a_legacy_archive_is_verified_where_it_is_against_the_list_of_its_repository(
    published: LocalHub, program: Program
) -> None:
    result = program.run("verify", LEGACY_ADDRESS)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "MANIFEST.md lists it" in result.stdout
    assert list_kept(program) == []


def test_a_legacy_archive_is_shown_where_it_is(published: LocalHub, program: Program) -> None:
    assert program.run("show", LEGACY_ADDRESS).returncode == 0
    assert list_kept(program) == []


@pytest.mark.parametrize("verb", ["verify", "show"])
@pytest.mark.parametrize("address", [ADDRESS, LEGACY_ADDRESS], ids=["native", "legacy"])
def test_who_only_reads_needs_no_place_to_write(verb: str, address: str, published: LocalHub, program: Program) -> None:
    result = program.run(verb, address, HF_HOME="/proc/nowhere")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "fault",
    [
        Fault(pattern=STORAGE, cut_at=30_000),
        Fault(pattern=STORAGE, status=503),
        Fault(pattern=STORAGE, status=403),
        Fault(pattern=STORAGE, is_dropped=True),
    ],
    ids=["cut", "503", "expired", "dropped"],
)
def test_a_broken_connection_is_taken_up_again_while_streaming(
    fault: Fault, published: LocalHub, program: Program
) -> None:
    published.spoil(Fault(pattern=STORAGE, cut_at=50_000))  # is_legacy reads the beginning first
    published.spoil(fault)
    result = program.run("verify", ADDRESS)
    assert result.returncode == 0, result.stdout


def test_a_flipped_bit_fails_while_streaming(published: LocalHub, program: Program) -> None:
    published.spoil(Fault(pattern=STORAGE, flip_at=len(SAMPLE) // 2, times=ALWAYS))
    result = program.run("verify", ADDRESS)
    assert result.returncode == 3
    assert "sha256 differs" in result.stdout


def test_another_valid_bundle_than_the_hub_lists_is_refused(published: LocalHub, program: Program) -> None:
    published.add("owner/experiments", {"native.tar.gz": SAMPLE + bytes(0), "other.tar.gz": bytes(len(SAMPLE))})
    published.spoil(Fault(pattern=STORAGE, body=SAMPLE, times=ALWAYS))
    result = program.run("verify", "hf://owner/experiments/other.tar.gz")
    assert result.returncode == 3
    assert "the Hub's metadata" in result.stdout


@pytest.mark.parametrize(
    "fault",
    [
        Fault(pattern="HEAD", headers={"X-Linked-Etag": '"' + "a" * 64 + '"'}, times=ALWAYS),
        Fault(pattern=STORAGE, body=SAMPLE + b"more", times=ALWAYS),
    ],
    ids=["another content", "more bytes"],
)
@pytest.mark.parametrize("verb", ["verify", "download"])
def test_what_is_not_what_the_hub_lists_is_wrong_content_however_it_is_read(
    verb: str, fault: Fault, published: LocalHub, program: Program
) -> None:
    published.spoil(fault)
    assert program.run(verb, ADDRESS).returncode == 3


def test_a_dead_connection_is_told(published: LocalHub, program: Program) -> None:
    published.spoil(Fault(pattern=STORAGE, status=404, times=ALWAYS))
    published.spoil(Fault(pattern="GET /api", status=404, headers={"X-Error-Code": "RepoNotFound"}, times=ALWAYS))
    result = program.run("verify", ADDRESS)
    assert result.returncode == 4
    assert "no such repository" in result.stdout


def test_a_path_that_is_not_there_is_told(published: LocalHub, program: Program) -> None:
    result = program.run("show", "hf://owner/experiments/absent.tar.gz")
    assert result.returncode == 4
    assert "holds no absent.tar.gz" in result.stderr


def test_reproducing_an_id_fetches_it_once_after_saying_how_much(published: LocalHub, program: Program) -> None:
    archive = published.repositories[REPOSITORY].commits[published.repositories[REPOSITORY].refs["main"]].files
    first = program.run("reproduce", "iter8-exp4-SOTA")
    assert first.returncode == 6, first.stdout + first.stderr
    assert f"fetching {archive['iter8-exp4-SOTA.tar.gz'].size} bytes" in first.stderr
    assert "BITWISE" in first.stdout
    num_bytes = published.count_sent()
    second = program.run("reproduce", "iter8-exp4-SOTA")
    assert second.returncode == 6
    assert "fetching" not in second.stderr
    assert published.count_sent() == num_bytes


VERBS: dict[str, list[str]] = {
    "evaluate": ["evaluate", ADDRESS],
    "unpack": ["unpack", ADDRESS, "--output", "tree"],
    "diff": ["diff", ADDRESS, "sample"],
    "export": ["export", ADDRESS, "--format", "model-card", "--output", "card.md"],
    "report": ["report", ADDRESS, "--markdown", "report.md"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_needs_the_file_fetches_it_after_saying_how_much(
    verb: str, published: LocalHub, program: Program
) -> None:
    result = program.run(*VERBS[verb])
    assert result.returncode == 0, result.stdout + result.stderr
    commit = published.repositories["owner/experiments"].refs["main"]
    assert result.stderr.splitlines() == [
        f"{ADDRESS}: main is commit {commit} of owner/experiments",
        f"{ADDRESS}: fetching {len(SAMPLE)} bytes of native.tar.gz from owner/experiments",
    ]
    assert list_kept(program) == ["native.tar.gz"]


def test_what_may_be_old_because_the_hub_does_not_answer_is_said(published: LocalHub, program: Program) -> None:
    program.run("download", ADDRESS)
    waits = program.note_waits()
    for verb in (["verify"], ["show"], ["unpack", "--output", "tree"]):
        result = program.run(*verb, ADDRESS, HF_ENDPOINT="http://127.0.0.1:9")
        assert result.returncode == 0, result.stdout + result.stderr
        assert "cannot be reached" in result.stderr
        assert "used what is on this machine" in result.stderr
    assert waits.read_text() == "", "it waited for a hub that is not there"


def test_a_hub_that_stumbles_does_not_keep_from_what_is_here(published: LocalHub, program: Program) -> None:
    program.run("download", ADDRESS)
    published.spoil(Fault(pattern="GET /api", status=418, times=ALWAYS))
    result = program.run("unpack", ADDRESS, "--output", "tree")
    assert result.returncode == 0, result.stderr
    assert "418; used what is on this machine" in result.stderr


def test_a_branch_is_resolved_anew(published: LocalHub, program: Program) -> None:
    assert program.run("unpack", ADDRESS, "--output", "before").returncode == 0
    other = make_bundle(program.folder / "other.tar.gz").read_bytes()
    commit = published.add("owner/experiments", {"native.tar.gz": other})
    result = program.run("unpack", ADDRESS, "--output", "after")
    assert result.returncode == 0, result.stderr
    assert f"main is commit {commit}" in result.stderr
    identities = [read_stored_manifest(program.folder / name).identity for name in ("before", "after", "other.tar.gz")]
    assert identities[0] != identities[1] == identities[2]


def test_a_commit_is_what_it_was_and_nobody_is_asked(published: LocalHub, program: Program) -> None:
    commit = published.repositories["owner/experiments"].refs["main"]
    pinned = f"hf://owner/experiments@{commit}/native.tar.gz"
    assert program.run("unpack", pinned, "--output", "before").returncode == 0
    num_requests = len(published.requests)
    assert program.run("unpack", pinned, "--output", "after").stderr == ""
    assert len(published.requests) == num_requests


def test_reproducing_an_address_runs_the_bundle(published: LocalHub, program: Program) -> None:
    result = program.run("reproduce", ADDRESS, "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    verdicts = {(one["rung"], one["outcome"]) for one in json.loads(result.stdout)["verdicts"]}
    assert ("evaluation-numeric", "REPRODUCED_NUMERIC") in verdicts


OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}


def test_an_unrelated_commit_takes_nothing_away(published: LocalHub, program: Program) -> None:
    program.run("download", "iter8-exp4-SOTA")
    published.add(REPOSITORY, {"README.md": b"a comma more"})
    program.run("download", "README.md", "--repo", REPOSITORY)  # now this commit is the one that main last meant
    for arguments in (
        ["verify", "iter8-exp4-SOTA"],
        ["verify", LEGACY_ADDRESS],
        ["show", LEGACY_ADDRESS],
        ["download", "iter8-exp4-SOTA", "--output-dir", "again"],
    ):
        result = program.run(*arguments, **OFFLINE)
        assert (result.returncode, result.stderr) == (0, ""), result.stdout


def test_an_older_commit_goes_for_the_newest_and_is_named(published: LocalHub, program: Program) -> None:
    first = published.repositories[REPOSITORY].refs["main"]
    program.run("download", "iter8-exp4-SOTA")
    second = published.add(REPOSITORY, {"iter8-exp4-SOTA.tar.gz": b"replaced", "README.md": b"new"})
    program.run("download", "README.md", "--repo", REPOSITORY)
    result = program.run("verify", "iter8-exp4-SOTA", **OFFLINE)
    assert result.returncode == 0, result.stdout
    assert f"used as fetched at commit {first}; main last meant commit {second}" in result.stderr
    pinned = program.run("verify", f"hf://{REPOSITORY}@{second}/iter8-exp4-SOTA.tar.gz", **OFFLINE)
    assert pinned.returncode == 4


def test_the_same_content_under_another_name_is_enough(published: LocalHub, program: Program) -> None:
    published.add("somebody/mirror", {"copy.tar.gz": SAMPLE})
    program.run("download", "hf://somebody/mirror/copy.tar.gz")
    program.run("show", ADDRESS)
    assert program.run("unpack", ADDRESS, "--output", "tree", **OFFLINE).returncode == 0


def test_what_was_downloaded_can_be_verified_by_its_id_without_network(published: LocalHub, program: Program) -> None:
    assert program.run("verify", "iter8-exp4-SOTA").returncode == 4
    program.run("download", "iter8-exp4-SOTA", "--output-dir", "elsewhere")
    offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    assert program.run("verify", "iter8-exp4-SOTA", **offline).returncode == 0
    assert program.run("verify", LEGACY_ADDRESS, **offline).returncode == 0
    assert program.run("show", LEGACY_ADDRESS, **offline).returncode == 0


@pytest.mark.parametrize("verb", ["verify", "show", "unpack", "download", "reproduce"])
def test_a_repository_without_a_file_lists_its_archives(verb: str, published: LocalHub, program: Program) -> None:
    for text in ("hf://owner/experiments", f"{published.url}/owner/experiments/tree/main"):
        extra = ["--output", "new"] if verb == "unpack" else []
        result = program.run(verb, text, *extra)
        assert result.returncode == 2, result.stdout + result.stderr
        assert "a repository, not a file; name one of them: hf://owner/experiments" in result.stdout + result.stderr
        assert "native.tar.gz" in result.stdout + result.stderr


def test_what_a_browser_shows_is_read_and_the_token_goes_to_the_hub_alone(
    published: LocalHub, program: Program
) -> None:
    result = program.run("verify", "https://huggingface.co/owner/experiments/blob/main/native.tar.gz?download=true")
    assert result.returncode == 0, result.stdout
    assert "hf://owner/experiments@main/native.tar.gz: all 21 members" in result.stdout
    num_requests = len(published.requests)
    foreign = published.storage_url  # a server of its own, which notes what it is sent
    result = program.run("verify", f"{foreign}/owner/experiments/resolve/main/native.tar.gz", HF_TOKEN=TOKEN)
    assert result.returncode == 2
    assert len(published.requests) == num_requests


def test_a_hint_says_what_an_address_from_the_browser_is_written_as(published: LocalHub, program: Program) -> None:
    for verb, exit_code in (("verify", 4), ("download", 2)):
        result = program.run(verb, "hf://owner/experiments/resolve/main/native.tar.gz")
        assert result.returncode == exit_code
        assert "is written hf://owner/experiments@main/native.tar.gz" in result.stdout + result.stderr


def test_the_repository_may_be_an_address(published: LocalHub, program: Program) -> None:
    for text in ("https://huggingface.co/owner/experiments", "hf://owner/experiments", "owner/experiments/"):
        result = program.run("download", "native.tar.gz", "--repo", text, "--dry-run")
        assert result.returncode == 0, result.stderr
        assert "owner/experiments at commit" in result.stdout
