"""The catalog: one record per published result, what it claims and where its bundle is."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.numbers import NaturalInt
from hstu_preserve.records.claim import Direction, MetricName, SelectionRule, Spread, is_absent
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.record import Record, SchemaVersion


class Collection(StrEnum):
    """Who published the result."""

    ARCHIVE = "archive"
    """The archive "HSTU iter7+iter8 preservation" on the Hub."""
    TENSORFLOW = "tensorflow"
    """NetEase's HSTU-Tensorflow."""
    UPSTREAM = "upstream"
    """Meta's generative-recommenders: the paper's own rows."""
    FOUNDATIONS = "foundations"
    """Papers that HSTU's field stands on, under evaluations of their own."""
    OWN = "own"
    """This program's authors."""


class CatalogClaim(Spread):
    """One published number."""

    metric: MetricName
    direction: Direction
    value: Annotated[float, Field(ge=0.0, le=1.0)]
    decimals: Annotated[int, Field(ge=0, le=17)]
    """Places that were printed; JSON leaves final zeros out."""
    epoch: NaturalInt | None
    """From 0; None where it was not published."""
    evaluation: str
    """The protocol, in words."""
    kind: EvaluationKind = Field(default=EvaluationKind.WINDOW, exclude_if=lambda kind: kind is EvaluationKind.WINDOW)
    """The kind of evaluation; absent if it is Meta's."""
    selection_rule: SelectionRule | None
    """None where it was not published."""
    margin: Annotated[float, Field(ge=0.0)] | None
    margin_derivation: str | None


class BundleLocation(Record):
    """Where a bundle can be had, and what is known of its bytes; digests that were never seen are null."""

    repository: str
    """On the Hugging Face Hub, as `owner/name`."""
    path: str
    """The bundle's file name in the repository."""
    size_bytes: NaturalInt | None
    sha256: Sha256 | None
    identity: Sha256 | None


class CatalogEntry(Record):
    """One published result."""

    schema_version: SchemaVersion
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    title: str
    collection: Collection
    dataset: str
    model: str
    recipe: str
    """The recipe in one line, in its publisher's words."""
    recipe_is_published: bool
    """False where the code of the recipe was never published, so that any recipe of ours is a reconstruction."""
    claims: Annotated[tuple[CatalogClaim, ...], Field(min_length=1)]
    data_fingerprint: Sha256 | None
    compared_with: str | None
    """The id of the paper's row that the gain is taken over."""
    bundle: BundleLocation | None
    source: str
    """Where the numbers were read."""
    best_of: Annotated[int, Field(ge=2)] | None = Field(default=None, exclude_if=is_absent)
    """Experiments that it is the best of by the test metric, which is a selection on test; absent if of none."""
    notes: tuple[str, ...]

    @property
    def kind(self) -> EvaluationKind:
        """The kind of evaluation of the claims."""
        return self.claims[0].kind

    @model_validator(mode="after")
    def require_one_kind(self) -> Self:
        """The claims of one entry were made by one evaluation."""
        if len({claim.kind for claim in self.claims}) > 1:
            raise ValueError("claims are of several kinds of evaluation; write one entry for each")
        return self

    def find_claim(self, metric: str) -> CatalogClaim | None:
        """Return the claim for a metric, None where nothing was published."""
        return next((claim for claim in self.claims if claim.metric == metric), None)
