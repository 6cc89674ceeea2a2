"""Train a bundle's recipe anew with other seeds, or take such runs, and have `verdict` judge them by one interval."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from hstu_preserve.data.store import Store
from hstu_preserve.errors import DivergedError, UsageError
from hstu_preserve.evaluation.user_scatter import find_floor
from hstu_preserve.primitives.temporary_folders import scratch_folder
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.primitives.wording import count, describe_duration
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.retraining.agreement import Agreement, RunValue
from hstu_preserve.records.retraining.plan import Plan
from hstu_preserve.records.verdict import Verdict
from hstu_preserve.reruns.consistency import check_bundle
from hstu_preserve.reruns.native import open_data
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.reruns.published_claims import find_published
from hstu_preserve.reruns.recorded_references import read_references
from hstu_preserve.retraining.asked import Retraining
from hstu_preserve.retraining.planned_training import train_planned
from hstu_preserve.retraining.planning import SettledPlan, make_plan, settle_plan
from hstu_preserve.retraining.taken_runs import TakenRun, has_diverged, measure_seconds, take_run
from hstu_preserve.runs.durability import Durability
from hstu_preserve.runs.sealing import is_finished
from hstu_preserve.verdict.agreement import (
    Floor,
    Terms,
    find_agreement,
    find_departure,
    is_decided,
    judge_agreement,
    judge_missing,
)
from hstu_preserve.verdict.foresight import LEAST_POWER, Foresight, describe_power, foresee
from hstu_preserve.verdict.qualifications import qualify
from hstu_preserve.verdict.trajectory import judge_trajectory
from hstu_preserve.verdict.triviality import call_trivial

AGAIN = "the same command"
NAMED_LIMIT = "retrainings that were named with --rerun: whoever named them may have left others out"


class Retrainings:
    """The retrainings of one opened bundle's recipe with other seeds.

    Args:
        bundle: Verified.
        identity: Of the bundle.
        asked: How many seeds, which runs, which margin.
        data: The store, or None for the bundle's own or a search.
        device: `auto`, `cpu` or `cuda`.
        output: The folder that keeps the plan and the runs; None keeps nothing.
        voice: Says seeds, power and cost before the first step, and shows progress.
    """

    def __init__(
        self,
        bundle: OpenedBundle,
        *,
        identity: str,
        asked: Retraining,
        data: Path | None,
        device: str,
        output: Path | None,
        voice: Voice,
    ) -> None:
        self.bundle = bundle
        self.identity = identity
        self.asked = asked
        self.data = data
        self.device = device
        self.output = output
        self.voice = voice
        self.claims = bundle.manifest.claims
        self.settled: SettledPlan | None = None
        self.environment: EnvironmentRecord | None = None

    @cached_property
    def store(self) -> Store:
        """The data that the recipe is trained on.

        Raises:
            ContentError: It is not what the bundle names.
            UnavailableError: There is none.
        """
        return open_data(self.bundle, self.data)

    @property
    def plan(self) -> Plan | None:
        """What was fixed before the first step; None before `judge` fixed it."""
        return None if self.settled is None else self.settled.fixed

    @property
    def limits(self) -> tuple[str, ...]:
        """What no verdict on the retrainings speaks of."""
        return (NAMED_LIMIT,) if self.asked.reruns else ()

    @property
    def is_exploratory(self) -> bool:
        """Whether anything is judged otherwise than claim and plan had fixed it."""
        return self.settled is not None and any(
            self.make_terms(number).departures for number in range(len(self.claims))
        )

    def judge(self) -> list[Verdict]:
        """Take the runs that are named, train those that are missing, and judge each claim at the look that decides."""
        given = [self.take(text) for text in self.asked.reruns]
        wanted = make_plan(
            self.bundle.manifest, identity=self.identity, asked=self.asked, given=[run.given for run in given]
        )
        foresights = [
            foresee(claim, margin=margin, last_look=wanted.looks[-1], references=list_recorded(claim, self.bundle))
            for claim, margin in zip(self.claims, wanted.margins, strict=True)
        ]
        self.require_power(foresights)
        self.settled = settle_plan(wanted, folder=self.output)
        if self.asked.is_dry:
            return self.tell(foresights, given=given)
        with ExitStack() as stack:
            folder = self.output or stack.enter_context(scratch_folder())
            runs = self.complete(given, foresights=foresights, folder=folder)
        self.environment = next((run.environment for run in runs if run.environment is not None), None)
        return [verdict for number in range(len(self.claims)) for verdict in self.judge_claim(number, runs)]

    def take(self, text: str) -> TakenRun:
        """Return a finished run, verified and comparable."""
        return take_run(text, recorded=self.bundle.manifest.run, check=check_bundle, voice=self.voice)

    def require_power(self, foresights: Sequence[Foresight]) -> None:
        """Raise UsageError if training would almost never decide, and the user did not insist by naming an output."""
        powers = [one.power for one in foresights if one.power is not None]
        insists = self.output is not None or self.asked.is_dry or not self.asked.num_seeds
        if powers and max(powers) < LEAST_POWER and not insists:
            raise UsageError(
                f"{describe_power(foresights[0])}: almost never. Name an --output DIR to train all the same, or "
                "see with --dry-run what would decide"
            )

    def make_terms(self, number: int) -> Terms:
        """Return how a claim is judged, by its number from 0."""
        assert self.settled is not None
        claim, margin = self.claims[number], self.settled.followed.margins[number]
        departure = find_departure(claim, margin)
        return Terms(
            margin=margin,
            looks=self.settled.followed.looks,
            departures=list(dict.fromkeys([*([departure] if departure else []), *self.settled.departures])),
        )

    def tell(self, foresights: Sequence[Foresight], *, given: Sequence[TakenRun]) -> list[Verdict]:
        """Return how many retrainings are there, what is missing, and how likely it decides; nothing is trained."""
        assert self.settled is not None
        followed = self.settled.followed
        folder = self.output
        there = [seed for seed in followed.seeds if folder is not None and is_finished(path_of(folder, seed))]
        missing = [seed for seed in followed.seeds if seed not in there]
        named = f"; {'seed' if len(missing) == 1 else 'seeds'} {' '.join(map(str, missing))}" if missing else ""
        return [
            judge_missing(
                claim,
                num_there=len(given) + len(there),
                num_planned=followed.looks[-1].num_reruns,
                lasts=self.describe_cost(),
                then=f"{named}; {describe_power(foresight)}",
                power=foresight.power,
            )
            for claim, foresight in zip(self.claims, foresights, strict=True)
        ]

    def describe_cost(self) -> str | None:
        """Return how long one training took when it was recorded; None if nobody recorded it."""
        seconds = measure_seconds(self.bundle)
        return None if seconds is None else describe_duration(seconds)

    def complete(self, given: Sequence[TakenRun], *, foresights: Sequence[Foresight], folder: Path) -> list[TakenRun]:
        """Return the named runs and those of the plan's seeds, until a look has decided every claim."""
        assert self.settled is not None
        runs = list(given)
        if self.settled.followed.seeds:
            self.announce(foresights)
        for seed in self.settled.followed.seeds:
            if self.is_over(runs):
                self.voice.say(f"decided at the first look, after {count(len(runs), 'retraining')}")
                break
            runs.append(self.obtain(seed, number=len(runs) + 1, folder=folder))
        return runs

    def announce(self, foresights: Sequence[Foresight]) -> None:
        """Say how likely the retrainings decide and how long they take, before hours are spent."""
        assert self.settled is not None
        _ = self.store  # absent data is found before anything is announced
        for foresight in foresights:
            self.voice.say(f"{'warning: ' if foresight.is_weak else ''}{describe_power(foresight)}")
        cost = self.describe_cost()
        lasts = "nobody recorded how long one takes" if cost is None else f"one took {cost} when it was recorded"
        seeds = self.settled.followed.seeds
        self.voice.say(f"{count(len(seeds), 'retraining')}, seeds {' '.join(map(str, seeds))}; {lasts}")

    def is_over(self, runs: Sequence[TakenRun]) -> bool:
        """Whether a look has decided every claim; between looks nobody looks."""
        assert self.settled is not None
        if len(runs) not in {look.num_reruns for look in self.settled.followed.looks}:
            return False
        found = [self.find(number, runs, floor=None) for number in range(len(self.claims))]
        return all(agreement is not None and is_decided(agreement) for agreement in found)

    def obtain(self, seed: int, *, number: int, folder: Path) -> TakenRun:
        """Return the run of one of the plan's seeds: as it was trained before, gone on with, or trained now."""
        assert self.settled is not None
        followed, path = self.settled.followed, path_of(folder, seed)
        if not is_finished(path) and not has_diverged(path):
            self.voice.say(f"retraining {number} of {followed.looks[-1].num_reruns}: seed {seed}")
            try:
                train_planned(
                    followed,
                    seed=seed,
                    store=self.store,
                    device=self.device,
                    output=path,
                    durability=Durability(resume=path.exists(), again=AGAIN),
                    voice=self.voice,
                )
            except DivergedError as error:
                self.voice.say(f"warning: seed {seed} diverged, and counts as the worst value there is ({error})")
                return TakenRun(seed=seed)
        taken = self.take(str(path))
        if taken.seed != seed:
            raise UsageError(f"{path}: holds a run with seed {taken.seed}; name a new directory with --output")
        return taken

    def find(self, number: int, runs: Sequence[TakenRun], *, floor: Floor | None) -> Agreement | None:
        """Return the agreement on a claim at the look that decides."""
        claim = self.claims[number]
        return find_agreement(
            [run.value_of(claim) for run in runs],
            list_recorded(claim, self.bundle),
            claim=claim,
            terms=self.make_terms(number),
            floor=floor,
        )

    def judge_claim(self, number: int, runs: Sequence[TakenRun]) -> list[Verdict]:
        """Return the verdicts on one claim: its interval, and where its curve leaves the recorded ones."""
        claim = self.claims[number]
        references = read_references(self.bundle)
        ranks = [*(one.ranks for one in references), *(run.ranks for run in runs if run.ranks is not None)]
        floor = find_floor(self.bundle.ranks, ranks, metric=claim.policy.metric)
        agreement = self.find(number, runs, floor=floor)
        assert agreement is not None  # every run of the plan is there, or a look decided
        judged = judge_agreement(agreement, claim, terms=self.make_terms(number))
        told = call_trivial(judged, claim, evaluation=self.bundle.results.final)
        verdicts = [qualify(told, find_published(self.bundle))]
        curves = [take_curve(run.results, claim) for run in runs[: len(agreement.reruns)] if run.results is not None]
        if curves:
            recorded = [take_curve(one, claim) for one in (self.bundle.results, *(one.results for one in references))]
            verdicts.append(judge_trajectory(claim, reruns=curves, recorded=recorded))
        return verdicts


def path_of(folder: Path, seed: int) -> Path:
    """Return the run directory of a seed."""
    return folder / f"seed-{seed}"


def list_recorded(claim: Claim, bundle: OpenedBundle) -> list[RunValue]:
    """Return the values of the runs behind a claim, the bundle's own first."""
    own = bundle.manifest.run.recipe.training.random_seed
    values = [(own, claim.value), *((run.seed, run.value) for run in claim.references)]
    return [RunValue(seed=seed, value=value, is_diverged=False, identity=None) for seed, value in values]


def take_curve(results: ResultsRecord, claim: Claim) -> list[float]:
    """Return a metric by epoch, up to the first epoch at which it is a mean over nobody."""
    curve = []
    for epoch in results.epochs:
        value = epoch.metrics[claim.policy.metric]
        if value is None:
            break
        curve.append(value)
    return curve
