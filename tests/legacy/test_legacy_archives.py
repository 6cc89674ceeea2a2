"""`verify` and `show` of the published archive's form, as the command line runs them."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from hstu_preserve.bundle.inflating import BLOCKS_AHEAD, INPUT_BYTES, OUTPUT_BYTES
from hstu_preserve.bundle.opening import open_verified
from hstu_preserve.bundle.verification import read_stored_manifest
from hstu_preserve.cli.main import main
from hstu_preserve.errors import ContentError, VerificationError
from hstu_preserve.legacy.consistency import check_migrated_tree, read_migrated_tree
from hstu_preserve.legacy.contents import read_contents
from hstu_preserve.legacy.recognition import is_legacy
from hstu_preserve.legacy.showing import show_legacy
from hstu_preserve.legacy.verification import verify_legacy
from hstu_preserve.legacy.walker import LegacyMember, open_legacy
from hstu_preserve.library.sources import find_here
from hstu_preserve.records.legacy.migration import Subject
from hstu_preserve.records.legacy.shown import ShownLegacy
from hstu_preserve.records.manifest import MigratedManifest
from tests.corpus.legacy.generators import CHECKPOINT, EVENTS, Case, build, make_events, read_cases

CASES = {case.id: case for case in read_cases()}


def make(folder: Path, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    return build(Case(id="x", kind="", canonical="", outcome="", **changes), folder=folder)  # type: ignore[arg-type]


def show(archive: Path) -> ShownLegacy:
    return show_legacy(archive, target=str(archive))


def test_several_targets_may_be_of_both_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = make(tmp_path / "a", md5_list="table"), make(tmp_path / "b", md5_list="mismatch")
    assert main(["verify", "sample", str(good)]) == 0
    assert main(["verify", "sample", str(bad), str(good)]) == 3
    text = capsys.readouterr().out
    assert "legacy archive" in text
    assert "packed bytes" in text


def test_the_list_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = make(tmp_path / "a", md5_list="table")
    elsewhere = (tmp_path / "a" / "MANIFEST.md").rename(tmp_path / "sums.md")
    assert main(["verify", str(archive)]) == 6
    assert main(["verify", str(archive), "--md5-list", str(elsewhere)]) == 0
    elsewhere.write_text("no digests")
    assert main(["verify", str(archive), "--md5-list", str(elsewhere)]) == 3
    assert main(["verify", str(archive), "--md5-list", str(tmp_path / "missing.md")]) == 2
    assert main(["verify", "sample", "--md5-list", str(elsewhere)]) == 2
    assert "leave --md5-list out" in capsys.readouterr().out


def test_a_list_is_found_too_large_before_it_is_read(tmp_path: Path) -> None:
    archive = make(tmp_path / "a")
    with (tmp_path / "sums").open("wb") as stream:
        stream.truncate(2**40)  # no memory holds it
    for place in (tmp_path / "sums", Path("/dev/zero")):
        with pytest.raises(ContentError, match=r"larger than the 4194304 bytes"):
            verify_legacy(archive, md5_list=place)


def test_what_only_native_bundles_have_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = make(tmp_path / "a", md5_list="table")
    (tmp_path / "k.pub").write_text("x")
    assert main(["verify", str(archive), "--public-key", str(tmp_path / "k.pub")]) == 3
    assert main(["verify", str(archive), "--deep"]) == 2
    assert "nobody signed this" in capsys.readouterr().out


def test_a_native_bundle_is_never_read_tolerantly(tmp_path: Path) -> None:
    sample = find_here("sample").path
    assert not is_legacy(sample)
    content = bytearray(sample.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.tar.gz").write_bytes(content)
    assert not is_legacy(tmp_path / "damaged.tar.gz")


def test_unknown_gin_names_are_listed_and_the_others_resolve(tmp_path: Path) -> None:
    (chain,) = show(make(tmp_path / "a")).chains
    assert chain.entry == "config/exp4.gin"
    assert chain.files == ("config/exp4.gin", "config/base.gin")
    assert [binding.name for binding in chain.unknown] == ["PRISM.mode", "input_compression.enabled"]
    assert chain.unknown[0].place == "config/exp4.gin:4"
    assert chain.problem is None
    assert chain.known_part is not None
    assert chain.known_part.training.num_epochs == 101
    assert chain.known_part.model.num_blocks == 8


@pytest.mark.parametrize("place", ["config/sub/base.gin", "base.gin"])
def test_an_include_is_found_from_the_root_or_by_its_only_name(tmp_path: Path, place: str) -> None:
    text = 'train_fn.dataset_name = "ml-20m"\n'
    edits = [{"do": "drop", "name": "config/base.gin"}, {"do": "add", "name": place, "text": text}]
    (chain,) = show(make(tmp_path / "a", edits=edits)).chains
    assert chain.files == ("config/exp4.gin", place)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('include "gone.gin"\n', "no such file in the archive"),
        ('include "x.gin"\n', "include cycle"),
        ("import os\n", "import of os refused"),
        ("a.b = @f()\n", "would call a function"),
        ('include "/etc/passwd"\n', "no such file in the archive"),
        ('train_fn.num_epochs = "many"\n', "num_epochs"),
    ],
)
def test_a_config_that_cannot_be_read_is_a_named_problem(tmp_path: Path, text: str, says: str) -> None:
    chains = show(make(tmp_path / "a", edits=[{"do": "add", "name": "config/x.gin", "text": text}])).chains
    assert says in next(chain.problem or "" for chain in chains if chain.entry == "config/x.gin")


def test_checkpoints_and_curves_are_shown(tmp_path: Path) -> None:
    shown = show(make(tmp_path / "a", manifest="list"))
    assert [(one.path, one.epoch) for one in shown.checkpoints] == [(CHECKPOINT, 100)]
    (curve,) = shown.curves
    assert (curve.file, curve.tag, curve.num_points, curve.last_step) == (EVENTS, "eval_epoch/ndcg@10", 3, 2)
    assert curve.last_value == pytest.approx(0.1948)
    assert isinstance(shown.manifest, dict)
    assert shown.manifest["experiment"] == "iter8-exp4"


def test_the_event_file_of_a_killed_run_keeps_its_whole_points(tmp_path: Path) -> None:
    archive = build(CASES["damaged-event-file"], folder=tmp_path)
    shown = show(archive)
    assert [(curve.num_points, curve.last_step) for curve in shown.curves] == [(2, 1)]
    assert "is cut off" in shown.problems[0]
    assert "the 2 points before it are whole" in shown.problems[0]
    assert main(["migrate", str(archive), "--output", str(tmp_path / "bundle.tar.gz")]) == 0
    with open_verified(tmp_path / "bundle.tar.gz", known=None) as tree:
        checks = {check.name: check for check in check_migrated_tree(read_migrated_tree(tree))}
    assert checks["event files"].passed
    assert "2 points in 1 file, whole; 1 cut off within a record" in checks["event files"].detail


@pytest.mark.parametrize("place", [3, 40, -10])
def test_a_damaged_event_file_is_a_problem_and_gives_no_curve(place: int, tmp_path: Path) -> None:
    content = bytearray(make_events())
    content[place] ^= 1
    member = LegacyMember(path=EVENTS, size=len(content), chunks=iter([bytes(content)]))
    contents = read_contents([member])
    assert contents.curves == ()
    assert "damaged" in contents.problems[0]


def test_companions_of_macos_are_taken_for_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edits = [{"do": "prefix", "text": "./"}, {"do": "companions", "root": "./"}]
    plain, archive = show(make(tmp_path / "a", manifest="list")), make(tmp_path / "b", manifest="list", edits=edits)
    shown = show(archive)
    assert (shown.chains, shown.curves, shown.checkpoints) == (plain.chains, plain.curves, plain.checkpoints)
    assert (shown.manifest_path, shown.problems) == (plain.manifest_path, ())
    assert main(["verify", str(archive)]) == 0
    assert (
        "6 companions of macOS, taken for nothing of the experiment: ._., config/._exp4.gin" in capsys.readouterr().out
    )
    bundle = tmp_path / "bundle.tar.gz"
    assert main(["migrate", str(archive), "--output", str(bundle)]) == 0
    with open_verified(bundle, known=None) as tree:
        manifest = tree.verification.manifest
        checks = check_migrated_tree(read_migrated_tree(tree))
    assert isinstance(manifest, MigratedManifest)
    assert [
        file.path for file in manifest.contents.files if "._" in file.path and not file.path.startswith("legacy/")
    ] == []
    assert sum("._" in file.path for file in manifest.files) == 5
    assert [statement.value for statement in manifest.statements if statement.subject is Subject.EPOCH] == [100]
    assert [check.detail for check in checks if check.name == "event files"] == ["3 points in 1 file, whole"]


@pytest.mark.parametrize(
    "edits",
    [
        [{"do": "companions", "folder": "__MACOSX/"}],
        [{"do": "prefix", "text": "exp/"}, {"do": "companions"}],
        [{"do": "prefix", "text": "exp/"}, {"do": "companions"}, {"do": "add", "name": "._exp", "text": "x"}],
    ],
    ids=["folder-of-companions", "below-a-folder", "beside-a-folder"],
)
def test_companions_move_no_file_of_a_migrated_archive(edits: list[dict[str, str]], tmp_path: Path) -> None:
    archive = make(tmp_path / "a", edits=edits)
    assert main(["migrate", str(archive), "--output", str(tmp_path / "bundle.tar.gz")]) == 0
    manifest = read_stored_manifest(tmp_path / "bundle.tar.gz").record
    assert {CHECKPOINT, EVENTS, "config/exp4.gin"} <= {file.path for file in manifest.contents.files}


@pytest.mark.parametrize("case", ["symbolic-link", "name-dotdot", "bad-crc", "hidden-after-the-end"])
def test_nothing_is_shown_of_what_may_not_be(case: str, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="tolerant profile"):
        show(build(CASES[case], folder=tmp_path))


def test_show_prints_and_torch_stays_out(tmp_path: Path) -> None:
    archive = make(tmp_path / "a", manifest="list", md5_list="md5sum")
    script = (
        "import sys; from hstu_preserve.cli.main import main\n"
        f"code = main(['show', {str(archive)!r}]) or main(['verify', {str(archive)!r}])\n"
        "print('LOADED', sorted({'torch', 'fbgemm_gpu', 'scipy'} & {m.partition('.')[0] for m in sys.modules}), code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert result.stdout.splitlines()[-1] == "LOADED [] 0"
    assert "PRISM.mode" in result.stdout
    assert "eval_epoch/ndcg@10" in result.stdout


def test_memory_is_flat_in_the_archive_s_size(tmp_path: Path) -> None:
    archive = make(tmp_path / "a", edits=[{"do": "add-zeros", "name": "ckpts/x_ep1", "size": 40 * 2**20}])
    tracemalloc.start()
    with open_legacy(archive) as walker:
        for _ in walker.members():
            pass
        assert not walker.findings
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # How full the queue of blocks was at its fullest is a matter of scheduling; what it may hold at most is not.
    assert peak < (BLOCKS_AHEAD + 2) * (INPUT_BYTES + OUTPUT_BYTES) + 8 * 2**20


def test_reproduce_says_why_weights_cannot_be_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = make(tmp_path / "a", md5_list="table")
    assert main(["reproduce", str(archive), "--output", str(tmp_path / "verdicts")]) == 6
    text = capsys.readouterr().out
    assert "md5 is no protection against intent" in text
    assert "NOT_RUN" in text
    assert "not a checkpoint that can be read" in text
    assert f"hstu-preserve reproduce {archive} --runner archived --code" in text
    assert (tmp_path / "verdicts" / "reproduction.json").exists()


def test_reproduce_refuses_a_legacy_archive_that_is_not_the_listed_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = make(tmp_path / "a", md5_list="mismatch")
    assert main(["reproduce", str(archive)]) == 3
    assert "NOT_REPRODUCED" in capsys.readouterr().out


def test_reproduce_of_an_archive_that_nothing_vouches_for_is_inconclusive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", str(make(tmp_path / "a"))]) == 6
    assert "nothing outside the archive vouches for it" in capsys.readouterr().out


def test_verbs_for_bundles_name_what_makes_one_of_an_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = str(make(tmp_path / "a", md5_list="table"))
    key = tmp_path / "key"
    assert main(["keygen", "--output", str(key)]) == 0
    for command in (["unpack", archive], ["diff", "sample", archive], ["sign", archive]):
        assert main([*command, *(["--key", str(key)] if command[0] == "sign" else [])]) == 3, command
        assert "a legacy archive; make a bundle of it with 'hstu-preserve migrate'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["export", "--format", "meta-checkpoint", "--output", "x"]])
def test_what_needs_a_run_refuses_it_as_it_refuses_a_migrated_one(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = make(tmp_path / "a")
    assert main(["migrate", str(archive), "--output", str(tmp_path / "b.tar.gz")]) == 0
    capsys.readouterr()
    errors = []
    for target in (archive, tmp_path / "b.tar.gz"):
        assert main([verb[0], str(target), *verb[1:]]) == 2
        errors.append(capsys.readouterr().err)
    assert all("no recipe with data and policy to work on" in error for error in errors)
