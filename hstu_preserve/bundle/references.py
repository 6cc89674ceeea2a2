"""Add other finished runs of a recipe to a bundle that is packed, as runs behind its claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hstu_preserve.bundle.layout import REFERENCES_FOLDER, StoredManifest
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.records.claim import Claim, ReferenceRun
from hstu_preserve.records.contents import Contents, FileRecord, Role
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import Manifest, RunRecord

RUN_NAME, METRICS_NAME, RANKS_NAME = "run.json", "metrics.json", "ranks.npz"
REFERENCE_NAMES = (METRICS_NAME, RANKS_NAME, RUN_NAME)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Another run of the recipe.

    Attributes:
        run: What was fixed before its first step.
        results: What it found.
        files: The content of each of its files, by name.
    """

    run: RunRecord
    results: ResultsRecord
    files: Mapping[str, bytes]

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.run.recipe.training.random_seed

    def describe(self, claim: Claim) -> ReferenceRun:
        """Return what a claim says of the run.

        Raises:
            ContentError: It has no such number, or does not record its arithmetic.
        """
        numerics = self.run.environment.numerics
        if numerics is None:
            raise ContentError(f"the run with seed {self.seed} does not record its arithmetic")
        return ReferenceRun(
            seed=self.seed,
            value=self.results.final.value_of(claim.policy.metric),
            epoch=self.results.final.epoch,
            ranks_sha256=self.results.final.ranks_sha256,
            state_sha256=self.results.state_sha256,
            environment=numerics,
        )


@dataclass(frozen=True, kw_only=True)
class Additions:
    """Files that a bundle holds beside those of its directory, and the manifest that lists all of them.

    Attributes:
        stored: The manifest.
        files: The content of each added file, by path.
    """

    stored: StoredManifest
    files: Mapping[str, bytes]


def list_reference_files(seed: int) -> list[str]:
    """Return the paths of the files of one reference."""
    return [f"{REFERENCES_FOLDER}/{seed}/{name}" for name in REFERENCE_NAMES]


def add_references(manifest: Manifest, references: Sequence[Reference]) -> Additions:
    """Return a run's bundle with other runs behind its claims, in the order in which its policies list their seeds.

    Args:
        manifest: The run's, without references.
        references: Of every other seed that each claim lists.
    """
    by_seed = {reference.seed: reference for reference in references}
    files = {
        f"{REFERENCES_FOLDER}/{reference.seed}/{name}": content
        for reference in references
        for name, content in reference.files.items()
    }
    claims = tuple(
        Claim(
            policy=claim.policy,
            value=claim.value,
            epoch=claim.epoch,
            references=tuple(by_seed[seed].describe(claim) for seed in claim.policy.seeds[1:]),
        )
        for claim in manifest.claims
    )
    added = (
        FileRecord(path=path, size=len(content), sha256=sha256_of_bytes(content), role=Role.RESULT)
        for path, content in files.items()
    )
    contents = Contents(files=tuple(sorted([*manifest.contents.files, *added], key=lambda file: file.path)))
    record = manifest.model_copy(update={"claims": claims, "contents": contents})
    return Additions(stored=StoredManifest(content=record.to_json(), record=record), files=files)
