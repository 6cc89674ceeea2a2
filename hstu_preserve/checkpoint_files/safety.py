"""Refuse a checkpoint file, before torch may load it, unless it holds only tensors and plain values."""

from pathlib import Path
from typing import IO

from hstu_preserve.checkpoint_files.container import (
    MAX_PICKLE_BYTES,
    ZipMember,
    check_content,
    has_checksums,
    read_at,
    read_zip_members,
)
from hstu_preserve.checkpoint_files.opcodes import walk_pickle
from hstu_preserve.checkpoint_files.safetensors import is_safetensors, require_sound_header
from hstu_preserve.errors import CheckpointError


def require_safe_stream(stream: IO[bytes], *, source: Path) -> bool:
    """Refuse an open file that is anything else than a checkpoint of tensors and plain values.

    Nothing of it is unpickled. The stream is left at its start, so that the same file may then be loaded.

    Returns:
        Whether the file has checksums, all of which fit. torch can write it without.

    Raises:
        CheckpointError: It is not; the message names what, and where.
    """
    try:
        members = read_checked_members(stream, max_pickle_bytes=MAX_PICKLE_BYTES)
        pickle = members["data.pkl"]
        sizes = {name: member.size for name, member in members.items() if name.startswith("data/")}
        walk_pickle(read_at(stream, pickle.start, pickle.size), sizes)
    except CheckpointError as error:
        raise CheckpointError(
            f"{source}: not a checkpoint that can be read safely ({error}); nothing was loaded"
        ) from None
    stream.seek(0)
    return has_checksums(members)


def read_checked_members(stream: IO[bytes], *, max_pickle_bytes: int) -> dict[str, ZipMember]:
    """Return the members of the zip, all of whose contents fit their checksums.

    Raises:
        CheckpointError: Another format, by its name, or a damaged zip.
    """
    if is_safetensors(stream):
        require_sound_header(stream)
        raise CheckpointError(
            "a safetensors file; checkpoints are read as torch.save writes them: "
            "torch.save({'model_state_dict': safetensors.torch.load_file(FILE)}, NEW) makes one of it"
        )
    members = read_zip_members(stream)
    is_checked = has_checksums(members)
    for member in members.values():
        check_content(stream, member, has_checksum=is_checked, max_pickle_bytes=max_pickle_bytes)
    return members
