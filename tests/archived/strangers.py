"""Small programs that stand for somebody else's code, most without PyTorch, and the bundle that they belong to."""

from collections.abc import Mapping
from pathlib import Path

import torch

from hstu_preserve.archived.code import describe_code
from hstu_preserve.archived.settings import ArchivedBundle, ArchivedSettings
from hstu_preserve.archived.workspace import Stage
from hstu_preserve.event_files.writer import EventWriter

GINS = {
    "config/base.gin": b'train_fn.dataset_name = "toy"\ntrain_fn.num_epochs = 5\n',
    "config/toy.gin": b"# what the run was given\ninclude 'configs/base.gin'\nWaveMixer.strength = 0.5\n",
}
WEIGHTS = {"items.weight": torch.arange(6.0).reshape(2, 3), "mixer.bias": torch.tensor([0.5, -0.0])}
COPY_OUTPUT = """
import pathlib, shutil
for source, place in (("tmp/events", "exps/run/events.out.tfevents.1.x"), ("tmp/checkpoint", "ckpts/run_ep0")):
    if pathlib.Path(source).exists():
        pathlib.Path(place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
"""
"""A trainer that trains nothing: it leaves the files that a test handed to it."""


def write_code(folder: Path, text: str, *, name: str = "main.py") -> Path:
    """Make a folder of code with one script."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


def make_settings(
    code: Path,
    *,
    output: Path,
    trusted: str | None = "this",
    entry: str | None = None,
    python: Path | None = None,
    stages: tuple[Stage, ...] = (),
    overlay: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    timeout_seconds: float | None = 3600.0,
    device: str = "cpu",
    skips_training: bool = True,
) -> ArchivedSettings:
    """Return settings that trust the code, unless another digest, or none, is given."""
    return ArchivedSettings(
        code=code,
        trusted=describe_code(code).digest if trusted == "this" else trusted,
        entry=entry,
        python=python,
        stages=stages,
        overlay=overlay,
        environment=environment or {},
        timeout_seconds=timeout_seconds,
        device=device,
        skips_training=skips_training,
        output=output,
    )


def make_bundle(weights: Mapping[str, torch.Tensor] = WEIGHTS, *, name: str = "toy_ep4") -> ArchivedBundle:
    """Return what a run takes from a bundle."""
    return ArchivedBundle(name=name, gins=GINS, entry="config/toy.gin", root="config", weights=weights)


def write_events(folder: Path, points: Mapping[str, float], *, step: int = 0) -> Path:
    """Write an event file with one point of each tag."""
    with EventWriter.create(folder, wall_time=1.0, suffix="x") as writer:
        for tag, value in points.items():
            writer.scalar(tag, value=value, step=step, wall_time=1.0)
    return writer.path


def write_checkpoint(path: Path, weights: Mapping[str, torch.Tensor], *, epoch: int = 0) -> Path:
    """Write a checkpoint as DDP names its tensors."""
    state = {f"module.{name}": tensor for name, tensor in weights.items()}
    torch.save({"epoch": epoch, "model_state_dict": state}, path)
    return path
