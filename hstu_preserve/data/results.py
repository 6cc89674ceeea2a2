"""Record what becomes of data besides a single store: zips, stores in every order, and files that upstream reads."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.numbers import NaturalInt
from hstu_preserve.records.record import Record
from hstu_preserve.records.store import TiePolicy


class FetchedData(Record):
    """The zip of a published data set, fetched from its publisher or a mirror."""

    name: str
    path: Path
    url: str
    size: NaturalInt
    received: NaturalInt
    """Bytes that came over the network in this call; 0 if the file was here already."""
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    sha256: Sha256
    is_published_md5: bool
    """Whether the publisher names an md5 that lasts, with which the file was compared."""


class PreparedOrder(Record):
    """One tie policy of a data set: the store that was made, or why there is none."""

    tie_policy: TiePolicy
    path: Path | None
    """The store, unless it was not made or equals one of another policy."""
    fingerprint: Sha256 | None
    equal_to: TiePolicy | None
    """The policy whose store holds the same data."""
    num_moved_events: NaturalInt | None
    """Places at which another item stands than in the `stable` order."""
    num_other_targets: NaturalInt | None
    """Users whose last item, which is tested, is another than in the `stable` order."""
    reason: str | None
    """Why no store was made."""


class PreparedOrders(Record):
    """The stores of one data set in every order that this machine can make, equal orders once."""

    path: Path
    """The folder that holds them."""
    name: str
    num_users: NaturalInt
    num_ratings: NaturalInt
    orders: tuple[PreparedOrder, ...]


class ExportedData(Record):
    """A store's data, written as upstream's code reads it."""

    path: Path
    name: str
    fingerprint: Sha256
    tie_policy: TiePolicy
    files: dict[str, str]
    """Where upstream's code looks for each file, by its name here."""
    redistributable: bool
    notice: str
    """Terms of use, in one sentence."""
    warnings: tuple[str, ...]
