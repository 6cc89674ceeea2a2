"""Read the weights of a checkpoint that somebody else's trainer wrote, without unpickling it.

The elements of each tensor are taken out of the zip's members by the place that the pickle names. torch makes tensors
of these bytes; it never sees the file.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from hstu_preserve.checkpoint_files.container import ZipMember
from hstu_preserve.checkpoint_files.descriptions import TensorView
from hstu_preserve.checkpoint_files.foreign_weights import Outline, find_weights, outline_stream
from hstu_preserve.checkpoint_files.names import epoch_of_name
from hstu_preserve.errors import CheckpointError, UnavailableError
from hstu_preserve.training.checkpoint import Checkpoint, read_checkpoint, require_file

OUR_KEY = "recipe_sha256"
"""Only our own checkpoints hold it."""


@dataclass(frozen=True, kw_only=True)
class ForeignCheckpoint:
    """What was read of a checkpoint that another program wrote.

    Attributes:
        path: Where it was read.
        state: The weights by name, prefixes as they were saved; tensors that shared memory still do.
        epoch: The integer under the file's key `epoch`, None if it holds none.
        not_built: What else the file holds and was not built, a sentence each: `args: argparse.Namespace`.
        has_checksums: Whether a changed byte would have been noticed.
    """

    path: Path
    state: dict[str, Tensor]
    epoch: int | None
    not_built: tuple[str, ...]
    has_checksums: bool


@dataclass(frozen=True, kw_only=True)
class AnyCheckpoint:
    """A checkpoint, ours or not.

    Attributes:
        checkpoint: Its weights and its epoch; `content` is empty if it is not ours.
        not_built: What was not built; nothing if it is ours.
    """

    checkpoint: Checkpoint
    not_built: tuple[str, ...]


def read_foreign_checkpoint(path: Path) -> ForeignCheckpoint:
    """Read the weights that `torch.save` wrote to a file, whatever else lies beside them.

    Nothing that the file names is imported or called.

    Raises:
        MissingPathError: There is no such file.
        UsageError: A folder.
        CheckpointError: Damaged, another format, without bounds, or it holds no weights.
        UnavailableError: It cannot be read, or its weights need more memory than there is.
    """
    require_file(path)
    try:
        with path.open("rb") as stream:
            return read_stream(stream, outline_stream(stream, source=path), source=path)
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None


def read_any_checkpoint(path: Path) -> AnyCheckpoint:
    """Read a checkpoint: ours by the strict reader, another trainer's by its tensors' places.

    Raises:
        MissingPathError: There is no such file.
        UsageError: A folder.
        CheckpointError: As `read_checkpoint` if it is ours, else as `read_foreign_checkpoint`; or neither the file nor
            its name tells the epoch.
        UnavailableError: It cannot be read, or its weights need more memory than there is.
    """
    require_file(path)
    try:
        with path.open("rb") as stream:
            outline = outline_stream(stream, source=path)
            if OUR_KEY not in outline.values:
                return with_epoch(read_stream(stream, outline, source=path))
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None
    return AnyCheckpoint(checkpoint=read_checkpoint(path), not_built=())


def with_epoch(foreign: ForeignCheckpoint) -> AnyCheckpoint:
    """Return a checkpoint whose epoch is its own, or else the one that its name ends in.

    Raises:
        CheckpointError: Neither tells it.
    """
    epoch = epoch_of_name(foreign.path.name) if foreign.epoch is None else foreign.epoch
    if epoch is None:
        raise CheckpointError(
            f"{foreign.path}: holds no epoch, and its name ends in none; "
            f"rename it to {foreign.path.name}_ep100 if the 101st was its last"
        )
    checkpoint = Checkpoint(
        path=foreign.path,
        epoch=epoch,
        weights=foreign.state,
        recipe_sha256=None,
        data_fingerprint=None,
        content={},
        has_checksums=foreign.has_checksums,
    )
    return AnyCheckpoint(checkpoint=checkpoint, not_built=foreign.not_built)


def read_stream(stream: IO[bytes], outline: Outline, *, source: Path) -> ForeignCheckpoint:
    """Return the weights of an open file that was outlined.

    Raises:
        CheckpointError: It holds none.
        UnavailableError: They need more memory than there is.
    """
    weights = find_weights(outline, source=source)
    try:
        memory = {
            key: read_storage(stream, outline.members[f"data/{key}"], has_checksum=outline.has_checksums)
            for key in {view.storage.key for view in weights.tensors.values()}
        }
    except CheckpointError as error:
        raise CheckpointError(f"{source}: changed while it was read ({error})") from None
    except MemoryError:
        raise UnavailableError(f"{source}: its weights need more memory than there is") from None
    return ForeignCheckpoint(
        path=source,
        state={name: view_memory(view, memory) for name, view in weights.tensors.items()},
        epoch=weights.epoch,
        not_built=weights.not_built,
        has_checksums=outline.has_checksums,
    )


def read_storage(stream: IO[bytes], member: ZipMember, *, has_checksum: bool) -> Tensor:
    """Return the bytes of a member as a tensor, compared once more with their checksum.

    Raises:
        CheckpointError: They are not the bytes that were checked.
    """
    if not member.size:
        return torch.empty(0, dtype=torch.uint8)
    content = bytearray(member.size)
    stream.seek(member.start)
    size = stream.readinto(content)  # type: ignore[attr-defined]  # every binary file has it
    if size != member.size or (has_checksum and zlib.crc32(content) != member.crc):
        raise CheckpointError(member.name)
    return torch.frombuffer(content, dtype=torch.uint8)


def view_memory(view: TensorView, memory: Mapping[str, Tensor]) -> Tensor:
    """Return the tensor that lies at a place in the storages; tensors of one storage share it."""
    dtype = getattr(torch, view.dtype)
    assert isinstance(dtype, torch.dtype)  # the walk takes no other names
    raw = memory[view.storage.key]
    whole = raw[: len(raw) // dtype.itemsize * dtype.itemsize].view(dtype)
    return whole.as_strided(view.shape, view.strides, view.offset)
