"""Record prepared data (`store.json`): its arrays, its fingerprint and where it came from."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.digests import Sha256, sha256_of_bytes
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.numbers import LeastEvents
from hstu_preserve.records.record import Record, SchemaVersion


class TiePolicy(StrEnum):
    """How events of one user with equal timestamps are ordered."""

    STABLE = "stable"
    """File order."""
    ITEM_ID = "item_id"
    """Ascending item id: independent of file order."""
    IMPORTED = "imported"
    """The order of a file that says no more: a `sasrec_format.csv`, or lines without times."""
    NUMPY_INTROSORT = "numpy-introsort"
    """As `argsort(kind="quicksort")` of NumPy up to 1.24, or without vector instructions, sorts the whole file."""
    NUMPY_AVX512_1 = "numpy-avx512-1"
    """The same of NumPy 1.25 and 1.26 with AVX-512."""
    NUMPY_AVX2 = "numpy-avx2"
    """The same of NumPy 2 with AVX2."""
    NUMPY_AVX512_2 = "numpy-avx512-2"
    """The same of NumPy 2 with AVX-512."""


NUMPY_POLICIES = (TiePolicy.NUMPY_INTROSORT, TiePolicy.NUMPY_AVX512_1, TiePolicy.NUMPY_AVX2, TiePolicy.NUMPY_AVX512_2)
"""The orders in which Meta's preprocessing leaves the data."""
PREPARED_POLICIES = (TiePolicy.STABLE, TiePolicy.ITEM_ID, *NUMPY_POLICIES)
"""The orders in which `data prepare` can write a store."""


class ArrayRecord(Record):
    """One `.npy` array of a store."""

    name: Annotated[str, Field(pattern=r"^[a-z_]+$")]
    dtype: str
    """NumPy's type string, e.g. `<i4`."""
    shape: tuple[int, ...]
    sha256: Sha256
    """Of the array's raw little-endian C-order bytes, without the `.npy` header."""


class StoreCounts(Record):
    """Sizes, for people and for the check against the published ones."""

    num_users: int
    num_rated_items: int
    num_candidates: int
    max_item_id: int
    num_ratings: int


class StoreProvenance(Record):
    """Where the data came from; not part of the fingerprint."""

    source: str
    """E.g. `ml-1m.zip` or `synthetic, seed 7`."""
    source_md5: str | None
    """Of the zip, where there was one."""
    tie_policy: TiePolicy
    tied_events: int
    """Events that share user and timestamp with the event before them: what the tie policy decided."""
    redistributable: bool
    notice: str
    """Terms of use, in one sentence."""
    min_user_events: LeastEvents | None = Field(default=None, exclude_if=lambda least: least is None)
    """Events that a user has in the source at the least, counted once over all of it; absent if nobody was left out."""
    min_item_events: LeastEvents | None = Field(default=None, exclude_if=lambda least: least is None)
    """The same of an item."""
    times: Literal["order"] | None = Field(default=None, exclude_if=lambda times: times is None)
    """`order` if the source has no times: an event's place in its user's sequence stands for one; absent otherwise."""


class StoreRecord(Record):
    """The content of `store.json`."""

    schema_version: SchemaVersion
    name: str
    fingerprint: Sha256
    arrays: tuple[ArrayRecord, ...]
    genres: tuple[str, ...]
    """The fixed, sorted vocabulary of the genre columns."""
    counts: StoreCounts
    provenance: StoreProvenance

    @model_validator(mode="after")
    def require_own_fingerprint(self) -> Self:
        """The fingerprint follows from the arrays and vocabularies."""
        if self.fingerprint != fingerprint_of(self.arrays, self.genres):
            raise ValueError("fingerprint does not follow from arrays and genres")
        return self


def fingerprint_of(arrays: tuple[ArrayRecord, ...], genres: tuple[str, ...]) -> str:
    """Return the sha256 that names a store: of its array digests and vocabularies, nothing else."""
    by_name = sorted(arrays, key=lambda array: array.name)
    value: Json = {"arrays": [array.to_json_value() for array in by_name], "vocabularies": {"genres": list(genres)}}
    return sha256_of_bytes(canonical_dumps(value))
