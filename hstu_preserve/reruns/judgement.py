"""Re-run a bundle on the rungs that were asked for, and gather the verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hstu_preserve.bundle.opening import open_verified
from hstu_preserve.compute.machine import describe_environment
from hstu_preserve.library.sources import Source
from hstu_preserve.library.verification import complete
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.retraining.plan import Plan
from hstu_preserve.records.verdict import Verdict
from hstu_preserve.reruns.consistency import check_bundle
from hstu_preserve.reruns.native import NativeRunner
from hstu_preserve.reruns.opened_bundle import OpenedBundle, open_bundle
from hstu_preserve.reruns.recorded_data import describe_data
from hstu_preserve.signing.signer import read_trusted_key
from hstu_preserve.verdict.integrity import RERUN_RUNGS, explain_contradiction, judge_consistency, judge_integrity
from hstu_preserve.verdict.judgement import Judgement
from hstu_preserve.verdict.limits import list_limits

JUDGES = {
    "evaluation": NativeRunner.judge_evaluation,
    "resume": NativeRunner.judge_resume,
    "training": NativeRunner.judge_training,
}
assert JUDGES.keys() == RERUN_RUNGS.keys()


class Retrainer(Protocol):
    """Retrains one bundle with other seeds."""

    environment: EnvironmentRecord | None

    @property
    def plan(self) -> Plan | None:
        """What was fixed before the first step."""

    @property
    def limits(self) -> tuple[str, ...]:
        """What no verdict on the retrainings speaks of."""

    @property
    def is_exploratory(self) -> bool:
        """Whether anything is judged otherwise than claim and plan had fixed it."""

    def judge(self) -> list[Verdict]:
        """Return the verdicts."""


class MakeRetrainer(Protocol):
    """Makes what retrains an opened bundle."""

    def __call__(self, bundle: OpenedBundle, *, identity: str) -> Retrainer:
        """Return it."""


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """The rungs that are asked for, and the settings of their re-runs.

    Attributes:
        rungs: Names of `RERUN_RUNGS`.
        data: The store; None takes the bundle's own or searches for it.
        device: `auto`, `cpu` or `cuda`.
        public_key: The key that must have signed the bundle; None checks no signature.
        output: The folder for ranks and runs; None keeps nothing.
        max_steps: How many steps a resumed run takes at most; None goes to the run's end.
        retrain: Makes what retrains with other seeds, which the rung `training` then judges, not the recorded one; None
            if no other seeds are asked for.
    """

    rungs: Sequence[str]
    data: Path | None
    device: str
    public_key: Path | None
    output: Path | None
    max_steps: int | None
    retrain: MakeRetrainer | None = None


def judge_run(source: Source, rerun: Rerun, *, voice: Voice) -> Judgement:
    """Return the verdicts on a bundle or run directory, whose bytes are compared first, by the pass that unpacks it."""
    trusted = read_trusted_key(rerun.public_key)
    runner = retrainings = None
    with open_verified(source.path, known=source.stored, voice=voice) as tree:
        verification = complete(tree.verification, source, trusted=trusted)
        verdicts = judge_integrity(verification, asks_for_signer=trusted is not None)
        if verification.ok:
            bundle = open_bundle(tree, entry=source.entry)
            # Before anything is run again: these checks take seconds, a training takes hours.
            checks = check_bundle(bundle)
            verdicts.append(judge_consistency(checks, subject=describe_data(bundle.manifest.run.data)))
            if all(check.passed for check in checks):
                assert verification.identity is not None
                retrainings = rerun.retrain(bundle, identity=verification.identity) if rerun.retrain else None
                # The recorded seed is then not trained: it is one draw made twice, and another rung's.
                rungs = [rung for rung in rerun.rungs if rung != "training" or retrainings is None]
                if rungs:  # retrainings that exist already need no data to be judged
                    runner = make_runner(bundle, rerun, voice=voice)
                    verdicts += climb(runner, rungs=rungs)
                if retrainings is not None:
                    verdicts += retrainings.judge()
                verdicts = name_kind(verdicts, bundle.manifest.run.recipe.evaluation.effective_kind)
            else:
                verdicts += explain_contradiction(rungs=rerun.rungs)
    return Judgement(
        title=source.title,
        identity=verification.identity,
        verdicts=verdicts,
        evaluation=runner.evaluation if runner else None,
        environment=choose_environment(runner, retrainings),
        causes=runner.causes if runner else (),
        limits=(*list_limits(rungs=rerun.rungs), *(retrainings.limits if retrainings else ()))
        if runner or retrainings
        else (),
        plan=retrainings.plan if retrainings else None,
        is_exploratory=retrainings is not None and retrainings.is_exploratory,
    )


def name_kind(verdicts: Sequence[Verdict], kind: EvaluationKind) -> list[Verdict]:
    """Return the verdicts, those on a claim with its kind of evaluation; Meta's is the one of a verdict without any."""
    if kind is EvaluationKind.WINDOW:
        return [*verdicts]
    return [one if one.claim is None else one.model_copy(update={"kind": kind}) for one in verdicts]


def choose_environment(runner: NativeRunner | None, retrainings: Retrainer | None) -> EnvironmentRecord | None:
    """Return where a bundle was run again; None if it was not."""
    if runner is not None and runner.numerics is not None:
        return describe_environment(runner.numerics)
    if retrainings is not None and retrainings.environment is not None:
        return retrainings.environment
    return describe_environment(None) if runner is not None else None


def make_runner(bundle: OpenedBundle, rerun: Rerun, *, voice: Voice) -> NativeRunner:
    """Return the runner of a bundle that agrees with itself.

    Raises:
        ContentError: Data or results are not what the bundle says.
        UnavailableError: There is no such data.
    """
    return NativeRunner(
        bundle,
        data=rerun.data,
        device=rerun.device,
        output=rerun.output,
        max_steps=rerun.max_steps,
        voice=voice,
    )


def climb(runner: NativeRunner, *, rungs: Sequence[str]) -> list[Verdict]:
    """Return the verdicts on the rungs that were asked for, the cheapest first."""
    return [verdict for name, judge in JUDGES.items() if name in rungs for verdict in judge(runner)]
