"""Checkpoints: everything a run needs to continue, loadable with `weights_only=True`, named as upstream names them."""

import errno
import hashlib
import pickle
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hstu_preserve.checkpoint_files.safety import require_safe_stream
from hstu_preserve.compute.generator_states import capture_rng
from hstu_preserve.errors import CheckpointError, MissingPathError, UnavailableError, UsageError
from hstu_preserve.primitives.files import atomic_writer, new_file_writer
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.training.position import Position

# What torch.load raises on bytes that are no checkpoint, or that hold more than tensors and plain values. Its unpickler
# interprets the bytes, so that crafted ones end in almost any error of an interpreter.
UNREADABLE = (
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)

Content = dict[str, object]
"""Upstream's keys `epoch`, `model_state_dict` and `optimizer_state_dict`; ours add `epoch_steps`, `batch_id`, `rng`,
`recipe_sha256`, `data_fingerprint`, `world_size` and `journal`. Tensors and plain values only."""

JOURNAL = "journal"
"""Where the run's files stood; no part of the state, whose digest leaves it out."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint as it was read, ours or upstream's.

    Attributes:
        path: Where it was read.
        epoch: The last finished epoch, from 0; -1 if training was left within the first.
        weights: Tensors by name, in our names or upstream's.
        recipe_sha256: Digest of the recipe, None in upstream's.
        data_fingerprint: Fingerprint of the store, None in upstream's.
        content: Everything the file holds.
        has_checksums: Whether a changed byte would have been noticed.
    """

    path: Path
    epoch: int
    weights: dict[str, Tensor]
    recipe_sha256: str | None
    data_fingerprint: str | None
    content: Content
    has_checksums: bool


def capture_state(
    model: nn.Module,
    optimizer: Optimizer,
    *,
    position: Position,
    recipe: Recipe,
    data_fingerprint: str,
    world_size: int = 1,
) -> Content:
    """Return the state of a run that is at `position`."""
    return {
        "epoch": position.finished_epoch,
        "epoch_steps": position.epoch_steps,
        "batch_id": position.batch_id,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "rng": capture_rng(),
        "recipe_sha256": recipe.digest(),
        "data_fingerprint": data_fingerprint,
        "world_size": world_size,
    }


def write_checkpoint(path: Path, content: Content) -> None:
    """Write a checkpoint, whole or not at all; equal states give equal bytes.

    Raises:
        UnavailableError: The file cannot be written.
    """
    with atomic_writer(path) as stream:
        save(content, stream)


def write_new_checkpoint(path: Path, content: Content) -> None:
    """Write a checkpoint as `write_checkpoint` does, to a file that did not exist.

    Raises:
        UsageError: Another process made the file meanwhile; it stays.
        UnavailableError: The file cannot be written.
    """
    with new_file_writer(path) as stream:
        save(content, stream)


def save(content: Content, stream: IO[bytes]) -> None:
    """Write a checkpoint to a stream.

    Raises:
        OSError: It cannot be written.
    """
    watched = WatchedStream(stream)
    try:
        torch.save(content, cast("IO[bytes]", watched))
    except RuntimeError:
        if watched.error is None:
            raise
        raise watched.error from None  # torch names positions in its container, not the full disk or the signal


class WatchedStream:
    """Keeps the error or signal's exception that ends a write, which torch would replace by an error of its own.

    Args:
        stream: Receives what is written.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.error: BaseException | None = None

    def write(self, content: bytes) -> int:
        """Write as the stream does."""
        try:
            return self.stream.write(content)
        except BaseException as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Flush as the stream does."""
        self.stream.flush()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of ours or of upstream; torch sees it only after a walk that found tensors and plain values.

    Raises:
        MissingPathError: There is no such file.
        UsageError: A folder.
        CheckpointError: Damaged, or it holds other objects than a checkpoint has.
    """
    require_file(path)
    content, has_checksums = load_plain_values(path)
    epoch, weights = content.get("epoch"), content.get("model_state_dict")
    recipe_sha256, data_fingerprint = content.get("recipe_sha256"), content.get("data_fingerprint")
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in weights.items()
    ):
        raise CheckpointError(f"{path}: holds no model_state_dict of tensors by name")
    is_within_epoch = bool(content.get("epoch_steps"))
    if type(epoch) is not int or epoch < (-1 if is_within_epoch else 0):
        raise CheckpointError(f"{path}: holds no epoch")
    return Checkpoint(
        path=path,
        epoch=epoch,
        weights=weights,
        recipe_sha256=recipe_sha256 if isinstance(recipe_sha256, str) else None,
        data_fingerprint=data_fingerprint if isinstance(data_fingerprint, str) else None,
        content=content,
        has_checksums=has_checksums,
    )


def require_file(path: Path) -> None:
    """Raise unless there is a file.

    Raises:
        MissingPathError: There is nothing.
        UsageError: A folder.
    """
    if path.is_dir():
        raise UsageError(f"{path}: a folder, not a checkpoint file{describe_folder(path)}")
    if not path.is_file():
        raise MissingPathError(f"{path}: no such checkpoint")


def describe_folder(path: Path) -> str:
    """Return, as the end of a sentence, what to do with a folder of checkpoints."""
    if (path / ".metadata").is_file() or any(path.glob("*.distcp")):
        return (
            "; torch.distributed.checkpoint wrote it: "
            "'python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE' makes a file of it"
        )
    return "; name one of the files in it"


def read_position(checkpoint: Checkpoint) -> Position:
    """Return where the run was when the checkpoint was written.

    Raises:
        CheckpointError: It does not say; upstream's do not.
    """
    steps, batch_id = checkpoint.content.get("epoch_steps"), checkpoint.content.get("batch_id")
    if type(steps) is not int or type(batch_id) is not int or steps < 0 or batch_id < steps:
        raise CheckpointError(f"{checkpoint.path}: does not say how many steps were done (epoch_steps, batch_id)")
    return Position(finished_epoch=checkpoint.epoch, epoch_steps=steps, batch_id=batch_id)


def load_plain_values(path: Path) -> tuple[Content, bool]:
    """Return the mapping that a file of `torch.save` holds (an empty one for something else), and if it has checksums.

    Raises:
        CheckpointError: Damaged, or it holds more than tensors and plain values.
    """
    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            has_checksums = require_safe_stream(stream, source=path)
            warnings.simplefilter("ignore")  # of pickle protocols; what cannot be read is said below
            # To the CPU: a checkpoint that a GPU wrote is read on machines without one, too.
            value = torch.load(stream, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise CheckpointError(f"{path}: not a checkpoint that can be read safely ({reason})") from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # torch seeks before the start where the end is missing
            raise CheckpointError(f"{path}: not a checkpoint that can be read safely (truncated)") from None
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None
    return value if isinstance(value, dict) else {}, has_checksums


def state_digest(content: Mapping[str, object]) -> str:
    """Return the sha256 of every value in a checkpoint, by name: equal for equal states, whatever the file's bytes."""
    total = hashlib.sha256()
    for name, value in walk_values("", {name: value for name, value in content.items() if name != JOURNAL}):
        if isinstance(value, Tensor):
            array = value.detach().cpu().contiguous()
            total.update(f"{name}={array.dtype}{tuple(array.shape)}:".encode())
            total.update(array.flatten().view(torch.uint8).numpy().tobytes() if array.numel() else b"")
        else:
            total.update(f"{name}={value!r};".encode())
    return total.hexdigest()


def walk_values(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield every tensor and plain value below `value` with its path, mappings in the order of their keys' text."""
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from walk_values(f"{name}/{key}", value[key])
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from walk_values(f"{name}/{position}", item)
    else:
        yield name, value
