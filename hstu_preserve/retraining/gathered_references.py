"""Gather the other runs behind a bundle's claims, when it is packed: of the same recipe, each listed seed once."""

from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.bundle.layout import METRICS, RANKS, RUN_RECORD
from hstu_preserve.bundle.references import METRICS_NAME, RANKS_NAME, RUN_NAME, Additions, Reference, add_references
from hstu_preserve.bundle.results import MAX_RESULTS_BYTES
from hstu_preserve.bundle.verification import read_member
from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import Manifest, RunRecord
from hstu_preserve.reruns.opened_bundle import MAX_RANKS_FILE_BYTES, MAX_RECORD_BYTES
from hstu_preserve.reruns.same_recipe import find_other_policy, require_same_recipe

MAX_SHOWN_SEEDS = 5


def gather_references(manifest: Manifest, runs: Sequence[Path]) -> Additions:
    """Return what a bundle holds beside its own files if other runs stand behind its claims.

    Args:
        manifest: Of the run that is packed.
        runs: Finished runs or bundles.

    Raises:
        UsageError: The bundle has references already, its claims list other seeds each, or no run of a listed seed is
            there.
        MissingPathError: A run is not there.
        ContentError: A run is of another recipe, data or policy, its seed is not listed, or one comes twice; or its
            bytes are not those of its manifest.
    """
    if any(claim.references for claim in manifest.claims):
        raise UsageError("--reference: the bundle has recorded references already; pack the run directory instead")
    listed = manifest.run.policies[0].seeds
    if any(policy.seeds != listed for policy in manifest.run.policies):
        raise UsageError("--reference: the claims list different seeds (claim.seeds), and each rests on all runs")
    gathered: dict[int, Reference] = {}
    for path in runs:
        reference = read_reference(path)
        require_listed(reference, manifest, found=list(gathered), where=str(path))
        gathered[reference.seed] = reference
    missing = [str(seed) for seed in listed[1:] if seed not in gathered]
    if missing:
        named = list_some(missing, at_most=MAX_SHOWN_SEEDS)
        raise UsageError(f"--reference: claim.seeds lists {named} as well; name the run of each listed seed")
    return add_references(manifest, list(gathered.values()))


def read_reference(path: Path) -> Reference:
    """Return what a bundle keeps of another run, each file compared with that run's manifest.

    Raises:
        MissingPathError: There is no such run, or it did not finish.
        ContentError: A file is not what the manifest says.
    """
    files = {
        RUN_NAME: read_member(path, member=RUN_RECORD, max_bytes=MAX_RECORD_BYTES),
        METRICS_NAME: read_member(path, member=METRICS, max_bytes=MAX_RESULTS_BYTES),
        RANKS_NAME: read_member(path, member=RANKS, max_bytes=MAX_RANKS_FILE_BYTES),
    }
    return Reference(
        run=RunRecord.from_json(files[RUN_NAME], source=f"{path}: {RUN_RECORD}"),
        results=ResultsRecord.from_json(files[METRICS_NAME], source=f"{path}: {METRICS}"),
        files=files,
    )


def require_listed(reference: Reference, manifest: Manifest, *, found: list[int], where: str) -> None:
    """Require another run of the recipe whose seed the claims list, and which is not there yet.

    Raises:
        ContentError: It is something else.
    """
    require_same_recipe(manifest.run, reference.run, where=where)
    if difference := find_other_policy(manifest.run, reference.run):
        raise ContentError(f"{where}: judged by another policy than the bundle ({difference})")
    own, *others = manifest.run.policies[0].seeds
    if reference.seed == own:
        raise ContentError(f"{where}: seed {own} is the bundle's own, and one draw made twice is one draw")
    if reference.seed in found:
        raise ContentError(f"{where}: seed {reference.seed} comes twice, and one draw made twice is one draw")
    if reference.seed not in others:
        listed = ", ".join(map(str, (own, *others)))
        raise ContentError(f"{where}: seed {reference.seed} is not among those behind the claim (claim.seeds {listed})")
