"""Record the results of the verbs, which `--json` prints and the Python functions return."""

from pathlib import Path
from typing import Self

from pydantic import Field

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.claim import Claim, ClaimPolicy
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.estimates.costs import CostTable
from hstu_preserve.records.evaluation import EvaluationRecord, ResultsRecord
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.legacy.migration import LegacySource, Statement
from hstu_preserve.records.legacy.shown import ShownBinding, ShownLegacy
from hstu_preserve.records.manifest import BundleSettings, CodeReference, Manifest, MigratedManifest
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.record import CheckedRecord, Record, SchemaVersion, is_draft
from hstu_preserve.records.retraining.plan import Plan
from hstu_preserve.records.store import StoreRecord
from hstu_preserve.records.upgrade import EarlierBundle
from hstu_preserve.records.verdict import Cause, Verdict


class ListedExperiment(Record):
    """One line of the catalog."""

    entry: CatalogEntry
    ndcg10: float | None
    """The published ndcg@10."""
    gain: float | None
    """Relative to the row it is compared with, e.g. 0.028; None where there is none of the same kind of evaluation."""

    @property
    def kind(self) -> EvaluationKind:
        """The kind of evaluation of its published numbers."""
        return self.entry.kind


class CatalogListing(Record):
    """The catalog."""

    experiments: tuple[ListedExperiment, ...]
    other_recipes: tuple[str, ...]
    """Ids of recipes that come with the program and of which no number was published: the controls."""


class ShownBundle(Record):
    """A bundle or run directory, as its manifest describes it; its bytes were not verified."""

    target: str
    path: str
    """Where it is: a path here, or an address on the Hub."""
    identity: Sha256
    manifest: Manifest
    results: ResultsRecord | None
    """The recorded curve, where the bundle holds one."""


class ShownMigrated(Record):
    """A bundle that was migrated from a legacy archive, as its manifest describes it; its bytes were not verified."""

    target: str
    path: str
    """Where it is: a path here, or an address on the Hub."""
    identity: Sha256
    manifest: MigratedManifest


class ShownEntry(Record):
    """A catalog entry."""

    target: str
    entry: CatalogEntry
    gain: float | None
    compared_with: CatalogEntry | None
    here: ShownBundle | ShownMigrated | ShownLegacy | None
    """Its bundle as it is on this machine, fetched before or brought by another tool; None if it is not."""


class ShownRecipe(Record):
    """What a gin chain resolves to."""

    target: str
    path: Path
    files: tuple[str, ...]
    recipe: Recipe
    recipe_sha256: Sha256
    policies: tuple[ClaimPolicy, ...]
    bundle: BundleSettings
    warnings: tuple[str, ...]
    inert: tuple[str, ...]
    gin: str
    """The same recipe as one flat gin text."""


class StoreResult(Record):
    """A store that was made or opened."""

    path: Path
    store: StoreRecord
    is_verified: bool
    """Whether every array was hashed in this call."""
    warnings: tuple[str, ...]


class TrainingResult(Record):
    """A finished run."""

    path: Path
    identity: Sha256
    claims: tuple[Claim, ...]
    results: ResultsRecord
    environment: EnvironmentRecord
    warnings: tuple[str, ...]


class EvaluationResult(Record):
    """One evaluation of one checkpoint."""

    target: str
    checkpoint: str
    evaluation: EvaluationRecord
    evaluators_agree: bool
    """Whether both evaluators give the same rank to every unclamped user without an exact tie."""
    users_compared: int
    """How many such users there are; agreement on none says nothing."""
    environment: EnvironmentRecord
    ranks_path: Path | None
    warnings: tuple[str, ...]
    also: tuple[EvaluationRecord, ...] = Field(default=(), exclude_if=lambda also: not also)
    """The same checkpoint under other kinds of evaluation, whose numbers are not comparable; absent if none was asked
    for."""


class PackResult(Record):
    """What was packed."""

    path: Path
    identity: Sha256
    """The sha256 of the manifest's stored bytes."""
    transport_sha256: Sha256
    """Of the compressed file: recorded beside it, never promised, since libraries compress differently."""
    size_bytes: int
    members: int


class MigrationResult(Record):
    """A native bundle that was made from a legacy archive."""

    bundle: PackResult
    source: LegacySource
    statements: tuple[Statement, ...]
    unknown: tuple[ShownBinding, ...]
    """Gin names that this program does not know: the recipe cannot be run without what they stand for."""
    problems: tuple[str, ...]


class UpgradeResult(Record):
    """A bundle of the present schema version that was made of an earlier one."""

    bundle: PackResult
    upgraded_from: EarlierBundle
    left_behind: tuple[str, ...]
    """Files beside the earlier bundle that are about its identity, and say nothing of this one."""


class Difference(Record):
    """One value in which two bundles differ."""

    section: str
    name: str
    left: str | None
    """None where this side has no such value."""
    right: str | None


class BundleDiff(Record):
    """How two bundles differ."""

    left: str
    right: str
    left_identity: Sha256
    right_identity: Sha256
    differences: tuple[Difference, ...]

    @property
    def exit_code(self) -> int:
        """3 if they differ."""
        return ContentError.exit_code if self.differences else 0


class UnpackResult(Record):
    """An unpacked bundle."""

    path: Path
    identity: Sha256
    members: int


class Reproduction(CheckedRecord):
    """Verdicts on the rungs that were asked for."""

    schema_version: SchemaVersion = Field(default=0, exclude_if=is_draft)
    """Absent in records of version 0."""
    target: str
    path: Path
    identity: Sha256 | None
    title: str
    verdicts: tuple[Verdict, ...]
    evaluation: EvaluationRecord | None
    """The evaluation that was run again."""
    environment: EnvironmentRecord | None
    causes: tuple[Cause, ...] = ()
    """Of ranks that are not the recorded ones: the change that explains them, or the nearest; empty if they are."""
    limits: tuple[str, ...] = ()
    """What no verdict here speaks of."""
    plan: Plan | None = None
    """What was fixed before other seeds were trained; None if none were asked for."""
    code: CodeReference | None = None
    """The release of this program that judged."""
    is_exploratory: bool = False
    """Whether it was judged otherwise than claim and plan had fixed it before: such a run cannot pass."""
    decided_by: str | None = None
    """The rung, and the claims if it has any, that the exit code rests on; None if nothing was required."""
    exit_code: int

    def spelled_as_text(self) -> Self:
        """Return the record with escapes for bytes in its paths that are no text, which no canonical JSON can hold."""
        path = Path(printable(str(self.path)))
        return self.model_copy(update={"target": printable(self.target), "path": path})


class ExportResult(Record):
    """A file in somebody else's format."""

    path: Path
    format: str
    sha256: Sha256
    qrels: Path | None = None
    """The relevant items that belong to a TREC run; None of other formats."""


class PublishedBundle(Record):
    """One bundle on the Hub, as it is there now or would be."""

    path: Path
    identity: Sha256
    transport_sha256: Sha256
    size_bytes: int
    name: str
    """Its file's name in the repository."""
    url: str
    """Of the commit, or of the file where it was there already."""
    commit: str | None
    """None where nothing was pushed, since it was there already or was only asked for."""
    is_unchanged: bool
    """Whether all of it was there already, so that nothing is to be pushed."""
    pushed: tuple[str, ...]
    """The files of the commit."""
    removed: tuple[str, ...]
    """What goes with it: the signature of other bytes."""
    replaced: str | None
    """The digest by which the Hub names what lay there under this name before."""


class PublishResult(Record):
    """What was put on the Hub."""

    repository: str
    url: str
    is_created: bool
    """Whether the repository was made, or would be."""
    is_dry_run: bool
    bundles: tuple[PublishedBundle, ...]


class ReportResult(CheckedRecord):
    """A written report."""

    path: Path
    """The report as Markdown; without one the page, and without either the folder of the site."""
    page: Path | None = Field(default=None, exclude_if=lambda page: page is None)
    """The page that was written beside it; absent if none was."""
    site: Path | None = Field(default=None, exclude_if=lambda site: site is None)
    """The folder of the site; absent if none was written."""
    experiments: int
    reproduced: int
    is_changed: bool
    """Whether the file differs from what stood there before."""
    exit_code: int
    """The lowest of 3 to 6 that occurred among the targets, else 0."""


class Capability(Record):
    """One thing that this machine can or cannot do."""

    name: str
    is_available: bool
    detail: str
    advice: str | None
    """What to type where it is missing."""


class Diagnosis(Record):
    """What this machine can run."""

    environment: EnvironmentRecord
    capabilities: tuple[Capability, ...]
    costs: CostTable | None = Field(default=None, exclude_if=lambda costs: costs is None)
    """What recipes cost; absent if nobody asked."""
