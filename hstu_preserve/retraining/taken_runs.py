"""Take a finished run of a bundle's recipe with another seed: verified, in agreement with itself, and comparable."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hstu_preserve.bundle.layout import EVENTS_FOLDER, RUN_RECORD, STEPS
from hstu_preserve.bundle.opening import VerifiedTree, open_verified
from hstu_preserve.errors import ContentError, UsageError, VerificationError
from hstu_preserve.evaluation.ranks import UserRanks
from hstu_preserve.event_files.reader import read_scalars
from hstu_preserve.library.sources import Form, Source, is_unfinished_run, obtain
from hstu_preserve.primitives.files import read_small
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.records.retraining.agreement import RunValue
from hstu_preserve.records.retraining.plan import GivenRun
from hstu_preserve.records.verification import DeepCheck
from hstu_preserve.reruns.opened_bundle import MAX_RECORD_BYTES, MAX_STEPS_BYTES, OpenedBundle, open_bundle
from hstu_preserve.reruns.same_recipe import require_same_recipe
from hstu_preserve.verdict.agreement_words import worst_value

Check = Callable[[OpenedBundle], tuple[DeepCheck, ...]]
"""Compares the parts of a bundle with each other."""
LONGEST_GAP_SECONDS = 3600.0
"""Between two points of an event file while a run is under way; a longer one is a pause, and no cost."""


@dataclass(frozen=True, kw_only=True)
class TakenRun:
    """A run of the recipe with another seed.

    Attributes:
        seed: Its own.
        identity: Of its manifest; None if it diverged, since nothing is sealed then.
        results: What it found; None if it diverged.
        ranks: Of every user; None if it diverged.
        environment: Where it was trained; None if it diverged.
        seconds: How long its training took; None if nobody recorded it.
    """

    seed: int
    identity: str | None = None
    results: ResultsRecord | None = None
    ranks: UserRanks | None = None
    environment: EnvironmentRecord | None = None
    seconds: float | None = None

    @property
    def given(self) -> GivenRun:
        """How a plan names the run."""
        return GivenRun(seed=self.seed, identity=self.identity)

    def value_of(self, claim: Claim) -> RunValue:
        """Return the run's value of a claim's metric; of a run that diverged, the worst there is."""
        results = self.results
        value = worst_value(claim.policy) if results is None else results.final.value_of(claim.policy.metric)
        return RunValue(seed=self.seed, value=value, is_diverged=results is None, identity=self.identity)


def take_run(text: str, *, recorded: RunRecord, check: Check, voice: Voice) -> TakenRun:
    """Return a run or bundle that a user names, or that was trained before.

    Args:
        text: The target as the user typed it.
        recorded: The run of the bundle that is judged.
        check: Compares the parts of the named run with each other.
        voice: Shows progress.

    Raises:
        UsageError: It is no run of this program.
        ContentError: It did not finish, is not what its manifest says, contradicts itself, or is of another recipe,
            other data, protocol or selection rule.
        UnavailableError: It cannot be fetched or read.
    """
    source = obtain(text, voice=voice)
    if source.form not in {Form.TREE, Form.BUNDLE}:
        raise UsageError(f"{text}: no run or bundle of this program; only its runs can be compared seed by seed")
    if source.form is Form.TREE and source.stored is None and is_unfinished_run(source.path):
        return take_unfinished(source.path, text=text, recorded=recorded)
    return take_finished(source, recorded=recorded, check=check, voice=voice)


def take_finished(source: Source, *, recorded: RunRecord, check: Check, voice: Voice) -> TakenRun:
    """Return a run that was sealed."""
    with open_verified(source.path, known=source.stored, voice=voice) as tree:
        if not tree.verification.ok:
            raise VerificationError(tree.verification.describe(), findings=tree.verification.findings)
        bundle = open_consistent(tree, source, check=check)
        run = bundle.manifest.run
        require_same_recipe(recorded, run, where=source.text)
        return TakenRun(
            seed=run.recipe.training.random_seed,
            identity=tree.verification.identity,
            results=bundle.results,
            ranks=bundle.ranks,
            environment=run.environment,
            seconds=measure_seconds(bundle),
        )


def open_consistent(tree: VerifiedTree, source: Source, *, check: Check) -> OpenedBundle:
    """Return a run that agrees with itself.

    Raises:
        ContentError: It does not.
    """
    bundle = open_bundle(tree, entry=source.entry)
    failed = [f"{one.name}: {one.detail}" for one in check(bundle) if not one.passed]
    if failed:
        raise ContentError(f"{source.text}: contradicts itself ({list_some(failed, at_most=1, separator='; ')})")
    return bundle


def take_unfinished(root: Path, *, text: str, recorded: RunRecord) -> TakenRun:
    """Return a run that ended without a result because it diverged.

    Raises:
        ContentError: It did not diverge, so that its number is still to come; or it is of another recipe.
    """
    run = RunRecord.from_json(read_small(root / RUN_RECORD, max_bytes=MAX_RECORD_BYTES), source=f"{text}: {RUN_RECORD}")
    require_same_recipe(recorded, run, where=text)
    if not has_diverged(root):
        raise ContentError(f"{text}: did not finish, so that its number is still to come; go on with it by --resume")
    return TakenRun(seed=run.recipe.training.random_seed)


def has_diverged(root: Path) -> bool:
    """Whether the last recorded step of an unfinished run has a loss that is no number."""
    path = root / STEPS
    if not path.is_file():
        return False
    lines = read_small(path, max_bytes=MAX_STEPS_BYTES).splitlines()
    try:
        return bool(lines) and not math.isfinite(float.fromhex(json.loads(lines[-1])["loss"]))
    except (ValueError, KeyError, TypeError, OverflowError):
        return False


def measure_seconds(bundle: OpenedBundle) -> float | None:
    """Return how long a run took by the times in its event files, pauses apart; None if they do not say."""
    times = sorted(
        point.wall_time
        for name in bundle.list_files_in(EVENTS_FOLDER)
        for point in read_scalars(bundle.root / name)
        if math.isfinite(point.wall_time)
    )
    gaps = [later - sooner for sooner, later in pairwise(times)]
    seconds = math.fsum(gap for gap in gaps if gap <= LONGEST_GAP_SECONDS)
    return seconds if seconds > 0 else None
