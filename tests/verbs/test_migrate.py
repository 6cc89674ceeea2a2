"""`migrate`: every byte of a legacy archive kept, every value with where it comes from, nothing guessed."""

import gzip
import json
import os
import random
import subprocess
import tarfile
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from hstu_preserve.bundle.inflating import BLOCKS_AHEAD, INPUT_BYTES, OUTPUT_BYTES
from hstu_preserve.bundle.opening import open_verified
from hstu_preserve.bundle.tree import record_files, seal
from hstu_preserve.bundle.verification import read_stored_manifest, verify_bundle
from hstu_preserve.cli.main import main
from hstu_preserve.errors import ContentError, PreserveError
from hstu_preserve.legacy.consistency import CHECKS, check_migrated_tree, read_migrated_tree
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.voice import STEP_BYTES, Progress, Voice
from hstu_preserve.records.legacy.migration import Basis, Provenance, Statement, Subject
from hstu_preserve.records.legacy.outcomes import LegacyOutcome
from hstu_preserve.records.manifest import MigratedManifest
from hstu_preserve.records.results import MigrationResult, ShownMigrated
from hstu_preserve.records.verification import DeepCheck
from hstu_preserve.verbs.diff import diff
from hstu_preserve.verbs.keygen import keygen
from hstu_preserve.verbs.pack import pack
from hstu_preserve.verbs.show import show
from hstu_preserve.verbs.signing import sign
from hstu_preserve.verbs.unpack import unpack
from tests.bundle.archives import snapshot
from tests.corpus.legacy.generators import (
    CHECKPOINT,
    EVENTS,
    MANIFEST_SHAPES,
    Case,
    Entry,
    build,
    end_as_gnu,
    gnu_long,
    make_members,
    md5,
    read_cases,
    squeeze,
)
from tests.forked import run_in_words
from tests.legacy.migrating import migrate_archive as migrate
from tests.listening import Listener
from tools.schemas import generate_schema

CASES = [case for case in read_cases() if not case.limits]
EMPTY = "no-members"
ACCEPTED = [case for case in CASES if case.outcome in {"matches", "unvouched"} and case.id != EMPTY]
REFUSED = [case for case in CASES if case not in ACCEPTED]
FIRST_REFUSED = list({case.kind: case for case in reversed(REFUSED)}.values())
GOLDEN_CHECKPOINT = Path(__file__).parents[1] / "golden" / "meta_hstu_tiny_ep3"
Capture = pytest.CaptureFixture[str]


def list_checks(path: Path) -> tuple[DeepCheck, ...]:
    with open_verified(path, known=None) as tree:
        return check_migrated_tree(read_migrated_tree(tree))


def make(folder: Path, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    return build(Case(id="x", kind="", canonical="", outcome="", **changes), folder=folder)  # type: ignore[arg-type]


def make_whole(folder: Path, *, manifest: object = None) -> Path:
    """Write an archive whose checkpoint can be read, too."""
    content = GOLDEN_CHECKPOINT.read_bytes()
    members = [replace(one, content=content) if one.name == CHECKPOINT else one for one in make_members()]
    if manifest is not None:
        members.append(Entry(name="MANIFEST.json", content=json.dumps(manifest).encode()))
    return write_archive(folder, members)


def write_archive(folder: Path, members: list[Entry]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "exp.tar.gz"
    path.write_bytes(squeeze(end_as_gnu(b"".join(member.to_bytes() for member in members))))
    return path


def list_known(statements: tuple[Statement, ...], subject: Subject) -> list[tuple[object, str | None, str | None]]:
    return [(one.value, one.file, one.place) for one in statements if one.subject is subject and one.value is not None]


def read_migrated(path: Path) -> MigratedManifest:
    manifest = read_stored_manifest(path).record
    assert isinstance(manifest, MigratedManifest)
    return manifest


def read_original_files(archive: Path) -> dict[str, bytes]:
    """Return the archive's files by path, read by Python's own tar reader."""
    with tarfile.open(archive) as tar:
        found = ((member.name.removeprefix("./"), tar.extractfile(member)) for member in tar if member.isfile())
        # `._.`, in which macOS notes the attributes of a folder, is no name that a bundle can hold.
        return {name: stream.read() for name, stream in found if stream is not None and name != "._."}


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.id)
def test_what_is_accepted_comes_back_byte_for_byte(case: Case, tmp_path: Path) -> None:
    archive, bundle, tree = build(case, folder=tmp_path), tmp_path / "b.tar.gz", tmp_path / "tree"
    result = migrate(archive, output=bundle)
    verification = verify_bundle(bundle)
    assert verification.ok
    assert verification.identity == result.bundle.identity
    unpack(bundle, output=tree)
    manifest = read_migrated(tree)
    kept = {file.original_path: (tree / file.path).read_bytes() for file in manifest.files}
    assert kept == read_original_files(archive)
    assert manifest.source.outcome.value == case.outcome
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_what_is_refused_is_not_migrated_and_leaves_nothing(case: Case, tmp_path: Path) -> None:
    archive = build(case, folder=tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(PreserveError) as refused:
        migrate(archive, output=tmp_path / "b.tar.gz")
    assert refused.value.exit_code == 3
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("case", FIRST_REFUSED, ids=lambda case: case.kind)
def test_a_hostile_archive_exits_3_for_a_user(case: Case, tmp_path: Path) -> None:
    archive = build(case, folder=tmp_path)
    before = snapshot(tmp_path)
    result = run_in_words("migrate", archive.name, "--output", "b.tar.gz", cwd=tmp_path)
    assert result.returncode == 3, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stdout == ""
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("shape", MANIFEST_SHAPES)
def test_a_manifest_of_any_shape_is_kept_and_never_completed(shape: str, tmp_path: Path) -> None:
    archive, bundle = make(tmp_path, manifest=shape), tmp_path / "b.tar.gz"
    try:
        result = migrate(archive, output=bundle)
    except ContentError:
        assert not bundle.exists()
        return
    assert {one.subject for one in result.statements} == set(Subject)
    for one in result.statements:
        assert (one.value is None) == (one.provenance is Provenance.UNKNOWN)
    known = [one for one in result.statements if one.basis is Basis.MANIFEST_VALUE]
    text = json.dumps(json.loads(read_original_files(archive)["MANIFEST.json"]))
    assert all(one.file == "MANIFEST.json" and json.dumps(one.value) in text for one in known)
    (policy,) = [one for one in result.statements if one.subject is Subject.POLICY]
    assert policy.basis is Basis.NOT_FIXED_BEFORE_THE_RUN


def test_every_value_names_where_it_was_read(tmp_path: Path) -> None:
    said = {
        "experiment": "iter8-exp4",
        "dataset": "ml-20m",
        "seed": None,
        "best": {"NDCG@10": 0.1948, "epoch": 100, "ndcg@10": "high"},
        "seeds": [1, 2],
        "env/x": {"torch": "2.7.1"},
    }
    result = migrate(make_whole(tmp_path, manifest=said), output=tmp_path / "b.tar.gz")
    found = {subject: list_known(result.statements, subject) for subject in Subject}
    assert found[Subject.EXPERIMENT] == [("exp", None, None), ("iter8-exp4", "MANIFEST.json", "/experiment")]
    assert found[Subject.DATASET] == [
        ("ml-20m", "MANIFEST.json", "/dataset"),
        ("ml-20m", "config/base.gin", "line 2"),
    ]
    assert found[Subject.SEED] == [(1, "MANIFEST.json", "/seeds/0"), (2, "MANIFEST.json", "/seeds/1")]
    assert found[Subject.METRIC][0] == (0.1948, "MANIFEST.json", "/best/NDCG@10")
    assert [place for _, *place in found[Subject.METRIC][1:]] == [[EVENTS, "step 2"]]
    assert found[Subject.ENVIRONMENT] == [("2.7.1", "MANIFEST.json", "/env~1x/torch")]
    assert found[Subject.EPOCH] == [(100, "MANIFEST.json", "/best/epoch"), (100, CHECKPOINT, None)]
    assert found[Subject.CHECKPOINT] == [(CHECKPOINT, CHECKPOINT, None)]
    assert found[Subject.DATA_FINGERPRINT] == found[Subject.CODE] == found[Subject.POLICY] == []
    assert [binding.name for binding in result.unknown] == ["PRISM.mode", "input_compression.enabled"]


def test_a_default_of_ours_is_no_statement_of_the_archive(tmp_path: Path) -> None:
    result = migrate(make_whole(tmp_path), output=tmp_path / "b.tar.gz")
    chain = read_migrated(tmp_path / "b.tar.gz").chains[0]
    assert chain.known_part is not None
    assert list_known(result.statements, Subject.SEED) == []


@pytest.mark.parametrize("value", [1e300, 2.0**60, 2.0**53, -0.0, 5e-324, True, 2**53 - 1, "\u202e\x1b[2J", ""])
def test_any_value_is_stated_so_that_it_can_be_read_again(value: object, tmp_path: Path) -> None:
    archive = make_whole(tmp_path, manifest={"citation": value})
    bundle = tmp_path / "b.tar.gz"
    migrate(archive, output=bundle)
    assert all(check.passed for check in list_checks(bundle))
    assert main(["show", str(bundle)]) == 0


def test_nobody_vouched_is_said_everywhere(tmp_path: Path, capsys: Capture) -> None:
    archive, bundle = make_whole(tmp_path), tmp_path / "b.tar.gz"
    assert main(["migrate", str(archive), "--output", str(bundle)]) == 0
    assert main(["show", str(bundle)]) == 0
    assert main(["verify", str(bundle)]) == 0
    assert capsys.readouterr().out.count("nobody vouched for the legacy archive") == 3
    assert main(["reproduce", str(bundle)]) == 6
    assert "nobody vouched for the legacy archive" in capsys.readouterr().out
    assert read_migrated(bundle).source.outcome is LegacyOutcome.UNVOUCHED


def test_the_list_that_vouched_is_named_with_its_digest(tmp_path: Path) -> None:
    archive = make(tmp_path / "a", md5_list="table")
    elsewhere = (tmp_path / "a" / "MANIFEST.md").rename(tmp_path / "sums.md")
    source = migrate(archive, md5_list=elsewhere, output=tmp_path / "b.tar.gz").source
    assert source.outcome is LegacyOutcome.MATCHES
    assert source.md5_list == "sums.md"
    assert source.md5_list_sha256 is not None
    assert source.listed is not None
    assert source.listed.md5 == source.md5
    assert "as sums.md lists it" in source.vouched


def test_the_same_archive_gives_the_same_bundle_from_anywhere_on_any_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for name, umask in (("a", 0o022), ("b", 0o077)):
        archive = make(tmp_path / name, manifest="list", md5_list="md5sum")
        monkeypatch.chdir(archive.parent)
        before = os.umask(umask)
        try:
            results.append(migrate(archive.name if name == "a" else archive))
        finally:
            os.umask(before)
    assert results[0].bundle.identity == results[1].bundle.identity
    paths = [tmp_path / name / "iter8-exp4-SOTA.migrated.tar.gz" for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_an_archive_of_an_odd_name_is_named_so_that_a_terminal_can_take_it(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path).rename("odd\x1b[2J\n.tar.gz")
    assert main(["migrate", "odd\x1b[2J\n.tar.gz", "--output", "b.tar.gz"]) == 0
    assert main(["verify", "b.tar.gz"]) == 0
    assert "\x1b" not in capsys.readouterr().out
    assert read_migrated(Path("b.tar.gz")).source.name == r"odd\x1b[2J\n.tar.gz"


def test_files_with_a_place_keep_it_and_others_go_below_legacy(tmp_path: Path) -> None:
    names = ("top/config/a.gin", "top/README.md", "top/data/x.npy", "top/legacy/y", "top/results/z", "top/run.json")
    archive = write_archive(tmp_path, [Entry(name=name, content=name.encode()) for name in names])
    migrate(archive, output=tmp_path / "b.tar.gz")
    assert {file.original_path: file.path for file in read_migrated(tmp_path / "b.tar.gz").files} == {
        "top/README.md": "legacy/README.md",
        "top/config/a.gin": "config/a.gin",
        "top/data/x.npy": "legacy/data/x.npy",
        "top/legacy/y": "legacy/legacy/y",
        "top/results/z": "legacy/results/z",
        "top/run.json": "legacy/run.json",
    }


def test_an_archive_without_a_file_or_with_too_long_a_path_cannot_become_a_bundle(tmp_path: Path) -> None:
    empty = write_archive(tmp_path, [Entry(name="config/", kind="5", mode=0o755)])
    with pytest.raises(ContentError, match="holds no file"):
        migrate(empty, output=tmp_path / "b.tar.gz")
    deep = write_archive(tmp_path, [Entry(name="a/" * 44 + "b"), Entry(name="/".join("c" * 50))])
    assert migrate(deep, output=tmp_path / "b.tar.gz").bundle.members == 4
    edge = "x/" * 99 + "y"
    too_deep = write_archive(tmp_path, [Entry(name=edge[:100], extensions=gnu_long(edge)), Entry(name="z")])
    with pytest.raises(ContentError, match="more than 100 components"):
        migrate(too_deep, output=tmp_path / "c.tar.gz")


def test_a_manifest_that_says_too_much_is_refused(tmp_path: Path) -> None:
    archive = make_whole(tmp_path, manifest={"seeds": list(range(20_000))})
    with pytest.raises(ContentError, match="states more than 10000 values"):
        migrate(archive, output=tmp_path / "b.tar.gz")


def test_what_is_no_legacy_archive_is_a_usage_error(tmp_path: Path) -> None:
    migrate(make(tmp_path), output=tmp_path / "b.tar.gz")
    (tmp_path / "tree").mkdir()
    (tmp_path / "junk.tar.gz").write_bytes(b"PK\x03\x04")
    before = snapshot(tmp_path)
    attempts = {
        ("b.tar.gz", "native bundle already"): 2,
        ("tree", "a directory"): 2,
        ("absent.tar.gz", "no such file"): 2,
        ("junk.tar.gz", "junk.tar.gz"): 3,
        ("iter8-exp1-HardNeg", "not on this machine"): 4,
        ("iter8-exp4-SOTA.tar.gz", "b.tar.gz: exists"): 2,
    }
    for (target, says), exit_code in attempts.items():
        output = "b.tar.gz" if "exists" in says else "new.tar.gz"
        result = run_in_words("migrate", target, "--output", output, cwd=tmp_path)
        assert (result.returncode, result.stdout) == (exit_code, ""), result.stderr
        assert says in result.stderr
        assert "Traceback" not in result.stderr
    result = run_in_words("migrate", "iter8-exp4-SOTA.tar.gz", "--output", "nowhere/new.tar.gz", cwd=tmp_path)
    assert (result.returncode, "nowhere: no such directory" in result.stderr) == (2, True)
    assert snapshot(tmp_path) == before


def test_the_record_is_printed_whole_and_talk_goes_elsewhere(tmp_path: Path) -> None:
    make(tmp_path, manifest="list", md5_list="table")
    result = run_in_words("migrate", "iter8-exp4-SOTA.tar.gz", "--json", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    record = json.loads(result.stdout)
    assert record.pop("ok") is True
    assert record.pop("schema_version") == 1
    printed = MigrationResult.from_json(json.dumps(record).encode(), source="stdout")
    assert printed.source.md5_list == "MANIFEST.md"


def put_another_there(archive: Path) -> None:
    make(archive.parent, edits=[{"do": "add", "name": "config/other.gin", "text": "x"}])


def change_a_file(archive: Path) -> None:
    make(archive.parent, edits=[{"do": "change", "name": "config/base.gin", "text": "x"}])


def drop_a_file(archive: Path) -> None:
    make(archive.parent, edits=[{"do": "drop", "name": "config/base.gin"}])


def cut_the_end(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-9])


def interrupt(archive: Path) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("activity", "disturb", "raised"),
    [
        *(
            ("unpacking", disturb, ContentError)
            for disturb in (put_another_there, change_a_file, drop_a_file, cut_the_end)
        ),
        ("verifying", interrupt, KeyboardInterrupt),
        ("unpacking", interrupt, KeyboardInterrupt),
        ("packing", interrupt, KeyboardInterrupt),
    ],
)
def test_what_is_disturbed_leaves_nothing(
    activity: str, disturb: Callable[[Path], None], raised: type[BaseException], tmp_path: Path
) -> None:
    archive = make(tmp_path)

    def disturb_at_activity(progress: Progress) -> None:
        if progress.activity == activity:
            disturb(archive)

    with pytest.raises(raised, match="changed while it was worked on" if raised is ContentError else None):
        migrate(archive, output=tmp_path / "b.tar.gz", voice=Voice(show=disturb_at_activity))
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


def test_each_of_the_three_passes_tells_its_bytes(tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(3 * STEP_BYTES)
    archive, listener = write_archive(tmp_path, [*make_members(), Entry(name="notes", content=noise)]), Listener()
    bundle = migrate(archive, output=tmp_path / "b.tar.gz", voice=listener.voice).bundle.path
    assert listener.list_activities() == ["verifying", "unpacking", "packing"]
    listener.require_complete()
    sizes = {one.activity: one.total for one in listener.heard}
    assert sizes["verifying"] == sizes["unpacking"] == archive.stat().st_size
    with tarfile.open(bundle) as tar:
        assert sizes["packing"] == sum(member.size for member in tar)
    assert sum(one.activity == "packing" for one in listener.heard) > 3


def test_what_is_packed_is_what_was_verified(tmp_path: Path) -> None:
    archive = make(tmp_path, manifest="list")

    def disturb(progress: Progress) -> None:
        if progress.activity == "packing":
            (checkpoint,) = tmp_path.glob(f".b.tar.gz.*/tree/{CHECKPOINT}")
            checkpoint.write_bytes(bytes(checkpoint.stat().st_size))

    with pytest.raises(ContentError, match="changed after the manifest was written"):
        migrate(archive, output=tmp_path / "b.tar.gz", voice=Voice(show=disturb))
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


def test_memory_is_flat_in_the_archive_s_size(tmp_path: Path) -> None:
    archive = make(tmp_path, edits=[{"do": "add-zeros", "name": "ckpts/x_ep1", "size": 40 * 2**20}])
    tracemalloc.start()
    migrate(archive, output=tmp_path / "b.tar.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (BLOCKS_AHEAD + 2) * (INPUT_BYTES + OUTPUT_BYTES) + 24 * 2**20


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A migrated bundle all of whose parts can be read."""
    archive = make_whole(tmp_path, manifest={"experiment": "iter8-exp4", "metrics": {"ndcg@10": 0.1948}})
    return migrate(archive, output=tmp_path / "b.tar.gz").bundle.path


def test_an_unpacked_migrated_bundle_packs_to_the_same_bytes(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack(bundle, output=tmp_path / "tree")
    monkeypatch.chdir(tmp_path)
    assert pack("tree").path == Path("exp.migrated.tar.gz")
    assert Path("exp.migrated.tar.gz").read_bytes() == bundle.read_bytes()
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path / "tree", check=True)


def test_the_manifest_follows_its_published_schema(bundle: Path) -> None:
    jsonschema.validate(read_migrated(bundle).to_json_value(), generate_schema("migrated-manifest"))


def test_show_says_what_is_known_and_what_is_not(bundle: Path, capsys: Capture) -> None:
    shown = show(bundle)
    assert isinstance(shown, ShownMigrated)
    assert main(["show", str(bundle)]) == 0
    text = capsys.readouterr().out
    for said in ("/metrics/ndcg@10", "PRISM.mode", "not-fixed-before-the-run", "a reported value is not a claim"):
        assert said in text
    assert main(["show", str(bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["manifest"]["kind"] == "migrated"


def test_a_flipped_byte_is_found(bundle: Path) -> None:
    content = bytearray(gzip.decompress(bundle.read_bytes()))
    content[-3000] ^= 1
    bundle.write_bytes(gzip.compress(bytes(content)))
    assert main(["verify", str(bundle)]) == 3


def test_a_signature_is_over_the_manifest_as_of_any_bundle(bundle: Path, tmp_path: Path) -> None:
    keygen(tmp_path / "key")
    assert main(["verify", str(bundle), "--public-key", str(tmp_path / "key.pub")]) == 3
    sign(bundle, key=tmp_path / "key")
    assert main(["verify", str(bundle), "--public-key", str(tmp_path / "key.pub")]) == 0
    assert main(["reproduce", str(bundle), "--public-key", str(tmp_path / "key.pub")]) == 6


def test_reproduce_verifies_the_bytes_and_names_what_it_could_not_run(bundle: Path, capsys: Capture) -> None:
    assert main(["reproduce", str(bundle), "--rung", "evaluation", "--rung", "training", "--json"]) == 6
    verdicts = json.loads(capsys.readouterr().out)["verdicts"]
    assert [verdict["rung"] for verdict in verdicts[:3]] == ["bytes", "consistency", "recorded"]
    assert [verdict["outcome"] for verdict in verdicts] == ["REPRODUCED_BITWISE"] * 2 + ["NOT_RUN"] * 3
    assert "not known here: PRISM.mode, input_compression.enabled" in verdicts[3]["reason"]
    assert all("--runner archived --code" in verdict["reason"] for verdict in verdicts[3:])


@pytest.mark.parametrize("verb", [["export", "--output", "x"]], ids=lambda verb: verb[0])
@pytest.mark.parametrize("form", ["packed", "unpacked"])
def test_what_needs_a_run_says_that_there_is_none(verb: list[str], form: str, bundle: Path, tmp_path: Path) -> None:
    if form == "unpacked":
        unpack(bundle, output=tmp_path / "tree")
        bundle = tmp_path / "tree"
    before = snapshot(tmp_path)
    result = run_in_words(verb[0], str(bundle), *verb[1:], cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert "migrated from the legacy archive exp.tar.gz" in result.stderr
    assert "Traceback" not in result.stderr
    assert snapshot(tmp_path) == before


def test_report_lists_it_as_not_run(bundle: Path, tmp_path: Path) -> None:
    assert main(["report", str(bundle), "--markdown", str(tmp_path / "r.md")]) == 6  # not run
    text = (tmp_path / "r.md").read_text()
    assert "### migrated legacy archive exp.tar.gz" in text
    assert "NOT_RUN | no model here takes every tensor" in text


def test_two_migrated_bundles_differ_where_their_archives_do(bundle: Path, tmp_path: Path) -> None:
    other = make_whole(tmp_path / "other", manifest={"experiment": "iter8-exp1", "metrics": {"ndcg@10": 0.1948}})
    migrate(other, output=tmp_path / "c.tar.gz")
    assert diff(bundle, bundle).differences == ()
    found = diff(bundle, tmp_path / "c.tar.gz").differences
    names = {(one.section, one.name) for one in found}
    assert ("statements", "experiment experiment MANIFEST.json /experiment") in names
    assert ("contents", "legacy/MANIFEST.json") in names
    assert {one.section for one in found} == {"statements", "contents", "migrated from"}


def test_of_a_run_and_a_migrated_bundle_only_the_contents_are_compared(bundle: Path) -> None:
    for found in (diff("sample", bundle), diff(bundle, "sample")):
        others = [one for one in found.differences if one.section != "contents"]
        assert all("not comparable" in (one.left or one.right or "") for one in others)
        assert {"recipe", "claims", "statements"} <= {one.section.partition(" (")[0] for one in others}


def forge(bundle: Path, tree: Path, change: Callable[[MigratedManifest, Path], MigratedManifest]) -> None:
    """Unpack the bundle, change it, and make every digest fit again."""
    unpack(bundle, output=tree)
    manifest = change(read_migrated(tree), tree)
    seal(tree, manifest=manifest.model_copy(update={"contents": record_files(tree)}))


def improve_the_metric(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
    return restate(manifest, basis=Basis.MANIFEST_VALUE, subject=Subject.METRIC, value=0.2948)


def move_the_metric(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
    return restate(manifest, basis=Basis.MANIFEST_VALUE, subject=Subject.METRIC, place="/metrics/absent")


def improve_the_curve(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
    return restate(manifest, basis=Basis.LAST_POINT, subject=Subject.METRIC, value=0.2948)


def rename_the_dataset(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
    return restate(manifest, basis=Basis.GIN_BINDING, subject=Subject.DATASET, value="ml-1m")


def take_another_epoch(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
    return restate(manifest, basis=Basis.CHECKPOINT_NAME, subject=Subject.EPOCH, value=50)


def restate(manifest: MigratedManifest, *, basis: Basis, subject: Subject, **changes: object) -> MigratedManifest:
    statements = tuple(
        one.model_copy(update=changes) if (one.basis, one.subject) == (basis, subject) else one
        for one in manifest.statements
    )
    assert statements != manifest.statements
    return manifest.model_copy(update={"statements": statements})


def hide_an_unknown_name(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
    (chain,) = manifest.chains
    return manifest.model_copy(update={"chains": (chain.model_copy(update={"unknown": chain.unknown[1:]}),)})


def change_the_known_part(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
    (chain,) = manifest.chains
    assert chain.known_part is not None
    training = chain.known_part.training.model_copy(update={"num_epochs": 5})
    part = chain.known_part.model_copy(update={"training": training})
    return manifest.model_copy(update={"chains": (chain.model_copy(update={"known_part": part}),)})


def change_a_gin_file(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
    path = tree / "config" / "exp4.gin"
    path.write_text(path.read_text().replace("0.1", "0.2"))
    return with_true_md5s(manifest, tree)


def cut_the_events(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
    (tree / EVENTS).write_bytes((tree / EVENTS).read_bytes()[:-3])
    return without_curve(with_true_md5s(manifest, tree))


def poison_the_checkpoint(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
    (tree / CHECKPOINT).write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    return with_true_md5s(manifest, tree)


def misstate_an_md5(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
    (first, *others) = manifest.files
    return manifest.model_copy(update={"files": (first.model_copy(update={"md5": "0" * 32}), *others)})


def without_curve(manifest: MigratedManifest) -> MigratedManifest:
    kept = tuple(one for one in manifest.statements if one.basis is not Basis.LAST_POINT)
    return manifest.model_copy(update={"statements": kept})


def with_true_md5s(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
    files = tuple(file.model_copy(update={"md5": md5((tree / file.path).read_bytes())}) for file in manifest.files)
    return manifest.model_copy(update={"files": files})


FORGERIES: dict[Callable[[MigratedManifest, Path], MigratedManifest], str] = {
    improve_the_metric: "statements",
    move_the_metric: "statements",
    improve_the_curve: "statements",
    rename_the_dataset: "statements",
    take_another_epoch: "statements",
    hide_an_unknown_name: "gin chains",
    change_the_known_part: "gin chains",
    change_a_gin_file: "gin chains",
    cut_the_events: "event files",
    poison_the_checkpoint: "checkpoints",
    misstate_an_md5: "original files",
}


@pytest.mark.parametrize(("change", "check"), FORGERIES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_manifest_that_its_files_contradict_is_found(
    change: Callable[[MigratedManifest, Path], MigratedManifest],
    check: str,
    bundle: Path,
    tmp_path: Path,
    capsys: Capture,
) -> None:
    forge(bundle, tmp_path / "tree", change)
    assert main(["verify", str(tmp_path / "tree")]) == 0
    assert [one.name for one in list_checks(tmp_path / "tree") if not one.passed] == [check]
    assert main(["verify", "--deep", str(tmp_path / "tree")]) == 3
    capsys.readouterr()
    assert main(["reproduce", str(tmp_path / "tree"), "--json"]) == 3
    (consistency,) = [one for one in json.loads(capsys.readouterr().out)["verdicts"] if one["rung"] == "consistency"]
    assert (consistency["outcome"], consistency["is_required"]) == ("NOT_REPRODUCED", True)
    assert consistency["reason"].startswith(f"{check}: ")


def test_no_escape_sequence_of_a_forged_manifest_reaches_the_reader(
    bundle: Path, tmp_path: Path, capsys: Capture
) -> None:
    def dress_up(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
        (chain,) = manifest.chains
        escape = "\x1b[2J\u202e"
        binding = chain.unknown[0].model_copy(update=dict.fromkeys(("name", "value", "place"), escape))
        chains = (chain.model_copy(update={"unknown": (binding,), "problem": escape, "files": (escape,)}),)
        changes = {"chains": chains, "problems": (escape,), "missing_guarantees": (escape,)}
        return restate(manifest.model_copy(update=changes), basis=Basis.LAST_POINT, subject=Subject.METRIC, name=escape)

    forge(bundle, tmp_path / "tree", dress_up)
    for verb in (["show"], ["verify"], ["verify", "--deep"], ["reproduce"], ["evaluate"], ["diff", str(bundle)]):
        main([*verb, str(tmp_path / "tree")])
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "\u202e" not in captured.out + captured.err


def test_every_deep_check_has_a_forgery_that_it_finds() -> None:
    assert set(FORGERIES.values()) == set(CHECKS)


def test_a_whole_bundle_agrees_with_itself(bundle: Path, capsys: Capture) -> None:
    assert main(["verify", "--deep", str(bundle)]) == 0
    assert "1 checkpoint whole, read without loading anything" in capsys.readouterr().out


def test_a_migrated_bundle_that_somebody_tarred_anew_is_no_legacy_archive(bundle: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    unpack(bundle, output=tree)
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    members = [Entry(name=str(path.relative_to(tree)), content=path.read_bytes()) for path in files]
    for order in (members, members[::-1]):
        with pytest.raises(PreserveError):
            migrate(write_archive(tmp_path / "again", order), output=tmp_path / "c.tar.gz")
    assert not (tmp_path / "c.tar.gz").exists()


def test_a_later_release_that_knows_more_names_still_reads_the_record(bundle: Path, tmp_path: Path) -> None:
    def unlearn(manifest: MigratedManifest, tree: Path) -> MigratedManifest:
        (chain,) = manifest.chains
        changes = {"known": chain.known[1:], "unknown": (*chain.unknown, chain.known[0])}
        return manifest.model_copy(update={"chains": (chain.model_copy(update={**changes, "known_part": None}),)})

    forge(bundle, tmp_path / "tree", unlearn)
    assert all(check.passed for check in list_checks(tmp_path / "tree"))


def test_a_stored_manifest_is_canonical(bundle: Path) -> None:
    content = read_stored_manifest(bundle).content
    assert canonical_dumps(json.loads(content)) == content
