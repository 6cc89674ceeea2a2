"""The manifest of a bundle: the one record that binds all the others."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.canonical_json import require_canonical
from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.paths import BundlePath
from hstu_preserve.primitives.strict_json import strict_loads
from hstu_preserve.records.claim import Claim, ClaimPolicy
from hstu_preserve.records.contents import Contents
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.record import DraftSchemaVersion, Record

SCHEMA_VERSION = 0
MANIFEST_NAME = "MANIFEST.json"
CHECKSUMS_NAME = "SHA256SUMS"


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


class Manifest(Record):
    """Everything a stranger needs to judge the bundle."""

    schema_version: DraftSchemaVersion
    run: RunRecord
    checkpoint: BundlePath
    """The checkpoint that the claims were made with."""
    claims: tuple[Claim, ...]
    contents: Contents

    @model_validator(mode="after")
    def require_policies_of_the_run(self) -> Self:
        """Each claim is judged by a policy that was fixed before the run, and each policy has its claim."""
        if tuple(claim.policy for claim in self.claims) != self.run.policies:
            raise ValueError("the claims' policies are not those fixed before the run")
        return self

    @model_validator(mode="after")
    def require_listed_checkpoint(self) -> Self:
        """Paths that the manifest names are among its contents."""
        paths = {file.path for file in self.contents.files}
        for path in (self.checkpoint, self.run.gin_file):
            if path not in paths:
                raise ValueError(f"{path} is named but not among the contents")
        if MANIFEST_NAME in paths or CHECKSUMS_NAME in paths:
            raise ValueError(f"{MANIFEST_NAME} and {CHECKSUMS_NAME} cannot be listed in the manifest")
        return self


def read_manifest(content: bytes, *, source: str) -> Manifest:
    """Read a manifest from its stored bytes, which must be canonical.

    Raises:
        ContentError: Not canonical strict JSON, a newer schema version, or not a manifest.
    """
    value = strict_loads(content, source=source)
    if not isinstance(value, dict) or "schema_version" not in value:
        raise ContentError(f"{source}: not a manifest of this program (no schema_version)")
    version = value["schema_version"]
    if isinstance(version, bool) or not isinstance(version, int):
        raise ContentError(f"{source}: schema_version must be a whole number, found {version!r}")
    if version > SCHEMA_VERSION:
        raise ContentError(
            f"{source}: schema_version {version} is newer than {SCHEMA_VERSION}, the newest this release reads; "
            "install a newer hstu-preserve"
        )
    require_canonical(content, value, source=source)
    return Manifest.from_json(content, source=source)
