"""Climb the three rungs with somebody else's code, and return what came out; `verdict` judges it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.archived.outputs import (
    read_points,
    require_weights,
    select_curve,
    select_evaluation,
    select_losses,
)
from hstu_preserve.archived.preparation import Prepared
from hstu_preserve.archived.running import WEIGHTS_NAME, Request, Running
from hstu_preserve.archived.settings import ArchivedBundle, StageData
from hstu_preserve.archived.shim import strip
from hstu_preserve.errors import NotRunnableError
from hstu_preserve.primitives.files import refuse_unwritable
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.verdict import Fact

CHECKPOINT_MARK = "{checkpoint}"
ONE_EPOCH = "train_fn.num_epochs = 1"
NO_LEARNING = ("train_fn.learning_rate = 0.0", "train_fn.weight_decay = 0.0")
FIRST_EPOCH = 0
RESUME_SWITCH = """--set 'train_fn.resume_ckpt = "{checkpoint}"'"""


@dataclass(frozen=True, kw_only=True)
class ArchivedEvaluation:
    """What the author's code measures with the bundle's weights.

    Attributes:
        metrics: Each metric over the test items.
        evidence: What was run, on what, with which outcome of the guards.
    """

    metrics: dict[str, float]
    evidence: tuple[Fact, ...]


@dataclass(frozen=True, kw_only=True)
class ArchivedTraining:
    """What the author's code writes down while it trains.

    Attributes:
        losses: The training loss by step.
        curve: The metric over the test items by epoch.
        evidence: What was run, and on what.
    """

    losses: dict[int, float]
    curve: dict[int, float]
    evidence: tuple[Fact, ...]


def evaluate_archived(
    prepared: Prepared, bundle: ArchivedBundle, *, stage_data: StageData | None, voice: Voice, attempt: int = 1
) -> ArchivedEvaluation:
    """Have the author's code evaluate the bundle's weights.

    Args:
        prepared: The trusted code.
        bundle: Gin chain and weights.
        stage_data: Writes the data below the folder in which the code runs; None leaves it to the staged files.
        voice: Says what is run, and shows for how long.
        attempt: The number of the evaluation, which its folder is named by: of several stores, each is one.

    Raises:
        NotRunnableError: It did not end well, wrote no evaluation, or not of these weights.
        RecipeError: The gin chain cannot be written as one file.
        UsageError: What is staged stands in the code's way.
        UnavailableError: Something cannot be written, or the interpreter does not start.
    """
    weights = {strip(name): tensor for name, tensor in bundle.weights.items()}
    name = "evaluation" if attempt == 1 else f"evaluation-{attempt}"
    path = prepared.settings.output / f"{name}.{WEIGHTS_NAME}"
    write_weights(path, bundle)
    skips = prepared.settings.skips_training
    overlay = (ONE_EPOCH, *(() if skips else NO_LEARNING), *choose_overlay(prepared, checkpoint=None))
    request = Request(rung=name, overlay=overlay, weights=path, skips_training=skips)
    finished = Running(prepared, request, bundle=bundle).run(stage_data=stage_data, voice=voice)
    metrics = select_evaluation(read_points(finished.written), epoch=FIRST_EPOCH)
    checkpoint = require_weights(finished.written, weights)
    guard = Fact(name="weights in the run's own checkpoint", value=f"equal to the bit ({checkpoint})")
    return ArchivedEvaluation(metrics=metrics, evidence=(*finished.record.list_evidence(), guard))


def write_weights(path: Path, bundle: ArchivedBundle) -> None:
    """Write tensors, and nothing but tensors, for the code's processes to read.

    Raises:
        UnavailableError: The file cannot be written.
    """
    import torch

    tensors = {name: tensor.detach().clone() for name, tensor in bundle.weights.items()}
    with refuse_unwritable(path), path.open("xb") as stream:
        torch.save(tensors, stream)


def resume_archived(
    prepared: Prepared,
    bundle: ArchivedBundle,
    *,
    checkpoint: Path,
    metric: str,
    stage_data: StageData | None,
    voice: Voice,
) -> ArchivedTraining:
    """Have the author's code go on from a checkpoint of the bundle, which the code itself loads.

    Args:
        prepared: The trusted code.
        bundle: Gin chain.
        checkpoint: The file; `{checkpoint}` in the user's bindings stands for it.
        metric: The metric whose curve is wanted, without a prefix.
        stage_data: As for `evaluate_archived`.
        voice: Says what is run, and shows for how long.

    Raises:
        NotRunnableError: No binding hands the checkpoint to the code, it names what no checkpoint needs, or the run did
            not end well.
        UsageError: What is staged stands in the code's way.
        UnavailableError: Something cannot be written, or the interpreter does not start.
    """
    if not any(CHECKPOINT_MARK in line for line in prepared.settings.overlay):
        raise NotRunnableError(f"nothing hands the checkpoint to the code; name its own switch, as {RESUME_SWITCH}")
    require_harmless(checkpoint)
    overlay = choose_overlay(prepared, checkpoint=checkpoint.absolute())
    request = Request(rung="resume", overlay=overlay, weights=None, skips_training=False)
    return train(Running(prepared, request, bundle=bundle), metric=metric, stage_data=stage_data, voice=voice)


def train_archived(
    prepared: Prepared, bundle: ArchivedBundle, *, metric: str, stage_data: StageData | None, voice: Voice
) -> ArchivedTraining:
    """Have the author's code train anew, once, with whatever seeds it sets.

    Raises:
        NotRunnableError: The run did not end well.
        UsageError: What is staged stands in the code's way.
        UnavailableError: Something cannot be written, or the interpreter does not start.
    """
    overlay = choose_overlay(prepared, checkpoint=None)
    request = Request(rung="training", overlay=overlay, weights=None, skips_training=False)
    return train(Running(prepared, request, bundle=bundle), metric=metric, stage_data=stage_data, voice=voice)


def train(running: Running, *, metric: str, stage_data: StageData | None, voice: Voice) -> ArchivedTraining:
    """Run the code, and return what its event files hold."""
    finished = running.run(stage_data=stage_data, voice=voice)
    points = read_points(finished.written)
    return ArchivedTraining(
        losses=select_losses(points),
        curve=select_curve(points, metric=metric),
        evidence=finished.record.list_evidence(),
    )


def choose_overlay(prepared: Prepared, *, checkpoint: Path | None) -> tuple[str, ...]:
    """Return the user's bindings; those that name the checkpoint are only for a run that resumes from it."""
    lines: Sequence[str] = prepared.settings.overlay
    if checkpoint is None:
        return tuple(line for line in lines if CHECKPOINT_MARK not in line)
    return tuple(line.replace(CHECKPOINT_MARK, str(checkpoint)) for line in lines)


HARMLESS = frozenset(
    {
        *(
            "argparse Namespace",
            "collections defaultdict",
            "pathlib Path",
            "pathlib PosixPath",
            "pathlib PurePosixPath",
        ),
        *(f"{module} {name}" for module in ("builtins", "__builtin__") for name in ("dict", "float", "int", "list")),
        *("numpy dtype", "numpy ndarray", "torch device"),
        *(f"numpy.{core}.multiarray {name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    }
)
"""What a checkpoint may name beside tensors: arrays, containers, settings. None of them runs anything."""
MAX_NAMED = 4


def require_harmless(checkpoint: Path) -> None:
    """Require that a checkpoint, which the code will unpickle, names nothing that runs anything.

    The trust in the code is no trust in the checkpoint.

    Raises:
        NotRunnableError: It names something else.
    """
    from hstu_preserve.checkpoint_files.descriptions import UNNAMED
    from hstu_preserve.checkpoint_files.foreign_weights import outline_stream

    with checkpoint.open("rb") as stream:
        names = outline_stream(stream, source=checkpoint).globals
    strange = [name for name in names if name not in HARMLESS | UNNAMED]
    if strange:
        raise NotRunnableError(
            f"{checkpoint.name}: the code would unpickle it, and it names {list_some(strange, at_most=MAX_NAMED)}; "
            "only tensors, arrays, containers and random states are handed on"
        )
