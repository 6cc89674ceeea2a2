"""Recognise a safetensors file and say what is wrong with its header; its tensors are never read.

Checkpoints are what `torch.save` writes; a safetensors file in their place is refused, by its damage if it has one.
The form is that of huggingface/safetensors: 8 bytes of length, a JSON object, the tensors' bytes without gaps.
"""

import math
from io import SEEK_END
from typing import IO

from hstu_preserve.errors import CheckpointError, ContentError
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.strict_json import strict_loads

LENGTH_BYTES = 8
MAX_HEADER_BYTES = 8 * 2**20
"""The format allows 100 MB, for some hundred thousand tensors; these models have hundreds."""
METADATA = "__metadata__"
ITEM_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip


def is_safetensors(stream: IO[bytes]) -> bool:
    """Whether a file begins as safetensors do: a length, then an object; it is left at its start."""
    stream.seek(0)
    beginning = stream.read(LENGTH_BYTES + 1)
    stream.seek(0)
    return beginning[LENGTH_BYTES:] == b"{"


def require_sound_header(stream: IO[bytes]) -> None:
    """Check that the header is unambiguous and that its tensors fill the file.

    Raises:
        CheckpointError: Two readers could see different tensors in it, or it does not fit the file.
    """
    size = stream.seek(0, SEEK_END)
    stream.seek(0)
    length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
    if length > MAX_HEADER_BYTES:
        raise CheckpointError(f"safetensors header of {length} bytes; at most {MAX_HEADER_BYTES} are read")
    if length > size - LENGTH_BYTES:
        raise CheckpointError(f"safetensors header of {length} bytes in a file of {size}")
    try:
        header = strict_loads(stream.read(length), source="safetensors header")
    except ContentError as error:
        raise CheckpointError(str(error)) from None
    assert isinstance(header, dict)  # it begins with a brace
    position = 0
    for begin, end, name in sorted(read_place(name, value) for name, value in header.items() if name != METADATA):
        if begin != position:
            problem = "overlaps" if begin < position else "leaves a hole after"
            raise CheckpointError(
                f"safetensors tensor {name[:80]!r} at {begin} {problem} the one that ends at {position}"
            )
        position = end
    if LENGTH_BYTES + length + position != size:
        raise CheckpointError(
            f"safetensors tensors end at {LENGTH_BYTES + length + position} in a file of {size} bytes"
        )


def read_place(name: str, value: Json) -> tuple[int, int, str]:
    """Return begin, end and name of a tensor whose shape fits between the two.

    Raises:
        CheckpointError: It does not, or the entry is none.
    """
    match value:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)], **rest}:
            pass
        case _:
            raise CheckpointError(f"safetensors tensor {name[:80]!r}: not an entry of dtype, shape and data_offsets")
    if rest or dtype not in ITEM_BYTES or not all(type(n) is int and n >= 0 for n in shape):
        raise CheckpointError(f"safetensors tensor {name[:80]!r}: unknown dtype, shape or field")
    sizes = [n for n in shape if isinstance(n, int)]
    expected = math.prod(sizes) * ITEM_BYTES[dtype]
    if not 0 <= begin <= end or end - begin != expected:
        raise CheckpointError(f"safetensors tensor {name[:80]!r}: {expected} bytes expected from {begin} to {end}")
    return begin, end, name
