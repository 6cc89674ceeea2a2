"""Read what a run of somebody else's code left: that it ended with 0 proves nothing."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.archived.shim import strip
from hstu_preserve.errors import ContentError, NotRunnableError
from hstu_preserve.event_files.reader import ScalarPoint, read_scalars
from hstu_preserve.primitives.wording import list_some, printable

if TYPE_CHECKING:
    from torch import Tensor

FULL_PREFIX, EPOCH_PREFIX = "eval_epoch_full/", "eval_epoch/"
METRIC = "ndcg@10"
LOSS_TAG = "losses/ar_loss"
EVENTS_MARK = ".tfevents."
CHECKPOINT = re.compile(r"_ep(?P<epoch>[0-9]{1,9})$")
MAX_NAMED = 4


def read_points(written: Iterable[Path]) -> list[ScalarPoint]:
    """Return every scalar that a run wrote.

    Args:
        written: The files that it made.

    Raises:
        NotRunnableError: It wrote no event file, or one that cannot be read.
    """
    files = [path for path in written if EVENTS_MARK in path.name]
    if not files:
        raise NotRunnableError("the code ended with 0 and wrote no event file: 0 alone proves nothing")
    try:
        return [point for path in files for point in read_scalars(path)]
    except ContentError as error:
        raise NotRunnableError(f"the run's event file cannot be read ({error})") from None


def select_evaluation(points: Iterable[ScalarPoint], *, epoch: int) -> dict[str, float]:
    """Return the metrics over the test items at an epoch, those of the whole evaluation where there are both.

    Raises:
        NotRunnableError: ndcg@10 is not among them.
    """
    at_epoch = [point for point in points if point.step == epoch]
    for prefix in (FULL_PREFIX, EPOCH_PREFIX):
        found = {point.tag.removeprefix(prefix): point.value for point in at_epoch if point.tag.startswith(prefix)}
        if METRIC in found:
            return found
    raise NotRunnableError(
        f"the run's event file holds no {EPOCH_PREFIX}{METRIC} at step {epoch}, so that nothing was evaluated"
    )


def select_curve(points: Iterable[ScalarPoint], *, metric: str) -> dict[int, float]:
    """Return a metric over the test items by epoch, of a whole evaluation where there are both."""
    curve: dict[int, float] = {}
    for prefix in (EPOCH_PREFIX, FULL_PREFIX):
        curve.update({point.step: point.value for point in points if point.tag == f"{prefix}{metric}"})
    return dict(sorted(curve.items()))


def select_losses(points: Iterable[ScalarPoint]) -> dict[int, float]:
    """Return the training loss by step."""
    return {point.step: point.value for point in points if point.tag == LOSS_TAG}


def require_weights(written: Iterable[Path], weights: "Mapping[str, Tensor]") -> str:
    """Require that the last checkpoint which a run wrote holds these weights to the bit, and return its name.

    Args:
        written: The files that it made.
        weights: The tensors by name, without what wrappers put before it.

    Raises:
        NotRunnableError: It wrote none, or one with other weights.
    """
    from hstu_preserve.training.foreign_checkpoint import read_foreign_checkpoint  # needs PyTorch

    checkpoints = [path for path in written if CHECKPOINT.search(path.name)]
    if not checkpoints:
        raise NotRunnableError("the run wrote no checkpoint, so that nothing shows which weights it evaluated")
    path = max(checkpoints, key=lambda one: one.stat().st_mtime_ns)
    try:
        found = read_foreign_checkpoint(path).state
    except ContentError as error:
        raise NotRunnableError(f"the run's checkpoint cannot be read ({error})") from None
    changed = list_changed({strip(name): value for name, value in found.items()}, weights)
    if changed:
        named = list_some(map(printable, changed), at_most=MAX_NAMED)
        raise NotRunnableError(f"the run's checkpoint does not hold the bundle's weights: {named} differ")
    return path.name


def list_changed(found: "Mapping[str, Tensor]", weights: "Mapping[str, Tensor]") -> list[str]:
    """Return the names of tensors that are not in both, or not equal to the bit."""
    names = sorted(found.keys() | weights.keys())
    return [name for name in names if name not in found or name not in weights or differ(found[name], weights[name])]


def differ(first: "Tensor", second: "Tensor") -> bool:
    """Whether two tensors differ in a bit, in shape or in kind; a NaN is equal to itself."""
    import torch

    if first.shape != second.shape or first.dtype != second.dtype:
        return True
    return not torch.equal(*(one.contiguous().reshape(-1).view(torch.uint8) for one in (first, second)))
