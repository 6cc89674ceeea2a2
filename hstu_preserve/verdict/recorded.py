"""Judge whether a reported number is the one that its own run wrote down: no torch and no data are needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hstu_preserve.primitives.wording import count, list_some, printable
from hstu_preserve.records.verdict import Outcome, Rung, Verdict, list_facts

SLACK = 1e-9
FLOAT32_HALF_UNIT = 2.0**-24
"""Of a number near 1: event files hold single precision, however many places a manifest prints."""
LEAST_DECIMALS = 2
"""Of a number that says something: half a unit of the first place is 0.05."""


@dataclass(frozen=True, kw_only=True)
class ReportedNumber:
    """A metric as its author printed it.

    Attributes:
        metric: Its name, as in METRIC_NAMES.
        text: As printed; final zeros count.
        value: Between 0 and 1.
        decimals: Printed places of `value`.
        epoch: The epoch that it is said to be of; None if none is said.
        place: Where it is printed, in words.
    """

    metric: str
    text: str
    value: float
    decimals: int
    epoch: int | None
    place: str

    @property
    def tolerance(self) -> float:
        """How far a number can be that prints as this one: half a unit of the last place."""
        return max(0.5 * 10.0**-self.decimals, FLOAT32_HALF_UNIT) + SLACK


@dataclass(frozen=True, kw_only=True)
class RecordedPoint:
    """A metric of one evaluation, as an event file has it."""

    value: float
    wall_time: float
    file: str


@dataclass(frozen=True, kw_only=True)
class EvaluationCurve:
    """One metric over the test items, epoch by epoch.

    Attributes:
        whole: By epoch, the points of evaluations of every user, in the order of their files.
        partial: Epochs at which only a part of the users was evaluated.
    """

    whole: Mapping[int, Sequence[RecordedPoint]] = field(default_factory=dict)
    partial: frozenset[int] = frozenset()

    def find(self, epoch: int) -> RecordedPoint:
        """Return the point of an epoch: of several, the one that was written last, as a resumed run overwrites."""
        return max(self.whole[epoch], key=lambda point: point.wall_time)


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """What an archive holds of the run that its numbers are of.

    Attributes:
        curves: By metric; without a metric that no event file has.
        num_event_files: All that could be read.
        checkpoint_epochs: By the names of the checkpoints.
    """

    curves: Mapping[str, EvaluationCurve]
    num_event_files: int
    checkpoint_epochs: tuple[int, ...]


NOTHING_REPORTED = "no number is reported: neither its MANIFEST.json nor the catalog names a metric with a value"


def judge_recorded(numbers: Sequence[ReportedNumber], run: RecordedRun) -> list[Verdict]:
    """Return one verdict for each metric that is reported, or one that nothing is."""
    if not numbers:
        return [make_verdict(Outcome.NOT_RUN, NOTHING_REPORTED, claim=None)]
    metrics = dict.fromkeys(number.metric for number in numbers)
    return [judge_metric([one for one in numbers if one.metric == metric], run) for metric in metrics]


def judge_metric(numbers: Sequence[ReportedNumber], run: RecordedRun) -> Verdict:
    """Return the verdict on one metric: on the number that fares worst, of several that are reported."""
    verdicts = [judge_number(number, run) for number in numbers]
    worst = min(verdicts, key=lambda verdict: ORDER.index(verdict.outcome))
    others = len(verdicts) - 1
    if not others:
        return worst
    more = f"{count(others, 'more number')} of {worst.claim} reported, none of which fares worse"
    return worst.model_copy(update={"reason": f"{worst.reason}; {more}"})


ORDER = (Outcome.NOT_REPRODUCED, Outcome.REPRODUCED_NUMERIC, Outcome.NOT_RUN)
"""The worst first; a number that nothing was recorded for takes nothing from one that was confirmed."""


def judge_number(number: ReportedNumber, run: RecordedRun) -> Verdict:
    """Return the verdict on one number."""
    why = explain_not_comparable(number, run)
    if why is not None:
        return make_verdict(Outcome.NOT_RUN, f"{describe_number(number)}: {why}", claim=number.metric)
    epoch = choose_epoch(number, run)
    if epoch is None:
        return make_verdict(Outcome.NOT_RUN, explain_no_epoch(number, run), claim=number.metric)
    if run.checkpoint_epochs and epoch not in run.checkpoint_epochs:
        epochs = list_some(map(str, run.checkpoint_epochs), at_most=4)
        reason = f"the checkpoint is of epoch {epochs}, the number {describe_number(number)} of epoch {epoch}"
        return make_verdict(Outcome.NOT_REPRODUCED, reason, claim=number.metric)
    curve = run.curves[number.metric]
    if epoch not in curve.whole:
        return make_verdict(Outcome.NOT_RUN, explain_no_point(number, curve, epoch=epoch), claim=number.metric)
    return compare(number, curve, epoch=epoch)


def explain_not_comparable(number: ReportedNumber, run: RecordedRun) -> str | None:
    """Return why a number can be compared with no point at all; None if it can."""
    if number.decimals < LEAST_DECIMALS:
        return f"printed with {count(number.decimals, 'decimal')}, which many numbers print as; print more"
    if not run.num_event_files:
        return "no event file, so that nothing of the run itself says it; ask for the run's tensorboard folder"
    if number.metric not in run.curves:
        return (
            f"no event file has eval_epoch/{number.metric}, the metric over the test items; eval/{number.metric} is "
            "of one batch of training and counts for nothing"
        )
    return None


def choose_epoch(number: ReportedNumber, run: RecordedRun) -> int | None:
    """Return the epoch that a number is of: the reported one, else that of the only checkpoint."""
    if number.epoch is not None:
        return number.epoch
    return run.checkpoint_epochs[0] if len(set(run.checkpoint_epochs)) == 1 else None


def explain_no_epoch(number: ReportedNumber, run: RecordedRun) -> str:
    """Return that nobody says which epoch a number is of, and where it could be from."""
    whole = run.curves[number.metric].whole
    same = [epoch for epoch in sorted(whole) if is_within(number, run.curves[number.metric].find(epoch).value)]
    where = f"it would fit epoch {list_some(map(str, same), at_most=4)}" if same else "it would fit none"
    return (
        f"{describe_number(number)}: of which epoch is not said, neither beside it nor by a checkpoint's name (_epN); "
        f"{where} of {len(whole)}"
    )


def explain_no_point(number: ReportedNumber, curve: EvaluationCurve, *, epoch: int) -> str:
    """Return why there is no point of an epoch to compare a number with."""
    if epoch in curve.partial:
        return f"{describe_number(number)}: at epoch {epoch} a part of the users was evaluated, not all"
    last = max(curve.whole, default=None)
    end = "" if last is None else f"; the last epoch that was evaluated whole is {last}"
    return f"{describe_number(number)}: no event file has epoch {epoch}{end}"


def is_within(number: ReportedNumber, value: float) -> bool:
    """Whether a value prints as the number, by half a unit of its last place."""
    return abs(value - number.value) <= number.tolerance


def compare(number: ReportedNumber, curve: EvaluationCurve, *, epoch: int) -> Verdict:
    """Return the verdict on a number whose point is there."""
    point = curve.find(epoch)
    if is_within(number, point.value):
        outcome, said = Outcome.REPRODUCED_NUMERIC, f"{describe_number(number)} is what the run wrote down"
    else:
        outcome = Outcome.NOT_REPRODUCED
        said = f"{describe_number(number)} was reported, and the run itself wrote down another number"
    file = printable(point.file)
    reason = f"{said}: {point.value:.6f} at epoch {epoch}, {describe_place(curve, epoch=epoch)}"
    values = {f"{one.value:.6f}" for one in curve.whole[epoch]}
    if len(values) > 1:
        several = f"{len(curve.whole[epoch])} points of that epoch differ ({', '.join(sorted(values))})"
        reason += f"; {several}, the one that was written last counts"
    evidence: dict[str, str | float] = {
        "metric": number.metric,
        "reported": number.text,
        "recorded": point.value,
        "difference": point.value - number.value,
        "tolerance": number.tolerance,
        "epoch": epoch,
        "epochs": len(curve.whole),
        "file": file,
    }
    return make_verdict(outcome, reason, claim=number.metric, **evidence)


def describe_place(curve: EvaluationCurve, *, epoch: int) -> str:
    """Return the place of an epoch in its curve: the largest of many was chosen by the test items."""
    values = {one: curve.find(one).value for one in curve.whole}
    if len(values) == 1:
        return "the only epoch that was evaluated whole"
    larger = sum(value > values[epoch] for value in values.values())
    is_last = epoch == max(values)
    last = "the last epoch" if is_last else f"not the last epoch, which is {max(values)}"
    if not larger:
        choice = "" if is_last else ", so chosen by the test items"
        return f"{last}, and the largest of {len(values)}{choice}"
    best = max(values, key=lambda one: values[one])
    verb = "is" if larger == 1 else "are"
    return f"{last}; {larger} of {len(values)} {verb} larger, up to {values[best]:.6f} at epoch {best}"


def describe_number(number: ReportedNumber) -> str:
    """Return a number as it was printed, and where."""
    return f"{printable(number.text)} ({printable(number.place)})"


def make_verdict(outcome: Outcome, reason: str, *, claim: str | None, **evidence: str | float | bool | None) -> Verdict:
    """Return a verdict on this rung; where nothing could be compared, the exit code does not depend on it."""
    return Verdict(
        rung=Rung.RECORDED,
        outcome=outcome,
        claim=claim,
        reason=reason,
        evidence=list_facts(**evidence),
        is_required=outcome is not Outcome.NOT_RUN,
    )
