"""Name the places of files in a run directory or bundle, and therefore the members that its archive has."""

from dataclasses import dataclass
from typing import TypeAlias

from hstu_preserve.primitives.digests import Sha256, sha256_of_bytes
from hstu_preserve.records.contents import Contents, Finding, FindingClass, Role
from hstu_preserve.records.manifest import CHECKSUMS_NAME, MANIFEST_NAME, AnyManifest, Manifest

RUN_RECORD = "run.json"
ENVIRONMENT = "environment.json"
REQUIREMENTS = "requirements.lock"
CONFIG_FOLDER = "config"
CHECKPOINT_FOLDER = "ckpts"
EVENTS_FOLDER = "tb"
RESULTS_FOLDER = "results"
DATA_FOLDER = "data"
CODE_FOLDER = "code"
REFERENCES_FOLDER = "references"
"""Of other runs behind the claims: a folder for each, named after its seed."""
LEGACY_FOLDER = "legacy"
METRICS = f"{RESULTS_FOLDER}/metrics.json"
RANKS = f"{RESULTS_FOLDER}/ranks.npz"
STEPS = f"{RESULTS_FOLDER}/steps.jsonl"

ROLE_OF_FOLDER = {
    CONFIG_FOLDER: Role.CONFIG,
    CHECKPOINT_FOLDER: Role.CHECKPOINT,
    EVENTS_FOLDER: Role.EVENTS,
    RESULTS_FOLDER: Role.RESULT,
    REFERENCES_FOLDER: Role.RESULT,
    DATA_FOLDER: Role.DATA,
    CODE_FOLDER: Role.CODE,
    LEGACY_FOLDER: Role.LEGACY,
}
ROLE_OF_FILE = {ENVIRONMENT: Role.ENVIRONMENT, RUN_RECORD: Role.RUN, REQUIREMENTS: Role.REQUIREMENTS}
GENERATED_NAMES = frozenset({MANIFEST_NAME, CHECKSUMS_NAME})
TOP_LEVEL = ", ".join(sorted([*(f"{folder}/" for folder in ROLE_OF_FOLDER), *ROLE_OF_FILE, *GENERATED_NAMES]))

BundleIdentity: TypeAlias = Sha256
"""The sha256 of the stored bytes of `MANIFEST.json`: the one digest that names a bundle."""


@dataclass(frozen=True, kw_only=True)
class StoredManifest:
    """A manifest together with the bytes that it was read from."""

    content: bytes
    record: AnyManifest

    @property
    def identity(self) -> BundleIdentity:
        """The digest that names the bundle."""
        return sha256_of_bytes(self.content)

    @property
    def contents(self) -> Contents:
        """Which files the bundle has."""
        return self.record.contents

    @property
    def manifest(self) -> Manifest:
        """The manifest of a run, for callers that need a recipe, claims or data.

        Raises:
            UsageError: The bundle was migrated from a legacy archive, which gives none of these.
        """
        return self.record.require_run()


@dataclass(frozen=True, kw_only=True)
class Member:
    """The path, size and digest that one file in the archive must have."""

    path: str
    size: int
    sha256: Sha256


def role_of(path: str) -> Role | None:
    """Return the role of a file by its path, None if the layout has no such place."""
    folder, separator, _ = path.partition("/")
    return ROLE_OF_FOLDER.get(folder) if separator else ROLE_OF_FILE.get(path)


def find_misplaced(contents: Contents) -> list[Finding]:
    """Return a finding for each listed file whose role is not the role of its folder."""
    return [
        Finding(
            finding_class=FindingClass.BAD_MANIFEST,
            path=record.path,
            expected=f"role {role}" if (role := role_of(record.path)) else f"one of {TOP_LEVEL}",
            found=f"role {record.role}",
        )
        for record in contents.files
        if role_of(record.path) is not record.role
    ]


def list_members(stored: StoredManifest) -> list[Member]:
    """Return every member of the archive in its order: the manifest, the contents by path, the checksums."""
    # The manifest cannot list itself or the checksums, which cover it: both follow from its bytes, so that one digest
    # binds every member.
    checksums = checksums_text(stored.content, contents=stored.contents)
    return [
        Member(path=MANIFEST_NAME, size=len(stored.content), sha256=stored.identity),
        *(Member(path=file.path, size=file.size, sha256=file.sha256) for file in stored.contents.files),
        Member(path=CHECKSUMS_NAME, size=len(checksums), sha256=sha256_of_bytes(checksums)),
    ]


def checksums_text(manifest_content: bytes, *, contents: Contents) -> bytes:
    """Return the content of `SHA256SUMS`, with which `sha256sum -c` checks every other member."""
    lines = [f"{sha256_of_bytes(manifest_content)}  {MANIFEST_NAME}\n"]
    lines += [f"{file.sha256}  {file.path}\n" for file in contents.files]
    return "".join(lines).encode()


MAX_MANIFEST_BYTES = 8 * 2**20
"""Enough for some 40,000 files; a hostile manifest of this size still takes seconds and some hundred MB to refuse."""
