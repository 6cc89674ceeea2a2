"""Bundles whose parts agree with each other, and not with their weights or their recipe: refused when run again.

Those of a larger model, and all that a contradiction gives away, are in `tests/corpus/bundles`.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, EVENTS_FOLDER, METRICS
from hstu_preserve.cli.main import main
from hstu_preserve.training.checkpoint import read_checkpoint
from tests.corpus.bundles.forgery import Forgery, move_one_weight, perturb_weights, take_other_seed
from tests.retraining.seeds import Workshop, recipe

Forge = Callable[[Forgery, Workshop], None]


@dataclass(frozen=True, kw_only=True)
class Control:
    """A bundle that must be refused.

    Attributes:
        forge: What somebody did who made the digests fit, and all that follows from the weights.
        rung: That is climbed.
        decided_by: The rung that refuses it, with exit code 5.
        says: Why.
    """

    forge: Forge
    rung: str
    decided_by: str
    says: str


def train_included(workshop: Workshop, seed: int) -> Path:
    """Return a run that holds its data."""
    return workshop.train(f"included-{seed}", f"{recipe(seed=seed, seeds=(seed,))}bundle.include_data = True\n")


def take_other_weights(forgery: Forgery, workshop: Workshop) -> None:
    take_other_seed(forgery, seed=7, state_fits=True)


def perturb(forgery: Forgery, workshop: Workshop) -> None:
    perturb_weights(forgery, relative=0.01, state_fits=True)


def perturb_elsewhere(forgery: Forgery, workshop: Workshop) -> None:
    perturb(forgery, workshop)
    record_elsewhere(forgery)


def move_to_the_next_float(forgery: Forgery, workshop: Workshop) -> None:
    move_one_weight(forgery)
    forgery.fit_state()


def pass_off_another_seed(forgery: Forgery, workshop: Workshop) -> None:
    """Put what seed 1 gave in the place of everything that the run recorded: a number that was picked."""
    other = train_included(workshop, 1)
    for name in ("results", CHECKPOINT_FOLDER, EVENTS_FOLDER):
        shutil.rmtree(forgery.root / name)
        shutil.copytree(other / name, forgery.root / name)
    for path in forgery.checkpoints:
        content = {**read_checkpoint(path).content, "recipe_sha256": forgery.manifest.run.recipe_sha256}
        forgery.write_state(path, content)
    forgery.write_results(forgery.read_results())
    forgery.fit_state()


def pass_off_another_seed_elsewhere(forgery: Forgery, workshop: Workshop) -> None:
    pass_off_another_seed(forgery, workshop)
    record_elsewhere(forgery)


def record_elsewhere(forgery: Forgery) -> None:
    """Let it have been made on another processor, so that nobody asks for equal bits."""
    run = forgery.manifest.run
    numerics = run.environment.numerics
    assert numerics is not None
    other = numerics.model_copy(update={"cpu_capability": "ANOTHER"})
    forgery.write_run(run.model_copy(update={"environment": run.environment.model_copy(update={"numerics": other})}))


CONTROLS = {
    "weights of another seed": Control(
        forge=take_other_weights, rung="evaluation", decided_by="evaluation-bitwise", says="users moved"
    ),
    "perturbed weights": Control(
        forge=perturb, rung="evaluation", decided_by="evaluation-bitwise", says="the environment is the recorded one"
    ),
    "perturbed weights, recorded elsewhere": Control(
        forge=perturb_elsewhere,
        rung="evaluation",
        decided_by="evaluation-numeric hr@50",
        says="other weights than those behind the recorded ranks",
    ),
    "weights that are the next float": Control(
        forge=move_to_the_next_float,
        rung="training",
        decided_by="training-bitwise",
        says="the final state is another",
    ),
    "weights that are the next float, continued": Control(
        forge=move_to_the_next_float, rung="resume", decided_by="resume-bitwise", says="the final state is another"
    ),
    "a run with another seed": Control(
        forge=pass_off_another_seed, rung="training", decided_by="training-bitwise", says="the final state is another"
    ),
    "a run with another seed, recorded elsewhere": Control(
        forge=pass_off_another_seed_elsewhere,
        rung="training",
        decided_by="training-numeric hr@50",
        says="the recorded seed again: the loss of step 1 differs by",
    ),
}


@pytest.fixture(autouse=True)
def quick(one_thread: None) -> None:
    """See `one_thread`."""


def forge(workshop: Workshop, folder: Path, change: Forge | None) -> Path:
    """Return the tree of the run, changed, with digests that fit."""
    root = folder / "tree"
    shutil.copytree(train_included(workshop, 0), root)
    forgery = Forgery.begin(root)
    if change is not None:
        change(forgery, workshop)
    forgery.finish()
    assert (root / METRICS).is_file()
    return root


def run_again(root: Path, *rungs: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Reproduce a tree on the rungs; return exit code and what is printed, on one line."""
    capsys.readouterr()
    climbed = [word for rung in rungs for word in ("--rung", rung)]
    exit_code = main(["reproduce", str(root), "--device", "cpu", *climbed])
    return exit_code, " ".join("".join(capsys.readouterr()).split())


@pytest.mark.parametrize("name", CONTROLS)
def test_a_bundle_that_contradicts_nothing_is_refused_by_who_runs_it_again(
    name: str, workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    control = CONTROLS[name]
    exit_code, said = run_again(forge(workshop, tmp_path, control.forge), control.rung, capsys=capsys)
    assert exit_code == 5, said
    assert control.says in said
    assert f"decided by {control.decided_by}: NOT_REPRODUCED, exit 5" in said


def test_the_honest_run_passes_on_every_rung(
    workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rungs = dict.fromkeys(control.rung for control in CONTROLS.values())
    exit_code, said = run_again(forge(workshop, tmp_path, None), *rungs, capsys=capsys)
    assert exit_code == 0, said
    assert "decided by training-numeric hr@50: REPRODUCED_NUMERIC, exit 0" in said


def test_nobody_who_only_reads_it_can_tell_a_picked_seed(
    workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = forge(workshop, tmp_path, pass_off_another_seed)
    assert main(["verify", str(root), "--deep"]) == 0, "".join(capsys.readouterr())
    assert run_again(root, "evaluation", capsys=capsys)[0] == 0
