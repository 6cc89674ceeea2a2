"""Read and check the other runs that a bundle records behind its claims: one folder each, named after the seed."""

from dataclasses import dataclass

from hstu_preserve.bundle.deep_checks import require_equal
from hstu_preserve.bundle.layout import REFERENCES_FOLDER
from hstu_preserve.bundle.references import METRICS_NAME, RANKS_NAME, RUN_NAME, list_reference_files
from hstu_preserve.bundle.results import MAX_RESULTS_BYTES
from hstu_preserve.data.split import Part
from hstu_preserve.errors import ContentError
from hstu_preserve.evaluation.one_evaluation import make_record
from hstu_preserve.evaluation.ranks import UserRanks, read_ranks
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.claim import Claim, ReferenceRun
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.reruns.opened_bundle import MAX_RANKS_FILE_BYTES, OpenedBundle
from hstu_preserve.reruns.rank_laws import require_possible, require_same_evaluation
from hstu_preserve.reruns.same_recipe import find_other_policy, require_same_recipe
from hstu_preserve.runs.epoch_selection import EpochSelection
from hstu_preserve.runs.evaluator import evaluates_everybody


@dataclass(frozen=True, kw_only=True)
class RecordedReference:
    """One of the other runs that a bundle records.

    Attributes:
        seed: Its own.
        run: What was fixed before its first step.
        results: What it found.
        ranks: Of every user.
    """

    seed: int
    run: RunRecord
    results: ResultsRecord
    ranks: UserRanks


def list_reference_seeds(bundle: OpenedBundle) -> list[int]:
    """Return the seeds of the other runs that the bundle's claims rest on."""
    return [run.seed for run in bundle.manifest.claims[0].references] if bundle.manifest.claims else []


def read_references(bundle: OpenedBundle) -> list[RecordedReference]:
    """Return the other runs that a bundle records, in the order of its claims.

    Raises:
        ContentError: A file is missing or none of its kind.
    """
    return [read_reference(bundle, seed) for seed in list_reference_seeds(bundle)]


def read_reference(bundle: OpenedBundle, seed: int) -> RecordedReference:
    """Return one of the other runs."""
    folder = f"{REFERENCES_FOLDER}/{seed}"
    run, metrics, ranks = (f"{folder}/{name}" for name in (RUN_NAME, METRICS_NAME, RANKS_NAME))
    return RecordedReference(
        seed=seed,
        run=RunRecord.from_json(bundle.read_file(run), source=run),
        results=ResultsRecord.from_json(bundle.read_file(metrics, max_bytes=MAX_RESULTS_BYTES), source=metrics),
        ranks=read_ranks(bundle.read_file(ranks, max_bytes=MAX_RANKS_FILE_BYTES), source=ranks),
    )


def check_references(bundle: OpenedBundle) -> str:
    """Every other recorded run is of the bundle's recipe, policies and data, and gives what the claims say of it."""
    seeds = list_reference_seeds(bundle)
    for claim in bundle.manifest.claims:
        found = [run.seed for run in claim.references]
        require_equal(f"recorded runs of claim {claim.policy.name}", expected=seeds, found=found)
    expected = sorted(path for seed in seeds for path in list_reference_files(seed))
    require_equal(
        "files of other recorded runs", expected=expected, found=sorted(bundle.list_files_in(REFERENCES_FOLDER))
    )
    for number, reference in enumerate(read_references(bundle)):
        require_same_run(reference, bundle)
        require_own_figures(reference, bundle)
        for claim in bundle.manifest.claims:
            require_told(claim, claim.references[number], reference)
    if not seeds:
        return "no other run is recorded"
    return f"{count(len(seeds), 'other run')} of the recipe, with the ranks behind each figure"


def require_same_run(reference: RecordedReference, bundle: OpenedBundle) -> None:
    """Raise ContentError if a recorded run is of another recipe, data or policy than the bundle's own."""
    where = f"{REFERENCES_FOLDER}/{reference.seed}"
    require_same_recipe(bundle.manifest.run, reference.run, where=where)
    if difference := find_other_policy(bundle.manifest.run, reference.run):
        raise ContentError(f"{where}: judged by another policy ({difference})")
    require_equal(f"seed of {where}", expected=reference.seed, found=reference.run.recipe.training.random_seed)


def require_own_figures(reference: RecordedReference, bundle: OpenedBundle) -> None:
    """Raise ContentError if a recorded run's figures do not follow from its ranks, or its epoch from its curve."""
    where, final = f"{REFERENCES_FOLDER}/{reference.seed}", reference.results.final
    require_equal(f"ranks of {where}", expected=final.ranks_sha256, found=reference.ranks.digest())
    require_possible(reference.ranks, num_candidates=final.num_ranked)
    computed = make_record(
        reference.ranks,
        reference.run.recipe,
        part=Part.TEST,
        epoch=select_epoch(reference),
        data_fingerprint=reference.run.data.fingerprint,
        num_users_skipped=bundle.results.final.num_users_skipped,
        num_candidates=bundle.results.final.num_candidates,
        coverage_at_10=final.coverage_at_10,
        ranking=final.ranking,
    )
    require_same_evaluation(where, expected=computed, found=final)


def select_epoch(reference: RecordedReference) -> int:
    """Return the epoch that a recorded run's curve selects."""
    run, epochs = reference.run, reference.results.epochs
    selection = EpochSelection(run.policies[0], patience=run.recipe.training.patience)
    for record in epochs:
        if record.part == Part.VALIDATION.value and evaluates_everybody(run.recipe.evaluation, epoch=record.epoch):
            selection.offer(record.metrics, epoch=record.epoch, checkpoint="")
    return len(epochs) - 1 if selection.best is None else selection.best.epoch


def require_told(claim: Claim, told: ReferenceRun, reference: RecordedReference) -> None:
    """Raise ContentError if a claim tells other figures of a recorded run than the run has."""
    results, where = reference.results, f"claim {claim.policy.name}, seed {reference.seed}"
    for what, expected, found in (
        ("value", results.final.metrics[claim.policy.metric], told.value),
        ("epoch", results.final.epoch, told.epoch),
        ("ranks", results.final.ranks_sha256, told.ranks_sha256),
        ("final state", results.state_sha256, told.state_sha256),
        ("arithmetic", reference.run.environment.numerics, told.environment),
    ):
        require_equal(f"{what} of {where}", expected=expected, found=found)
