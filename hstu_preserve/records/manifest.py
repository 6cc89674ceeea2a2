"""The manifest of a bundle: the one record that binds all the others."""

from abc import abstractmethod
from typing import Annotated, Literal, NoReturn, Self, TypeAlias

from pydantic import Field, model_validator

from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.primitives.archive_names import BUNDLE_SUFFIX, name_migrated
from hstu_preserve.primitives.canonical_json import require_canonical
from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.paths import BundlePath
from hstu_preserve.primitives.strict_json import strict_loads
from hstu_preserve.primitives.validation import UPDATE, require_modest_items
from hstu_preserve.records.claim import Claim, ClaimPolicy, is_absent
from hstu_preserve.records.contents import Contents
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.legacy.migration import LegacySource, OriginalFile, Statement, Subject
from hstu_preserve.records.legacy.shown import ShownChain
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.record import Record, SchemaVersion, is_draft, require_readable
from hstu_preserve.records.upgrade import EarlierBundle, require_origin

MANIFEST_NAME = "MANIFEST.json"
CHECKSUMS_NAME = "SHA256SUMS"
NO_RUN = (
    "which was no run of this program: it has no recipe with data and policy to work on; 'hstu-preserve show' says "
    "what is known of it"
)
"""Why a legacy archive, migrated or not, can be neither evaluated nor trained."""
MAX_VALUES = 250_000
"""Of a manifest: five for each of its files, and some for what it says of them."""
LONG_LISTS = frozenset({"contents", "files", "statements", "chains"})
MAX_PART_VALUES = 20_000
"""Of a manifest without these lists, and of each of their items."""


class DataReference(Record):
    """Which data, without the data."""

    name: str
    fingerprint: Sha256
    tie_policy: str
    redistributable: bool
    """Whether the data may travel in a bundle; MovieLens may not."""
    included: bool
    """Whether it does: the store then lies in the bundle's `data/`."""
    num_users: int
    num_rated_items: int
    num_candidates: int
    num_ratings: int
    source: str
    """Where the data came from, with the source's digest where there is one."""


class CodeReference(Record):
    """Which code made the run."""

    version: str
    commit: str | None
    """The commit of the checkout, or None for an installed package."""
    modified: bool | None
    """Whether the checkout had uncommitted changes."""


class BundleSettings(Record):
    """What the author says of the bundle, from gin's `bundle.*`."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=120)]
    title: str
    licence: str
    citation: str
    include_data: bool


class RunRecord(Record):
    """What is fixed before the first step: written by `train`, never changed afterwards."""

    schema_version: SchemaVersion = Field(default=0, exclude_if=is_draft)
    """Absent in records of version 0."""
    bundle: BundleSettings
    recipe: Recipe
    recipe_sha256: Sha256
    gin_file: BundlePath
    """The chain's entry file under `config/`."""
    policies: tuple[ClaimPolicy, ...]
    data: DataReference
    environment: EnvironmentRecord
    code: CodeReference

    @model_validator(mode="after")
    def require_own_digest(self) -> Self:
        """The digest that names the recipe follows from it."""
        if self.recipe_sha256 != self.recipe.digest():
            raise ValueError("recipe_sha256 is not the digest of the recipe")
        return self


class BundleManifest(Record):
    """What every manifest says: which bytes the bundle has."""

    schema_version: SchemaVersion
    contents: Contents
    upgraded_from: EarlierBundle | None = Field(default=None, exclude_if=is_absent)
    """The bundle of an earlier schema version that `migrate` made this one of; absent if there was none."""

    @model_validator(mode="after")
    def require_ungenerated(self) -> Self:
        """What follows from the manifest cannot be listed in it."""
        if {MANIFEST_NAME, CHECKSUMS_NAME} & self.list_paths():
            raise ValueError(f"{MANIFEST_NAME} and {CHECKSUMS_NAME} cannot be listed in the manifest")
        return self

    @model_validator(mode="after")
    def require_later_version(self) -> Self:
        """A bundle is of a later version than the one that it was upgraded from."""
        if self.upgraded_from is not None and self.upgraded_from.schema_version >= self.schema_version:
            raise ValueError("upgraded_from names a bundle that is not of an earlier schema_version")
        return self

    def list_paths(self) -> set[str]:
        """Return the paths of the contents."""
        return {file.path for file in self.contents.files}

    # These follow from the stored fields. They are plain properties, so that neither the JSON nor its schema has them.

    @property
    @abstractmethod
    def title(self) -> str:
        """What the bundle is, in words."""

    @property
    @abstractmethod
    def default_file_name(self) -> str:
        """The packed bundle's file name, if the user names no other."""

    @property
    @abstractmethod
    def experiment_id(self) -> str | None:
        """The id that the author chose, by which the catalog may know the bundle; None if there is none."""

    @property
    @abstractmethod
    def licence(self) -> str | None:
        """The licence that the author chose; None if it is not known to be one licence for the whole bundle."""

    @property
    @abstractmethod
    def data(self) -> "DataReference | None":
        """The data that the run used; None if nobody recorded its fingerprint, so that nothing can be run again."""

    @property
    @abstractmethod
    def vouched(self) -> str | None:
        """Who vouched for the archive that the bundle was made from, in words; None if it was made from a run."""

    @abstractmethod
    def require_run(self) -> "Manifest":
        """Return the manifest of a run, for callers that need a recipe, claims or data.

        Raises:
            UsageError: The bundle was migrated from a legacy archive, which gives none of these.
        """


class Manifest(BundleManifest):
    """The manifest of a run: everything a stranger needs to judge the bundle."""

    run: RunRecord
    checkpoint: BundlePath
    """The checkpoint that the claims were made with."""
    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def require_policies_of_the_run(self) -> Self:
        """Each claim is judged by a policy that was fixed before the run, and each policy has its claim."""
        if tuple(claim.policy for claim in self.claims) != self.run.policies:
            raise ValueError("the claims' policies are not those fixed before the run")
        return self

    @model_validator(mode="after")
    def require_listed_checkpoint(self) -> Self:
        """Paths that the manifest names are among its contents."""
        paths = self.list_paths()
        for path in (self.checkpoint, self.run.gin_file):
            if path not in paths:
                raise ValueError(f"{path} is named but not among the contents")
        return self

    @property
    def title(self) -> str:
        """The author's title."""
        return self.run.bundle.title

    @property
    def default_file_name(self) -> str:
        """The bundle's id, packed."""
        return f"{self.run.bundle.id}{BUNDLE_SUFFIX}"

    @property
    def experiment_id(self) -> str:
        """The bundle's id."""
        return self.run.bundle.id

    @property
    def licence(self) -> str:
        """The author's licence."""
        return self.run.bundle.licence

    @property
    def data(self) -> DataReference:
        """The run's data."""
        return self.run.data

    @property
    def vouched(self) -> None:
        """Nobody: a run is packed from its own directory."""

    def require_run(self) -> "Manifest":
        """Return this manifest."""
        return self


class MigratedManifest(BundleManifest):
    """The manifest of a bundle made from a legacy archive: what is known of it, from where, and what is not."""

    kind: Literal["migrated"]
    source: LegacySource
    files: tuple[OriginalFile, ...]
    """The contents, in their order, each with its place in the archive."""
    statements: tuple[Statement, ...]
    """At least one for each subject."""
    chains: tuple[ShownChain, ...]
    """The gin chains, their names told apart; files as the archive spells their paths."""
    problems: tuple[str, ...]
    """Files that could not be read as what their place says they are."""
    missing_guarantees: tuple[str, ...]
    """What the manifest of a run would promise and this one cannot."""

    @model_validator(mode="after")
    def require_every_original(self) -> Self:
        """Each file of the bundle is one file of the archive."""
        if [file.path for file in self.files] != [file.path for file in self.contents.files]:
            raise ValueError("files are not the contents, one by one")
        if len(self.list_originals()) != len(self.files):
            raise ValueError("two files have one original_path")
        return self

    @model_validator(mode="after")
    def require_every_subject(self) -> Self:
        """What is unknown is said to be, and what is cited is there."""
        if missing := set(Subject) - {statement.subject for statement in self.statements}:
            raise ValueError(f"nothing is said of {', '.join(sorted(missing))}")
        cited = {self.source.manifest, *(statement.file for statement in self.statements)} - {None}
        if absent := cited - self.list_originals().keys():
            raise ValueError(f"{', '.join(sorted(map(str, absent)))}: cited but not in the archive")
        return self

    def list_originals(self) -> dict[str, OriginalFile]:
        """Return the files by their paths in the archive."""
        return {file.original_path: file for file in self.files}

    @property
    def title(self) -> str:
        """The archive that the bundle was made from."""
        return f"migrated from the legacy archive {self.source.name}"

    @property
    def default_file_name(self) -> str:
        """The archive's name, marked as migrated."""
        return name_migrated(self.source.name)

    @property
    def experiment_id(self) -> None:
        """None: an archive's name may be anybody's choice, so it does not lead to a catalog entry."""

    @property
    def licence(self) -> None:
        """None: what the archive states of a licence stands among the statements, and may contradict itself."""

    @property
    def data(self) -> None:
        """None: a legacy archive has no data fingerprint."""

    @property
    def vouched(self) -> str:
        """Who vouched for the legacy archive when it was migrated."""
        return self.source.vouched

    def require_run(self) -> NoReturn:
        """Refuse: a legacy archive was no run of this program.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"migrated from the legacy archive {self.source.name}, {NO_RUN}")


AnyManifest: TypeAlias = Manifest | MigratedManifest


def read_manifest(content: bytes, *, source: str) -> AnyManifest:
    """Read a manifest from its stored bytes, which must be canonical.

    Raises:
        ContentError: Not canonical strict JSON, a newer schema version, or not a manifest.
    """
    value = strict_loads(content, source=source, max_values=MAX_VALUES)
    if not isinstance(value, dict) or "schema_version" not in value:
        raise ContentError(f"{source}: not a manifest of this program (no schema_version)")
    version = value["schema_version"]
    if isinstance(version, bool) or not isinstance(version, int):
        raise ContentError(f"{source}: schema_version must be a whole number, found {version!r}")
    require_readable(value, source=source)
    # Of the parsed value, not of a record: a record's defaults may change between versions, the stored bytes may not.
    require_canonical(content, value, source=source)
    require_modest_items(value, lists=LONG_LISTS, at_most=MAX_PART_VALUES, source=source)
    manifest = choose_form(value, source=source).from_json(content, source=source)
    require_origin(value, manifest.upgraded_from, source=source)
    return manifest


def choose_form(value: dict[str, Json], *, source: str) -> type[Manifest] | type[MigratedManifest]:
    """Return which manifest the value is: a run's, which needs no `kind`, or another kind.

    Raises:
        ContentError: A kind that this release does not know.
    """
    if "kind" not in value:
        return Manifest
    if value["kind"] == "migrated":
        return MigratedManifest
    raise ContentError(f"{source}: kind {str(value['kind'])[:80]!r} is unknown; {UPDATE}")
