"""Per-user ranks: collected batch by batch, kept as `ranks.npz`, compared user by user."""

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from torch import Tensor

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.arrays import DAMAGED_ARRAYS
from hstu_preserve.primitives.files import read_bytes, write_atomically
from hstu_preserve.primitives.wording import printable
from hstu_preserve.verdict.rank_moves import RankComparison

MAX_RANKS_BYTES = 2**30
"""Of all arrays in `ranks.npz` together, inflated: of 19 million users."""

BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class BatchRanks:
    """Ranks of one batch, int64 tensors of B users, and the candidates on top of them; see `RankedBatch`.

    `within` are other candidates within the tolerance that was asked for, None if none was.
    """

    rank: Tensor
    rank_topk: Tensor
    ties: Tensor
    near_ties: Tensor
    is_recommended: Tensor
    within: Tensor | None


@dataclass(frozen=True, kw_only=True)
class UserRanks:
    """Ranks of all users, int64 arrays of one length, in the order of evaluation.

    Attributes:
        user_ids: Raw user ids.
        target_ids: The held-out item of each user.
        target_half_stars: Its rating, times 2.
        ranks: Exact rank, from 1: one more than the candidates that score higher. A tied target so has the first place
            among its equals, and the last is `ranks + ties`. 0 if the target was seen before or is no candidate.
        ranks_topk: Upstream's rank, 2,501 beyond the top 2,500.
        ties: Other candidates with exactly the target's score.
        near_ties: Other candidates within 1e-6 of the target's score, exact ties included.
    """

    user_ids: Int64Array
    target_ids: Int64Array
    target_half_stars: Int64Array
    ranks: Int64Array
    ranks_topk: Int64Array
    ties: Int64Array
    near_ties: Int64Array

    def digest(self) -> str:
        """Return the sha256 over all arrays, by name, as little-endian bytes."""
        total = hashlib.sha256()
        for field in fields(self):
            array = getattr(self, field.name)
            total.update(f"{field.name}:{len(array)};".encode())
            total.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
        return total.hexdigest()


@dataclass(frozen=True, kw_only=True)
class RankedBatch:
    """One batch of users.

    Attributes:
        users: Their ranks.
        is_recommended: Per candidate, whether it is among the first ten of at least one of them.
        within: Per user, other candidates whose score is near the target's; None if nobody asked how many.
        is_checked: Whether upstream's own evaluator ranked every one of them.
    """

    users: UserRanks
    is_recommended: BoolArray
    within: Int64Array | None
    is_checked: bool


def concatenate(parts: Sequence[UserRanks]) -> UserRanks:
    """Return the ranks of several batches as one."""
    names = [field.name for field in fields(UserRanks)]
    return UserRanks(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def reorder(ranks: UserRanks, order: Int64Array) -> UserRanks:
    """Return the users at these indices."""
    return UserRanks(**{field.name: getattr(ranks, field.name)[order] for field in fields(UserRanks)})


def write_ranks(path: Path, ranks: UserRanks) -> None:
    """Write `ranks.npz`, in the place of what is there.

    Raises:
        UnavailableError: The file cannot be written.
    """
    write_atomically(path, encode_ranks(ranks))


def encode_ranks(ranks: UserRanks) -> bytes:
    """Return the bytes of `ranks.npz`: one int64 array per field; equal ranks give equal bytes."""
    buffer = BytesIO()
    np.savez_compressed(buffer, **{f.name: getattr(ranks, f.name) for f in fields(ranks)})
    return buffer.getvalue()


def read_ranks(content: bytes | Path, *, source: str) -> UserRanks:
    """Read `ranks.npz` from a file or from its bytes.

    Raises:
        ContentError: Not such a file, or arrays are missing or differ in length.
    """
    raw = read_bytes(content) if isinstance(content, Path) else content
    names = [field.name for field in fields(UserRanks)]
    try:
        with np.load(BytesIO(raw), allow_pickle=False) as archive:
            if sum(member.file_size for member in archive.zip.infolist()) > MAX_RANKS_BYTES:
                raise ContentError(f"{source}: inflates to more than {MAX_RANKS_BYTES} bytes")
            arrays = {name: np.asarray(archive[name]) for name in names}
    except (*DAMAGED_ARRAYS, BadZipFile, zlib.error) as error:
        raise ContentError(f"{source}: not a file of ranks ({printable(str(error))})") from None
    expected = (np.dtype(np.int64), (arrays["ranks"].size,))
    if any((array.dtype, array.shape) != expected for array in arrays.values()):
        raise ContentError(f"{source}: arrays of ranks must be flat, int64 and of one length")
    return UserRanks(**arrays)


def compare_ranks(found: UserRanks, recorded: UserRanks) -> RankComparison:
    """Compare two evaluations user by user."""
    names = ("user_ids", "target_ids", "target_half_stars")
    if not all(np.array_equal(getattr(found, name), getattr(recorded, name)) for name in names):
        return RankComparison(
            num_users=len(found.user_ids), same_users=False, num_moved=0, num_moved_without_near_tie=0, largest_move=0
        )
    move = np.abs(found.ranks - recorded.ranks)
    is_apart = (found.near_ties == 0) & (recorded.near_ties == 0)
    return RankComparison(
        num_users=len(move),
        same_users=True,
        num_moved=int((move > 0).sum()),
        num_moved_without_near_tie=int(((move > 0) & is_apart).sum()),
        largest_move=int(move.max(initial=0)),
    )
