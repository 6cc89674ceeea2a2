"""What is no draw of the same number is refused, with the setting or the seed that is wrong."""

import json
import shutil
from pathlib import Path

import pytest

from hstu_preserve.bundle.layout import REFERENCES_FOLDER
from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.cli.main import main
from hstu_preserve.records.manifest import CHECKSUMS_NAME, MANIFEST_NAME
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.train import train
from hstu_preserve.verbs.unpack import unpack
from tests.retraining.seeds import Workshop, recipe

OTHER_MARGIN = "claim.margin = 0.2\nclaim.margin_derivation = 'seven spreads'\n"
SELECTED = "claim.selection_rule = 'best-on-test'\nclaim.margin = 0.15\nclaim.margin_derivation = 'seven spreads'\n"


@pytest.fixture(autouse=True)
def quick(one_thread: None) -> None:
    """See `one_thread`."""


def train_on_other_data(workshop: Workshop) -> Path:
    run, other = workshop.folder / "elsewhere", workshop.folder / "other"
    if not run.exists():
        synthesize_data(seed=6, num_users=200, num_items=200, num_ratings=6000, output=other)
        gin = workshop.folder / "elsewhere.gin"
        gin.write_text(recipe(seed=1))
        train(gin, data=other, device="cpu", output=run)
    return run


def train_slowly(workshop: Workshop) -> Path:
    return workshop.train("slow", recipe(seed=1, learning_rate=0.02))


def refuse(words: list[str], *, exit_code: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(words) == exit_code
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


REFERENCES = {
    "another recipe": (train_slowly, 3, "train_fn.learning_rate is 0.02 there, 0.01 in the bundle"),
    "other data": (train_on_other_data, 3, "the data's fingerprint is"),
    "another policy": (
        lambda workshop: workshop.train("wide", recipe(seed=1, claim=OTHER_MARGIN)),
        3,
        "claim.margin is 0.2 there, 0.15 in the bundle",
    ),
    "another selection": (
        lambda workshop: workshop.train("selected", recipe(seed=1, claim=SELECTED)),
        3,
        "claim.selection_rule is best-on-test there, final-epoch in the bundle",
    ),
    "a seed that is not listed": (
        lambda workshop: workshop.train("seven", recipe(seed=7, seeds=(7,))),
        3,
        "seed 7 is not among those behind the claim (claim.seeds 0, 1, 2)",
    ),
    "its own seed": (lambda workshop: workshop.recorded(0), 3, "seed 0 is the bundle's own"),
    "a seed twice": (lambda workshop: workshop.recorded(2), 3, "seed 2 comes twice"),
    "no run": (lambda workshop: workshop.folder / "absent", 2, "no such"),
}


@pytest.mark.parametrize("case", REFERENCES)
def test_a_reference_that_is_no_other_draw_is_refused(
    case: str, workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, exit_code, says = REFERENCES[case]
    others = [str(workshop.recorded(2)), str(make(workshop))]
    references = [word for other in others for word in ("--reference", other)]
    output = tmp_path / "bundle.tar.gz"
    words = ["pack", str(workshop.recorded(0)), *references, "--output", str(output)]
    refuse(words, exit_code=exit_code, says=says, capsys=capsys)
    assert not output.exists()


def test_a_listed_seed_that_is_missing_is_named(
    workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pack", str(workshop.recorded(0)), "--reference", str(workshop.recorded(1))]
    words += ["--output", str(tmp_path / "bundle.tar.gz")]
    refuse(words, exit_code=2, says="claim.seeds lists 2 as well", capsys=capsys)


def test_references_are_added_once(workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = unpack(workshop.bundle(), output=tmp_path / "tree").path
    words = ["pack", str(tree), "--reference", str(workshop.recorded(1)), "--output", str(tmp_path / "b.tar.gz")]
    refuse(words, exit_code=2, says="has recorded references already", capsys=capsys)


def test_packing_with_references_leaves_the_run_as_it_is(workshop: Workshop) -> None:
    workshop.bundle()
    manifest = read_tree_manifest(workshop.recorded(0)).manifest
    assert manifest.claims[0].references == ()
    assert not (workshop.recorded(0) / REFERENCES_FOLDER).exists()
    assert b"references" not in (workshop.recorded(0) / MANIFEST_NAME).read_bytes()


def test_a_bundle_with_references_is_packed_again_to_the_same_bytes(workshop: Workshop, tmp_path: Path) -> None:
    tree = unpack(workshop.bundle(), output=tmp_path / "tree").path
    assert sorted(path.name for path in (tree / REFERENCES_FOLDER).iterdir()) == ["1", "2"]
    assert main(["pack", str(tree), "--output", str(tmp_path / "again.tar.gz")]) == 0
    assert (tmp_path / "again.tar.gz").read_bytes() == workshop.bundle().read_bytes()
    assert main(["verify", str(tmp_path / "again.tar.gz"), "--deep"]) == 0


def change_metrics(tree: Path) -> None:
    path = tree / REFERENCES_FOLDER / "1" / "metrics.json"
    content = json.loads(path.read_text())
    content["final"]["metrics"]["hr@50"] = 0.99
    path.write_text(json.dumps(content, separators=(",", ":"), sort_keys=True))


def swap_runs(tree: Path) -> None:
    one, other = (tree / REFERENCES_FOLDER / seed / "ranks.npz" for seed in ("1", "2"))
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def remove_one(tree: Path) -> None:
    shutil.rmtree(tree / REFERENCES_FOLDER / "2")


def add_one(tree: Path) -> None:
    shutil.copytree(tree / REFERENCES_FOLDER / "2", tree / REFERENCES_FOLDER / "9")


def write_nonsense(tree: Path) -> None:
    (tree / REFERENCES_FOLDER / "1" / "run.json").write_bytes(b"[]")


LIES = {
    "another figure": (change_metrics, "references/1: hr@50: expected"),
    "each other's ranks": (swap_runs, "ranks of references/1"),
    "one is missing": (remove_one, "files of other recorded runs"),
    "one too many": (add_one, "files of other recorded runs"),
    "no record": (write_nonsense, "references/1/run.json"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_reference_that_contradicts_the_bundle_is_found(
    lie: str, workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, says = LIES[lie]
    tree = unpack(workshop.bundle(), output=tmp_path / "tree").path
    manifest = read_tree_manifest(tree).manifest
    change(tree)
    seal(tree, manifest=manifest.model_copy(update={"contents": record_files(tree)}))
    capsys.readouterr()
    assert main(["verify", str(tree), "--deep", "--json"]) == 3
    (target,) = json.loads(capsys.readouterr().out)["targets"]
    failed = {check["name"]: check["detail"] for check in target["deep"] if not check["passed"]}
    assert list(failed) == ["references"]
    assert says in failed["references"]


def cut(workshop: Workshop) -> Path:
    """Return a run as it is left before its end."""
    path = workshop.folder / "cut"
    if not path.exists():
        shutil.copytree(workshop.rerun(3), path)
        for sealed in (MANIFEST_NAME, CHECKSUMS_NAME):
            (path / sealed).unlink()
    return path


def forge(workshop: Workshop) -> Path:
    """Return a run whose results say more than its ranks, with digests that fit."""
    path = workshop.folder / "forged"
    if not path.exists():
        shutil.copytree(workshop.rerun(3), path)
        metrics = json.loads((path / "results/metrics.json").read_text())
        metrics["final"]["metrics"]["hr@50"] = 0.99
        (path / "results/metrics.json").write_text(json.dumps(metrics, separators=(",", ":"), sort_keys=True))
        manifest = read_tree_manifest(path).manifest
        claims = tuple(claim.model_copy(update={"value": 0.99}) for claim in manifest.claims)
        seal(path, manifest=manifest.model_copy(update={"contents": record_files(path), "claims": claims}))
    return path


RERUNS = {
    "another recipe": (train_slowly, 3, "train_fn.learning_rate is 0.02 there, 0.01 in the bundle"),
    "other data": (train_on_other_data, 3, "the data's fingerprint is"),
    "another selection": (
        lambda workshop: workshop.train("selected", recipe(seed=1, claim=SELECTED)),
        3,
        "claim.selection_rule is best-on-test there, final-epoch in the bundle",
    ),
    "unfinished": (cut, 3, "did not finish"),
    "figures that its ranks do not give": (forge, 3, "contradicts itself (ranks: "),
    "a recorded seed": (lambda workshop: workshop.recorded(1), 2, "seed 1 is the recorded draw again; leave --rerun"),
    "a gin file": (lambda workshop: workshop.folder / "run-0.gin", 2, "no run or bundle of this program"),
    "nothing": (lambda workshop: workshop.folder / "absent", 2, "no such file or directory"),
}


@pytest.mark.parametrize("case", RERUNS)
def test_a_rerun_that_is_no_other_draw_is_refused(
    case: str, workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    make, exit_code, says = RERUNS[case]
    words = ["reproduce", str(workshop.bundle()), "--rung", "training", "--rerun", str(make(workshop))]
    refuse(words, exit_code=exit_code, says=says, capsys=capsys)


def test_the_same_rerun_twice_is_one_draw(workshop: Workshop, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["reproduce", str(workshop.bundle()), "--rung", "training"]
    words += ["--rerun", workshop.rerun(3), "--rerun", workshop.rerun(3)]
    refuse(words, exit_code=2, says="two runs have seed 3", capsys=capsys)


TRAINING = ["--rung", "training"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*TRAINING, "--seeds", "0"], "--seeds 0: out of range"),
        ([*TRAINING, "--seeds", "100"], "--seeds 100: out of range"),
        ([*TRAINING, "--seeds", "-1"], "--seeds -1: out of range"),
        (["--seeds", "3"], "add --rung training"),
        (["--rung", "evaluation", "--rerun", "x"], "add --rung training"),
        ([*TRAINING, "--seeds", "3", "--margin", "0"], "--margin 0.0: out of range"),
        ([*TRAINING, "--seeds", "3", "--margin", "1"], "--margin 1.0: out of range"),
        ([*TRAINING, "--seeds", "3", "--margin", "nan"], "--margin nan: out of range"),
        ([*TRAINING, "--margin", "0.1"], "--margin: belongs to retrainings with other seeds"),
        ([*TRAINING, "--dry-run"], "--dry-run: belongs to retrainings with other seeds"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wish_that_makes_no_sense_is_refused(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(["reproduce", "sample", *words, "--output", str(tmp_path / "out")], exit_code=2, says=says, capsys=capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--seed", "3"], "add --plan FILE"),
        ([], "nothing to train"),
        (["--plan", "plan.json"], "name it with --seed"),
        (["x.gin", "--plan", "plan.json", "--seed", "3"], "leave the gin file out"),
        (["--plan", "absent.json", "--seed", "3"], "absent.json"),
    ],
)
def test_a_planned_training_names_a_plan_and_a_seed(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(["train", *words, "--output", str(tmp_path / "run")], exit_code=2, says=says, capsys=capsys)


@pytest.mark.parametrize(
    "content",
    [b"notes", b"\x7fELF\xff\xfe", b"{}", b"[" * 99, b"x" * (2 * 2**20 + 1)],
    ids=["text", "a program", "another record", "deep", "large"],
)
def test_a_file_that_is_no_plan_is_said_to_be_none_and_what_one_is(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.json"
    path.write_bytes(content)
    words = ["train", "--plan", str(path), "--seed", "3", "--output", str(tmp_path / "run")]
    refuse(words, exit_code=3, says=f"error: {path}: no plan of this program (", capsys=capsys)
    refuse(words, exit_code=3, says="reproduce BUNDLE --rung training --seeds N --output DIR' writes", capsys=capsys)


def test_a_folder_with_another_plan_or_none_is_refused(
    workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*TRAINING, "--seeds", "3", "--data", str(workshop.store), "--output"]
    again = ["reproduce", str(workshop.alone()), *words, str(workshop.retrained())]
    refuse(again, exit_code=2, says="holds the plan of another bundle (identity ", capsys=capsys)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.tex").touch()
    used = ["reproduce", str(workshop.bundle()), *words, str(tmp_path / "used")]
    refuse(used, exit_code=2, says="holds thesis.tex and no plan.json", capsys=capsys)
    (tmp_path / "file").touch()
    file = ["reproduce", str(workshop.bundle()), *words, str(tmp_path / "file")]
    refuse(file, exit_code=2, says="not a directory", capsys=capsys)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "plan.json").write_bytes(b"{")
    damaged = ["reproduce", str(workshop.bundle()), *words, str(tmp_path / "damaged")]
    refuse(damaged, exit_code=3, says="plan.json", capsys=capsys)
    inside = ["reproduce", str(workshop.bundle()), *words, str(workshop.recorded(0) / "inside")]
    refuse(inside, exit_code=2, says="lies inside", capsys=capsys)


def test_a_planned_training_on_other_data_is_refused(
    workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_on_other_data(workshop)
    plan = workshop.retrained() / "plan.json"
    words = ["train", "--plan", str(plan), "--seed", "3", "--data", str(workshop.folder / "other")]
    refuse([*words, "--output", str(tmp_path / "run")], exit_code=3, says="other data", capsys=capsys)


def test_a_legacy_archive_is_not_retrained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import tarfile

    (tmp_path / "a.txt").write_text("a")
    with tarfile.open(tmp_path / "old.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "a.txt", arcname="exp/a.txt")
    words = ["reproduce", str(tmp_path / "old.tar.gz"), *TRAINING, "--seeds", "3", "--output", str(tmp_path / "out")]
    refuse(words, exit_code=2, says="not a bundle of this program", capsys=capsys)
    assert not (tmp_path / "out").exists()
