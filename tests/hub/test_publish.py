"""`publish` with the real client and a hub on this machine: verified first, one commit each, no token told."""

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hstu_preserve.bundle.archive import pack as pack_tree
from hstu_preserve.bundle.tree import seal
from hstu_preserve.bundle.verification import read_stored_manifest
from hstu_preserve.library.sources import find_here
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.verbs.keygen import keygen
from hstu_preserve.verbs.migrate import migrate
from hstu_preserve.verbs.signing import sign
from tests.certificates.certified import certify
from tests.corpus.legacy.generators import build, read_cases
from tests.factories import TINY_RUN, make_manifest, make_run_record, write_files
from tests.forked import run_in_words
from tests.hub.conftest import Program
from tests.hub.faults import ALWAYS, Fault
from tests.hub.local_hub import User
from tests.hub.writing import WritingHub

WRITER = "hf_writerOfTheLocalHub"
READER = "hf_readerOfTheLocalHub"
STRANGER = "hf_strangerAtTheLocalHub"
REPOSITORY = "author/experiments"
SAMPLE_NAME = "sample-hstu-synthetic.tar.gz"
SAMPLE = find_here("sample").path
CARD = "README.md"


@pytest.fixture
def hub() -> Iterator[WritingHub]:
    with WritingHub() as hub:
        prepare(hub)
        yield hub


def prepare(hub: WritingHub) -> None:
    hub.users = {
        WRITER: User(name="author"),
        READER: User(name="author", role="read"),
        STRANGER: User(name="somebody"),
    }
    hub.make(REPOSITORY)


@pytest.fixture
def publisher(program: Program) -> Program:
    """The program with a token that may write, and the sample beside it."""
    program.environment |= {"HF_TOKEN": WRITER}
    shutil.copy(SAMPLE, program.folder / SAMPLE_NAME)
    return program


def publish(program: Program, *names: str, repository: str = REPOSITORY, **environment: str) -> Any:
    """Run `publish` and return its record, which nothing else accompanies."""
    result = program.run("publish", *names, "--repo", repository, "--json", **environment)
    assert result.returncode == 0, result.stdout + result.stderr
    return require_silent(result)


def require_silent(result: Any) -> Any:
    assert result.stderr == ""
    assert not any(token in result.stdout for token in (WRITER, READER, STRANGER))
    return json.loads(result.stdout)


def refuse(program: Program, *arguments: str, exit_code: int, says: str, **environment: str) -> str:
    """Run `publish`, which must fail in words."""
    result = program.run("publish", *arguments, **environment)
    told = result.stdout + result.stderr
    assert result.returncode == exit_code, told
    assert re.search(says, told), told
    assert not any(token in told for token in (WRITER, READER, STRANGER))
    return told


def make_bundle(
    path: Path, *, title: str = "Tiny", data: dict[str, Json] | None = None, files: dict[str, bytes] | None = None
) -> Path:
    """Pack a tiny run with some files more; `data` replaces fields of its data reference."""
    root = path.with_name(f"{path.name}.tree")
    write_files(root, TINY_RUN | (files or {}))
    plain = make_run_record().to_json_value()
    assert isinstance(plain, dict)
    bundle, reference = plain["bundle"], plain["data"]
    assert isinstance(bundle, dict)
    assert isinstance(reference, dict)
    run = make_run_record(bundle=bundle | {"title": title}, data=reference | (data or {}))
    seal(root, manifest=make_manifest(root, run=run))
    pack_tree(root, output=path)
    return path


SCRIPT = f"""
import json, hstu_preserve
from hstu_preserve.primitives.voice import Voice
heard = []
voice = Voice(show=lambda step: heard.append([step.activity, step.completed, step.total]))
hstu_preserve.publish(["{SAMPLE_NAME}"], repository="{REPOSITORY}", voice=voice)
print(json.dumps(heard))
"""


def test_a_caller_hears_how_much_is_verified_and_published(hub: WritingHub, publisher: Program) -> None:
    result = run_in_words(program=SCRIPT, cwd=publisher.folder, environment=publisher.environment)
    size = SAMPLE.stat().st_size
    expected = [["verifying", 0, 1], ["verifying", 1, 1], ["publishing", 0, size], ["publishing", size, size]]
    assert json.loads(result.stdout) == expected, result.stderr
    assert set(hub.list_files(REPOSITORY)) == {SAMPLE_NAME, CARD}


def test_a_bundle_is_pushed_as_one_commit_with_its_card(hub: WritingHub, publisher: Program) -> None:
    record = publish(publisher, SAMPLE_NAME)
    files = hub.list_files(REPOSITORY)
    assert set(files) == {SAMPLE_NAME, CARD}
    assert files[SAMPLE_NAME] == SAMPLE.read_bytes()
    assert read_stored_manifest(SAMPLE).identity in files[CARD].decode()
    assert f"hstu-preserve download {SAMPLE_NAME} --repo {REPOSITORY}" in files[CARD].decode()
    assert hub.list_titles(REPOSITORY) == [f"Publish {SAMPLE_NAME}"]
    (bundle,) = record["bundles"]
    assert bundle["commit"] == hub.repositories[REPOSITORY].refs["main"]
    assert bundle["url"].endswith(f"/commit/{bundle['commit']}")
    assert (bundle["is_unchanged"], bundle["pushed"], bundle["replaced"]) == (False, [SAMPLE_NAME, CARD], None)
    assert not hub.leaks


def test_the_same_bytes_are_not_pushed_again(hub: WritingHub, publisher: Program) -> None:
    publish(publisher, SAMPLE_NAME)
    before = len(hub.requests)
    (bundle,) = publish(publisher, SAMPLE_NAME)["bundles"]
    assert (bundle["is_unchanged"], bundle["commit"], bundle["pushed"]) == (True, None, [])
    assert len(hub.list_titles(REPOSITORY)) == 1
    assert all(one.method in {"GET", "HEAD"} for one in hub.requests[before:])
    assert "there already" in publisher.run("publish", SAMPLE_NAME, "--repo", REPOSITORY).stdout


def test_what_was_pushed_can_be_verified_when_it_is_read_back(hub: WritingHub, publisher: Program) -> None:
    publish(publisher, SAMPLE_NAME)
    (publisher.folder / "back.tar.gz").write_bytes(hub.list_files(REPOSITORY)[SAMPLE_NAME])
    assert publisher.run("verify", "back.tar.gz").returncode == 0


def test_several_bundles_are_one_commit_each_and_one_card(hub: WritingHub, publisher: Program) -> None:
    for name in ("b", "a"):
        make_bundle(publisher.folder / f"{name}.tar.gz", title=f"Experiment {name}")
    publish(publisher, "b.tar.gz", "a.tar.gz")
    assert hub.list_titles(REPOSITORY) == ["Publish a.tar.gz", "Publish b.tar.gz"]
    card = hub.list_files(REPOSITORY)[CARD].decode()
    assert card.index("## a.tar.gz") < card.index("## b.tar.gz")
    assert "Experiment a" in card
    publish(publisher, SAMPLE_NAME)
    assert hub.list_files(REPOSITORY)[CARD].decode().count("\n## ") == 3


def test_the_order_of_publishing_does_not_show_in_the_card(hub: WritingHub, publisher: Program) -> None:
    make_bundle(publisher.folder / "a.tar.gz")
    hub.make("author/other")
    publish(publisher, "a.tar.gz", SAMPLE_NAME)
    publish(publisher, SAMPLE_NAME, "a.tar.gz", repository="author/other")
    other = hub.list_files("author/other")[CARD].decode()
    assert hub.list_files(REPOSITORY)[CARD].decode() == other.replace("author/other", REPOSITORY)


def test_archives_that_are_no_bundles_are_named_and_left_alone(hub: WritingHub, publisher: Program) -> None:
    hub.add(REPOSITORY, {"old.tar.gz": b"\x1f\x8b not a bundle", "we|rd.tgz": b"x"})
    publish(publisher, SAMPLE_NAME)
    files = hub.list_files(REPOSITORY)
    assert files["old.tar.gz"] == b"\x1f\x8b not a bundle"
    assert "* old.tar.gz" in files[CARD].decode()
    assert "* we&#124;rd.tgz" in files[CARD].decode()


def test_the_signature_travels_with_the_bundle(hub: WritingHub, publisher: Program) -> None:
    bundle = publisher.folder / SAMPLE_NAME
    signature = sign(bundle, key=keygen(publisher.folder / "key").path).path
    publish(publisher, SAMPLE_NAME)
    files = hub.list_files(REPOSITORY)
    assert files[f"{SAMPLE_NAME}.sig"] == signature.read_bytes()
    assert f"{SAMPLE_NAME}.sig; take the key" in files[CARD].decode()
    signature.unlink()
    assert publish(publisher, SAMPLE_NAME)["bundles"][0]["is_unchanged"]


def test_a_signature_that_comes_later_is_pushed_alone_with_the_card(hub: WritingHub, publisher: Program) -> None:
    publish(publisher, SAMPLE_NAME)
    sign(publisher.folder / SAMPLE_NAME, key=keygen(publisher.folder / "key").path)
    (bundle,) = publish(publisher, SAMPLE_NAME)["bundles"]
    assert bundle["pushed"] == [f"{SAMPLE_NAME}.sig", CARD]
    assert hub.count("POST .*/objects/batch") == 1


def test_a_certificate_travels_with_the_bundle_and_what_others_added_stays(hub: WritingHub, publisher: Program) -> None:
    bundle, name = publisher.folder / SAMPLE_NAME, f"{SAMPLE_NAME}.intoto.jsonl"
    keys = [keygen(publisher.folder / owner).path for owner in ("mine", "theirs")]
    publish(publisher, SAMPLE_NAME)
    theirs = certify(bundle, keys[1])
    others = theirs.read_bytes()
    assert publish(publisher, SAMPLE_NAME)["bundles"][0]["pushed"] == [name, CARD]
    theirs.unlink()
    assert publish(publisher, SAMPLE_NAME)["bundles"][0]["is_unchanged"], "who has none of it leaves it there"
    mine = certify(bundle, keys[0]).read_bytes()
    planned = publish(publisher, SAMPLE_NAME, "--dry-run")["bundles"][0]
    assert planned["pushed"] == publish(publisher, SAMPLE_NAME)["bundles"][0]["pushed"] == [name, CARD]
    assert hub.list_files(REPOSITORY)[name] == others + mine
    assert publish(publisher, SAMPLE_NAME)["bundles"][0]["is_unchanged"]


@pytest.mark.parametrize("content", [b"my notes\n", b"x" * (16 * 2**20 + 1)], ids=["notes", "too large"])
def test_what_is_no_certificate_is_neither_pushed_nor_replaced(
    content: bytes, hub: WritingHub, publisher: Program
) -> None:
    name = f"{SAMPLE_NAME}.intoto.jsonl"
    place = publisher.folder / name
    place.write_bytes(content)
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=3, says="published with the bundle: move it away")
    assert hub.requests == []
    place.unlink()
    publish(publisher, SAMPLE_NAME)
    hub.add(REPOSITORY, {name: content})
    certify(publisher.folder / SAMPLE_NAME, keygen(publisher.folder / "key").path)
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=3, says="remove it from the repository first")
    assert hub.list_files(REPOSITORY)[name] == content


def test_a_new_bundle_under_the_name_takes_the_old_signature_and_certificate_away(
    hub: WritingHub, publisher: Program
) -> None:
    first = make_bundle(publisher.folder / "x.tar.gz")
    key = keygen(publisher.folder / "key").path
    signature, certificate = sign(first, key=key).path, certify(first, key)
    publish(publisher, "x.tar.gz")
    for path in (first, signature, certificate):
        path.unlink()
    shutil.rmtree(publisher.folder / "x.tar.gz.tree")
    make_bundle(first, title="Another")
    (bundle,) = publish(publisher, "x.tar.gz")["bundles"]
    assert bundle["removed"] == ["x.tar.gz.sig", "x.tar.gz.intoto.jsonl"]
    assert re.fullmatch("[0-9a-f]{64}", bundle["replaced"])
    assert set(hub.list_files(REPOSITORY)) == {"x.tar.gz", CARD}
    assert "signature: none" in hub.list_files(REPOSITORY)[CARD].decode()


def test_a_large_object_goes_in_parts(publisher: Program) -> None:
    with WritingHub(part_bytes=100_000) as hub:
        prepare(hub)
        publish(publisher, SAMPLE_NAME, HF_ENDPOINT=hub.url)
        assert hub.list_files(REPOSITORY)[SAMPLE_NAME] == SAMPLE.read_bytes()
        assert hub.count("PUT .*part=") == -(-SAMPLE.stat().st_size // 100_000)
        assert not hub.leaks


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_nothing_is_pushed_where_one_bundle_is_damaged(hub: WritingHub, publisher: Program) -> None:
    make_bundle(publisher.folder / "good.tar.gz")
    damage(publisher.folder / SAMPLE_NAME)
    refuse(publisher, "good.tar.gz", SAMPLE_NAME, "--repo", REPOSITORY, exit_code=3, says="no bundle that can be read")
    assert hub.requests == []


def test_a_signature_for_another_bundle_is_refused(hub: WritingHub, publisher: Program) -> None:
    other = make_bundle(publisher.folder / "other.tar.gz")
    signature = sign(other, key=keygen(publisher.folder / "key").path).path
    shutil.copy(signature, publisher.folder / f"{SAMPLE_NAME}.sig")
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=3, says="for another manifest")
    assert hub.requests == []


MOVIELENS: dict[str, Json] = {"name": "ml-1m", "redistributable": False}
FORBIDDEN: dict[str, Callable[[Path], object]] = {
    "data that its manifest calls unfit": lambda path: make_bundle(
        path, data={"redistributable": False, "included": True}, files={"data/store.json": b"{}"}
    ),
    "data that its manifest does not mention": lambda path: make_bundle(
        path, data=MOVIELENS, files={"data/x.npy": b"x"}
    ),
    "MovieLens that its author calls free": lambda path: make_bundle(
        path, data={"name": "ml-1m", "included": True}, files={"data/x.npy": b"x"}
    ),
    "ratings among the results": lambda path: make_bundle(
        path, files={"results/ratings.csv": b"userId,movieId,rating\n"}
    ),
    "upstream's table of events": lambda path: make_bundle(path, files={"code/sasrec_format.csv": b"1,2\n"}),
    "a whole edition": lambda path: make_bundle(path, files={"code/ml-1m.zip": b"PK"}),
    "a store without a record": lambda path: make_bundle(path, data={"included": True}, files={"data/x.npy": b"x"}),
    "a store that its own record calls unfit": lambda path: make_bundle(
        path, data={"included": True}, files={"data/store.json": make_store_record(redistributable=False)}
    ),
}


def make_store_record(*, redistributable: bool) -> bytes:
    from hstu_preserve.bundle.verification import read_member

    record = json.loads(read_member(SAMPLE, member="data/store.json", max_bytes=2**20))
    record["provenance"]["redistributable"] = redistributable
    return json.dumps(record).encode()


@pytest.mark.parametrize("what", FORBIDDEN)
def test_data_that_may_not_travel_does_not(what: str, hub: WritingHub, publisher: Program) -> None:
    FORBIDDEN[what](publisher.folder / "x.tar.gz")
    says = "may not be redistributed|holds no data/store.json|carries no data"
    refuse(publisher, "x.tar.gz", "--repo", REPOSITORY, exit_code=3, says=says)
    assert hub.requests == []


def test_a_bundle_of_movielens_without_its_data_is_published_with_the_notice(
    hub: WritingHub, publisher: Program
) -> None:
    make_bundle(publisher.folder / "x.tar.gz", data=MOVIELENS)
    publish(publisher, "x.tar.gz")
    card = hub.list_files(REPOSITORY)[CARD].decode()
    assert "**Data notice.**" in card
    assert "hstu-preserve data prepare ml-1m --from ml-1m.zip --tie-policy stable --output stores/ml-1m" in card


def test_a_migrated_bundle_is_published_as_no_claim(hub: WritingHub, publisher: Program) -> None:
    archive = build(read_cases()[0], folder=publisher.folder)
    migrate(archive, output=publisher.folder / "old.migrated.tar.gz")
    publish(publisher, "old.migrated.tar.gz", SAMPLE_NAME)
    assert "**No claim.**" in hub.list_files(REPOSITORY)[CARD].decode()


def test_what_is_no_packed_bundle_is_refused(hub: WritingHub, publisher: Program) -> None:
    build(read_cases()[0], folder=publisher.folder).rename(publisher.folder / "legacy.tar.gz")
    (publisher.folder / "run").mkdir()
    shutil.copy(SAMPLE, publisher.folder / "b(1).tar.gz")
    (publisher.folder / "twice").mkdir()
    shutil.copy(SAMPLE, publisher.folder / "twice" / SAMPLE_NAME)
    for names, says in (
        (["run"], "'hstu-preserve pack'"),
        (["b(1).tar.gz"], "rename it"),
        (["absent.tar.gz"], "no such file"),
        ([SAMPLE_NAME, f"twice/{SAMPLE_NAME}"], "named twice"),
    ):
        refuse(publisher, *names, "--repo", REPOSITORY, exit_code=2, says=says)
    refuse(publisher, "legacy.tar.gz", "--repo", REPOSITORY, exit_code=3, says="'hstu-preserve migrate'")
    refuse(publisher, SAMPLE_NAME, "--repo", "no/such/name", exit_code=2, says="OWNER/NAME")
    refuse(publisher, SAMPLE_NAME, "--repo", "x", exit_code=2, says="OWNER/NAME")
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, "--private", exit_code=2, says="--create")
    refuse(publisher, SAMPLE_NAME, exit_code=2, says="--repo")
    assert hub.requests == []


def test_create_makes_a_repository_private_where_asked(hub: WritingHub, publisher: Program) -> None:
    new = "author/new"
    refuse(publisher, SAMPLE_NAME, "--repo", new, exit_code=4, says="no such repository.*--create")
    record = require_silent(publisher.run("publish", SAMPLE_NAME, "--repo", new, "--create", "--private", "--json"))
    assert record["is_created"]
    assert hub.repositories[new].is_private
    assert SAMPLE_NAME in hub.list_files(new)
    again = require_silent(publisher.run("publish", SAMPLE_NAME, "--repo", new, "--create", "--private", "--json"))
    assert (again["is_created"], again["bundles"][0]["is_unchanged"]) == (False, True)


def test_nothing_that_is_meant_to_be_private_is_pushed_where_all_can_see_it(
    hub: WritingHub, publisher: Program
) -> None:
    arguments = (SAMPLE_NAME, "--repo", REPOSITORY, "--create", "--private")
    refuse(publisher, *arguments, exit_code=2, says="exists and is public")
    assert hub.list_files(REPOSITORY) == {}


def test_somebody_s_own_card_is_never_replaced(hub: WritingHub, publisher: Program) -> None:
    hub.add(REPOSITORY, {CARD: b"---\nlicense: mit\n---\n\n# My own words\n"})
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=2, says="written by somebody else")
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, "--dry-run", exit_code=2, says="written by somebody else")
    assert set(hub.list_files(REPOSITORY)) == {CARD}


def test_a_card_without_a_word_is_replaced(hub: WritingHub, publisher: Program) -> None:
    hub.add(REPOSITORY, {CARD: b"---\nlicense: mit\n---\n"})
    publish(publisher, SAMPLE_NAME)
    assert b"Written by hstu-preserve" in hub.list_files(REPOSITORY)[CARD]


def test_a_dry_run_says_what_would_be_pushed_and_pushes_nothing(hub: WritingHub, publisher: Program) -> None:
    record = require_silent(publisher.run("publish", SAMPLE_NAME, "--repo", REPOSITORY, "--dry-run", "--json"))
    assert record["is_dry_run"]
    assert record["bundles"][0]["pushed"] == [SAMPLE_NAME, CARD]
    new = publisher.run("publish", SAMPLE_NAME, "--repo", "author/new", "--create", "--dry-run")
    assert f"would push {SAMPLE_NAME}, {CARD}" in new.stdout
    assert "author/new" not in hub.repositories
    assert hub.list_files(REPOSITORY) == {}
    assert all(one.method in {"GET", "HEAD"} for one in hub.requests)


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("", "needs a token.*HF_TOKEN"),
        ("hf_nobody", "does not accept the token|no such repository"),
        (READER, "may not write there"),
        (STRANGER, "may not write there"),
        ("hf_\N{LATIN SMALL LETTER E WITH ACUTE}", "characters that none has"),
        ("hf_not one", "characters that none has"),
    ],
    ids=["none", "unknown", "reader", "stranger", "not a token", "two words"],
)
def test_who_may_not_write_sends_no_byte(token: str, says: str, hub: WritingHub, publisher: Program) -> None:
    hub.echoes_token = True
    told = refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=4, says=says, HF_TOKEN=token)
    assert not token or token not in told
    assert all(one.method == "GET" for one in hub.requests)


def test_a_lost_race_is_told_and_a_second_run_succeeds(hub: WritingHub, publisher: Program) -> None:
    hub.spoil(Fault(pattern="POST .*/commit/", status=412, headers={"X-Error-Message": "A commit has happened since."}))
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=4, says="somebody pushed meanwhile; run it again")
    assert hub.list_files(REPOSITORY) == {}
    publish(publisher, SAMPLE_NAME)
    assert hub.count("PUT ") == 1


def test_a_push_between_listing_and_commit_is_not_overwritten(hub: WritingHub, publisher: Program) -> None:
    is_pushed = threading.Event()
    hub.spoil(Fault(pattern="POST .*/preupload/", until=is_pushed))
    process = publisher.start("publish", SAMPLE_NAME, "--repo", REPOSITORY)
    while not hub.count("POST .*/preupload/"):
        assert process.poll() is None
    hub.add(REPOSITORY, {"theirs.txt": b"x"})
    is_pushed.set()
    _, err = process.communicate(timeout=600)
    assert process.returncode == 4
    assert "somebody pushed meanwhile" in err
    assert set(hub.list_files(REPOSITORY)) == {"theirs.txt"}


STEPS = {
    "auth-check": "GET .*/auth-check/write",
    "listing": "GET .*/revision/main",
    "preupload": "POST .*/preupload/",
    "batch": "POST .*/objects/batch",
    "object": "PUT ",
    "commit": "POST .*/commit/",
    "card check": "POST .*/validate-yaml",
}
REPEATED = {"auth-check", "listing", "preupload", "batch", "object"}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("status", [503, 429, "drop"])
def test_a_failure_of_a_moment_is_outlived_or_told(
    step: str, status: int | str, hub: WritingHub, publisher: Program
) -> None:
    fault = Fault(pattern=STEPS[step], is_dropped=status == "drop", status=status if isinstance(status, int) else None)
    hub.spoil(fault)
    result = publisher.run("publish", SAMPLE_NAME, "--repo", REPOSITORY)
    assert WRITER not in result.stdout + result.stderr
    if result.returncode:
        assert step not in REPEATED, result.stderr
        assert result.returncode == 4, result.stderr
        assert "run it again" in result.stderr
        assert hub.list_files(REPOSITORY) == {}
        publish(publisher, SAMPLE_NAME)
    assert hub.list_files(REPOSITORY)[SAMPLE_NAME] == SAMPLE.read_bytes()
    assert len(hub.list_titles(REPOSITORY)) == 1


@pytest.mark.parametrize("step", ["auth-check", "listing", "commit"])
@pytest.mark.parametrize("status", [401, 403, 503])
def test_a_failure_that_stays_is_told_and_changes_nothing(
    step: str, status: int, hub: WritingHub, publisher: Program
) -> None:
    hub.spoil(Fault(pattern=STEPS[step], status=status, times=ALWAYS))
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=4, says=str(status))
    assert hub.list_files(REPOSITORY) == {}


@pytest.mark.slow
@pytest.mark.parametrize("step", ["preupload", "batch", "object"])
def test_a_failure_that_stays_while_sending_is_told(step: str, hub: WritingHub, publisher: Program) -> None:
    hub.spoil(Fault(pattern=STEPS[step], status=503, times=ALWAYS))
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=4, says="503")
    assert hub.list_files(REPOSITORY) == {}


def test_what_was_pushed_before_an_error_is_named(hub: WritingHub, publisher: Program) -> None:
    make_bundle(publisher.folder / "a.tar.gz")
    hub.spoil(Fault(pattern=STEPS["commit"], skip=1, status=503))
    says = r"pushed before that, and there to stay: a\.tar\.gz"
    refuse(publisher, "a.tar.gz", SAMPLE_NAME, "--repo", REPOSITORY, exit_code=4, says=says)
    record = publish(publisher, "a.tar.gz", SAMPLE_NAME)
    assert [one["is_unchanged"] for one in record["bundles"]] == [True, False]


def test_what_was_pushed_before_somebody_s_card_appeared_is_named(hub: WritingHub, publisher: Program) -> None:
    make_bundle(publisher.folder / "a.tar.gz")
    is_there = threading.Event()
    hub.spoil(Fault(pattern=STEPS["listing"], skip=1, until=is_there))
    process = publisher.start("publish", "a.tar.gz", SAMPLE_NAME, "--repo", REPOSITORY)
    while not hub.list_titles(REPOSITORY):
        assert process.poll() is None
    commit = hub.repositories[REPOSITORY].refs["main"]
    hub.add(REPOSITORY, {CARD: b"# Theirs\n"})
    is_there.set()
    _, err = process.communicate(timeout=600)
    told = " ".join(err.split())
    assert process.returncode == 2, told
    assert "written by somebody else" in told
    assert f"pushed before that, and there to stay: a.tar.gz (commit {commit})" in told
    assert hub.list_files(REPOSITORY)[CARD] == b"# Theirs\n"


@pytest.mark.parametrize("step", ["auth-check", "commit"])
def test_a_repository_that_was_made_before_an_error_is_named(step: str, hub: WritingHub, publisher: Program) -> None:
    hub.spoil(Fault(pattern=STEPS[step], status=403, times=ALWAYS))
    says = "made before that, and there to stay: .*/author/new"
    told = refuse(publisher, SAMPLE_NAME, "--repo", "author/new", "--create", exit_code=4, says=says)
    assert "pushed before that" not in told
    assert "author/new" in hub.repositories


def test_a_hub_that_cannot_be_reached_is_told(publisher: Program) -> None:
    unreachable = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=4, says="127.0.0.1:9.*Connect", **unreachable)
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=4, says="HF_HUB_OFFLINE", HF_HUB_OFFLINE="1")


def test_publishing_loads_no_torch(hub: WritingHub, publisher: Program) -> None:
    (publisher.folder / "torch.py").write_text("raise SystemExit('torch was imported')\n")
    publish(publisher, SAMPLE_NAME, PYTHONPATH=f"{publisher.folder}:{publisher.environment.get('PYTHONPATH', '')}")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(pattern="GET /lfs/", status=503),
        Fault(pattern="GET /lfs/", status=403),
        Fault(pattern="GET /lfs/", is_dropped=True),
        Fault(pattern="GET /lfs/", cut_at=100),
        Fault(pattern="HEAD .*/resolve/", status=503),
    ],
    ids=["503", "expired address", "dropped", "cut", "no address"],
)
def test_a_bundle_that_is_there_is_described_though_reading_it_fails_once(
    fault: Fault, hub: WritingHub, publisher: Program
) -> None:
    bundle = make_bundle(publisher.folder / "a.tar.gz")
    hub.add(REPOSITORY, {"a.tar.gz": bundle.read_bytes()})
    hub.spoil(replace(fault))
    publish(publisher, SAMPLE_NAME)
    assert "## a.tar.gz" in hub.list_files(REPOSITORY)[CARD].decode()


def test_a_card_is_not_written_while_a_bundle_that_is_there_cannot_be_read(hub: WritingHub, publisher: Program) -> None:
    bundle = make_bundle(publisher.folder / "a.tar.gz")
    hub.add(REPOSITORY, {"a.tar.gz": bundle.read_bytes()})
    hub.spoil(Fault(pattern="GET /lfs/", cut_at=100, times=ALWAYS))
    refuse(publisher, SAMPLE_NAME, "--repo", REPOSITORY, exit_code=4, says="a.tar.gz")
    assert set(hub.list_files(REPOSITORY)) == {"a.tar.gz"}
