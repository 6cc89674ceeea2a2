"""Record what a migrated bundle's source said of itself, each value with where it comes from."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.paths import BundlePath
from hstu_preserve.records.legacy.outcomes import LegacyOutcome, ListedFile, Md5
from hstu_preserve.records.record import Record

Scalar = bool | int | float | str


def require_shown_name(name: str) -> str:
    """Return a file's name if it is no path and a terminal can take it.

    Raises:
        ValueError: It is a path, or holds what is not printable.
    """
    if not name or "/" in name or not name.isprintable():
        raise ValueError(f"not a printable file name: {name!r}")
    return name


ShownName = Annotated[str, AfterValidator(require_shown_name)]
"""A file's name with escapes for what is not printable; never a path."""


class Provenance(StrEnum):
    """How a value came into the record."""

    STATED = "stated"
    """Read in a file of the archive, as it stands there."""
    DERIVED = "derived"
    """Follows by a rule from what the archive holds."""
    UNKNOWN = "unknown"
    """Nobody says; there is no value."""


class Basis(StrEnum):
    """Where a value was read, by which rule it follows, or why there is none."""

    MANIFEST_VALUE = "manifest-value"
    """A value of the archive's own `MANIFEST.json`; its place is a JSON pointer (RFC 6901)."""
    GIN_BINDING = "gin-binding"
    """A binding of the archive's gin files; its place is the line."""
    LAST_POINT = "last-point"
    """The last point of a curve; its place is the step."""
    CHECKPOINT_NAME = "checkpoint-name"
    """The number after `_ep` at the end of a checkpoint's name."""
    ONLY_CHECKPOINT = "only-checkpoint"
    """The one file among the checkpoints."""
    ARCHIVE_NAME = "archive-name"
    """The archive's file name without its suffix."""
    NOT_SAID = "not-said"
    """The archive does not say."""
    NOT_FIXED_BEFORE_THE_RUN = "not-fixed-before-the-run"
    """What was packed afterwards cannot show what was fixed before its run."""


PROVENANCE_OF = {
    Basis.MANIFEST_VALUE: Provenance.STATED,
    Basis.GIN_BINDING: Provenance.STATED,
    Basis.LAST_POINT: Provenance.STATED,
    Basis.CHECKPOINT_NAME: Provenance.DERIVED,
    Basis.ONLY_CHECKPOINT: Provenance.DERIVED,
    Basis.ARCHIVE_NAME: Provenance.DERIVED,
    Basis.NOT_SAID: Provenance.UNKNOWN,
    Basis.NOT_FIXED_BEFORE_THE_RUN: Provenance.UNKNOWN,
}


class Subject(StrEnum):
    """What a run's manifest says and a legacy archive may say."""

    EXPERIMENT = "experiment"
    TITLE = "title"
    DATASET = "dataset"
    DATA_FINGERPRINT = "data-fingerprint"
    MODEL = "model"
    RECIPE = "recipe"
    SEED = "seed"
    METRIC = "metric"
    """A reported value, never a claim: no policy that it could be judged by was fixed before the run."""
    EPOCH = "epoch"
    CHECKPOINT = "checkpoint"
    ENVIRONMENT = "environment"
    CODE = "code"
    LICENCE = "licence"
    CITATION = "citation"
    POLICY = "policy"


class Statement(Record):
    """One value of one subject, or that it is unknown; two statements of one subject may contradict each other."""

    subject: Subject
    name: str | None
    """The archive's own name for it: key, binding or tag; None where it has none."""
    value: Scalar | None
    provenance: Provenance
    basis: Basis
    file: BundlePath | None
    """The file it was read in or follows from, as the archive spells its path."""
    place: str | None
    """Where in that file."""

    @model_validator(mode="after")
    def require_provenance_of_its_basis(self) -> Self:
        """The basis decides the provenance, and what the statement must name."""
        if self.provenance is not PROVENANCE_OF[self.basis]:
            raise ValueError(f"basis {self.basis.value} is not {self.provenance.value}")
        if (self.value is None) != (self.provenance is Provenance.UNKNOWN):
            raise ValueError(
                f"{self.provenance.value}, so value must {'not ' if self.value is not None else ''}be given"
            )
        if self.provenance is Provenance.STATED and (self.file is None or self.place is None):
            raise ValueError("stated, so file and place must be given")
        return self


class OriginalFile(Record):
    """A file of the bundle as it was in the legacy archive; the bytes are the same."""

    path: BundlePath
    """In the bundle."""
    original_path: BundlePath
    """In the archive, without a leading `./`."""
    md5: Md5
    """By which the archive's own lists name it."""


class LegacySource(Record):
    """The legacy archive that a bundle was migrated from, and what vouched for it then."""

    name: ShownName
    """Its file name, from which the bundle's default name follows."""
    size: Annotated[int, Field(ge=0)]
    md5: Md5
    sha256: Sha256
    outcome: LegacyOutcome
    """Of its verification, which comes before every migration."""
    md5_list: ShownName | None
    """The file name of the list that it was looked up in."""
    md5_list_sha256: Sha256 | None
    listed: ListedFile | None
    """What that list says of it."""
    manifest: BundlePath | None
    """Its own `MANIFEST.json`, as the archive spells its path."""
    num_vouched: Annotated[int, Field(ge=0)]
    """Files that its own manifest gives a digest for, and which agreed."""

    @model_validator(mode="after")
    def require_accepted(self) -> Self:
        """A refused archive is not migrated."""
        if self.outcome is LegacyOutcome.REFUSED:
            raise ValueError("a refused archive cannot have been migrated")
        return self

    @property
    def vouched(self) -> str:
        """Who vouched for the archive, in words."""
        if self.outcome is LegacyOutcome.UNVOUCHED:
            return "nobody vouched for the legacy archive that it was made from"
        if self.listed is not None:
            return f"the legacy archive that it was made from is as {self.md5_list} lists it"
        return "the legacy archive that it was made from vouched for itself: integrity only"
