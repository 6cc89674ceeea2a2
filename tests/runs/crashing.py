"""Small runs that crash, and how they are resumed and looked at."""

from collections.abc import Callable
from pathlib import Path

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.runs.durability import Durability
from hstu_preserve.verbs.train import train
from tests.runs.tiny_run import tiny_gin

GIN = tiny_gin(sampling_strategy="local", learning_rate=0.01, num_epochs=4, local_batch_size=16, eval_interval=2)
STEPS_PER_EPOCH, NUM_STEPS = 3, 12


class CrashError(Exception):
    """What ends a run in these tests: it comes from outside and is caught nowhere."""


def write_gin(folder: Path, extra: str = "") -> Path:
    path = folder / "experiment.gin"
    path.write_text(GIN + extra)
    return path


def crash_after(num_steps: int) -> Callable[[Progress], None]:
    def listen(progress: Progress) -> None:
        if progress.activity.startswith("epoch") and progress.completed > num_steps:
            raise CrashError

    return listen


def list_names(run: Path) -> list[str]:
    """What the run's checkpoints are called after its own name, the newest first."""
    names = [path.name.rpartition("_")[2] for path in (run / CHECKPOINT_FOLDER).iterdir()]
    return sorted(names, key=lambda name: -int(name.removeprefix("step").removeprefix("ep")))


def find(run: Path, word: str) -> Path:
    (path,) = (run / CHECKPOINT_FOLDER).glob(f"*_{word}")
    return path


def resume(run: Path, store: Path, heard: list[str] | None = None, **durability: float) -> list[str]:
    """Go on and return what was announced, which `heard` has where it ends in an error."""
    announced: list[str] = [] if heard is None else heard
    train(
        run.parent / "experiment.gin",
        data=store,
        device="cpu",
        output=run,
        durability=Durability(resume=True, **durability),  # type: ignore[arg-type]  # numbers by name
        voice=Voice(say=announced.append),
    )
    return announced


def list_tree(run: Path) -> dict[str, bytes]:
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in run.rglob("*") if path.is_file()}
