"""A small fork of a research trainer is run as it is, on the data, the weights and the recipe that it was made with."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from hstu_preserve.archived.interpreter import Interpreter, probe
from hstu_preserve.archived.outputs import read_points, select_curve, select_evaluation, select_losses
from hstu_preserve.archived.preparation import prepare
from hstu_preserve.archived.rungs import evaluate_archived, resume_archived, train_archived
from hstu_preserve.archived.settings import ArchivedBundle, ArchivedSettings
from hstu_preserve.archived.workspace import Stage, list_staged
from hstu_preserve.errors import NotRunnableError
from hstu_preserve.event_files.reader import ScalarPoint
from hstu_preserve.primitives.voice import SILENT
from hstu_preserve.training.foreign_checkpoint import read_foreign_checkpoint
from tests.archived.strangers import make_settings

FORK = Path(__file__).resolve().parents[1] / "toy_fork"
LAST_EPOCH, RESUMED_EPOCH = 4, 2
RESUME = 'train_fn.resume_ckpt = "{checkpoint}"'


def write_histories(path: Path) -> None:
    """Write 80 users whose next item follows from the last ones, mostly."""
    draw = random.Random(1)
    lines = ["index,user_id,sequence_item_ids,sequence_ratings,sequence_timestamps"]
    for user in range(80):
        first, length = draw.randrange(60), draw.randrange(5, 30)
        items = ",".join(str((first + 3 * n + draw.randrange(2)) % 60 + 1) for n in range(length))
        ones = ",".join("1" * length)
        lines.append(f'{user},{user + 1},"{items}","{ones}","{ones}"')
    path.parent.mkdir(parents=True)
    path.write_text("\n".join([*lines, ""]))


@dataclass(frozen=True, kw_only=True)
class Published:
    """What the fork's author has: the data, and the folder of his run."""

    data: Path
    run: Path

    def settings(self, output: Path, **others: object) -> ArchivedSettings:
        stages = (Stage(source=self.data, place="tmp/toy"),)
        # One thread, as in the author's run: sums are then added in the same order.
        environment = {"OMP_NUM_THREADS": "1"}
        return make_settings(FORK, output=output, stages=stages, environment=environment, **others)  # type: ignore[arg-type]

    def checkpoint(self, epoch: int) -> Path:
        return next(self.run.rglob(f"*_ep{epoch}"))

    @property
    def bundle(self) -> ArchivedBundle:
        return make_toy_bundle(read_foreign_checkpoint(self.checkpoint(LAST_EPOCH)).state)

    @property
    def points(self) -> list[ScalarPoint]:
        return read_points(list_staged(self.run))


def make_toy_bundle(weights: dict[str, torch.Tensor]) -> ArchivedBundle:
    gins = {f"configs/{path.name}": path.read_bytes() for path in (FORK / "configs").glob("*.gin")}
    return ArchivedBundle(name="Toy_ep4", gins=gins, entry="configs/toy.gin", root="configs", weights=weights)


@pytest.fixture(scope="module", autouse=True)
def one_probe() -> Iterator[None]:
    """Ask the interpreter for its versions once: it is the same one for each run, and imports PyTorch each time."""
    found: list[Interpreter] = []

    def probe_once(*arguments: Any, **named: Any) -> Interpreter:
        if not found:
            found.append(probe(*arguments, **named))
        return found[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hstu_preserve.archived.preparation.probe", probe_once)
        yield


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The author's run, made by the runner's third rung, which trains anew."""
    folder = tmp_path_factory.mktemp("author")
    write_histories(folder / "data" / "sasrec_format.csv")
    author = Published(data=folder / "data", run=folder / "out" / "training" / "work")
    prepared = prepare(author.settings(folder / "out"), voice=SILENT)
    trained = train_archived(prepared, make_toy_bundle({}), metric="ndcg@10", stage_data=None, voice=SILENT)
    assert sorted(trained.curve) == [0, 1, 2, 3, 4]
    assert len(trained.losses) == 25
    return author


def test_the_fork_gives_its_recorded_values_again_to_the_bit(published: Published, tmp_path: Path) -> None:
    recorded = select_evaluation(published.points, epoch=LAST_EPOCH)
    prepared = prepare(published.settings(tmp_path / "out"), voice=SILENT)
    found = evaluate_archived(prepared, published.bundle, stage_data=None, voice=SILENT)
    assert found.metrics == recorded
    assert len(recorded) == 7
    facts = {fact.name: fact.value for fact in found.evidence}
    assert facts["weights in the run's own checkpoint"] == "equal to the bit (Toy-d8-b16-lr0.01_ep0)"
    assert facts["version torch"] == torch.__version__
    notes = (tmp_path / "out" / "evaluation" / "notes.txt").read_text().splitlines()
    assert notes == ["the weights were put into the model", "the training was skipped"]


def test_other_weights_give_other_values(published: Published, tmp_path: Path) -> None:
    weights = published.bundle.weights
    other = make_toy_bundle({name: tensor.flip(0) for name, tensor in weights.items()})
    prepared = prepare(published.settings(tmp_path / "out", skips_training=False), voice=SILENT)
    found = evaluate_archived(prepared, other, stage_data=None, voice=SILENT)  # trains with rate 0, weights unchanged
    recorded = select_evaluation(published.points, epoch=LAST_EPOCH)
    assert max(abs(found.metrics[name] - value) for name, value in recorded.items()) > 1e-3


def test_weights_without_a_place_in_the_codes_model_are_named(published: Published, tmp_path: Path) -> None:
    weights = dict(published.bundle.weights)
    weights["module.mixer.phases"] = weights.pop("module.mixer.waves")
    prepared = prepare(published.settings(tmp_path / "out"), voice=SILENT)
    with pytest.raises(NotRunnableError, match=r"mixer\.phases: not in the code's model; mixer\.waves: not"):
        evaluate_archived(prepared, make_toy_bundle(weights), stage_data=None, voice=SILENT)


def test_the_fork_resumes_to_the_bit(published: Published, tmp_path: Path) -> None:
    prepared = prepare(published.settings(tmp_path / "out", overlay=(RESUME,)), voice=SILENT)
    found = resume_archived(
        prepared,
        published.bundle,
        checkpoint=published.checkpoint(RESUMED_EPOCH),
        metric="ndcg@10",
        stage_data=None,
        voice=SILENT,
    )
    recorded = select_losses(published.points)
    assert found.losses == {step: loss for step, loss in recorded.items() if step >= 15}
    assert found.curve == {epoch: value for epoch, value in curve_of(published).items() if epoch > RESUMED_EPOCH}


def curve_of(published: Published) -> dict[int, float]:
    return select_curve(published.points, metric="ndcg@10")
