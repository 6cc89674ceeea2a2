"""Judge the evaluation of somebody else's weights: they are held against what their own run wrote down.

A foreign archive names no data that could be compared, so that each store is tried. That some weights give every
recorded value on a store shows that it is the data; that they do not shows nothing, unless somebody vouches for the
store, no name is read by our reconstruction alone, and the arithmetic is of the same kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hstu_preserve.primitives.wording import count, list_some, printable
from hstu_preserve.records.verdict import Outcome, Rung, Verdict, list_facts
from hstu_preserve.verdict.recorded import ReportedNumber
from hstu_preserve.verdict.slack import SLACK

TOLERANCE = 1e-6
"""Of a mean over users in single precision, on another machine; prototypes differed by 1.5e-7 at most."""
NUM_NAMES = 6


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the weights give on one store.

    Attributes:
        store: The store in words.
        fingerprint: Of the store.
        metrics: By upstream's names; None for a mean over nobody.
        num_users: Over whom they are means.
        tf32_spread: By metric, how far arithmetic in TF32 can move it on this store; None if it was not asked.
    """

    store: str
    fingerprint: str
    metrics: Mapping[str, float | None]
    num_users: int
    tf32_spread: Mapping[str, float] | None = None

    def differ(self, expected: Mapping[str, float]) -> dict[str, float]:
        """Return by metric how far the recorded values are from these; infinitely for one that is not here."""
        return {name: self.distance(name, value) for name, value in expected.items()}

    def distance(self, metric: str, value: float) -> float:
        """Return how far a value is from this metric."""
        own = self.metrics.get(metric)
        return float("inf") if own is None else abs(own - value)


@dataclass(frozen=True, kw_only=True)
class ForeignEvidence:
    """What an archive says of the weights that were evaluated.

    Attributes:
        epoch: Of the checkpoint.
        recorded: The values of its event file at that epoch, of evaluations of every user.
        reported: The printed numbers of that epoch, or of none.
        unknown_names: Gin names that no code here reads.
        reconstructed_names: Gin names that only our reconstruction of an unpublished component reads.
        other_arithmetic: How the archive's arithmetic differs from that of the evaluation here; None if it does not.
        num_processes: That evaluated; upstream leaves out the users that do not fill a batch of all of them.
        pinned_by: By fingerprint of a store, who says that it is the data.
        runner: Whose code evaluated.
    """

    epoch: int
    recorded: Mapping[str, float]
    reported: Sequence[ReportedNumber]
    unknown_names: Sequence[str] = ()
    reconstructed_names: Sequence[str] = ()
    other_arithmetic: str | None = None
    num_processes: int = 1
    pinned_by: Mapping[str, str] | None = None
    runner: str = "this program's code"

    def find_tolerance(self, found: Found) -> float:
        """Return how far a mean may be: users that several processes left out move it by their share at most."""
        left_out = found.num_users % self.num_processes
        return TOLERANCE + (left_out / found.num_users if found.num_users else 0.0)

    def agrees(self, found: Found) -> bool:
        """Whether every recorded value came out again; never if there is none."""
        tolerance = self.find_tolerance(found)
        return bool(self.recorded) and all(one <= tolerance + SLACK for one in found.differ(self.recorded).values())

    def agrees_in_tf32(self, found: Found) -> bool:
        """Whether every recorded value is within what TF32 moves it by."""
        spread = found.tf32_spread
        if not self.recorded or spread is None:
            return False
        return all(one <= spread.get(name, 0.0) + SLACK for name, one in found.differ(self.recorded).items())

    def agrees_in_digits(self, found: Found) -> bool:
        """Whether every printed number came out again, to its last place; never if there is none."""
        tolerance = self.find_tolerance(found) - TOLERANCE
        return bool(self.reported) and all(
            found.distance(number.metric, number.value) <= number.tolerance + tolerance for number in self.reported
        )


def judge_foreign(evidence: ForeignEvidence, found: Sequence[Found]) -> Verdict:
    """Return the verdict on the evaluation of foreign weights on one or more stores."""
    exact = [one for one in found if evidence.agrees(one)]
    if exact:
        return make_verdict(Outcome.REPRODUCED_NUMERIC, describe_agreement(evidence, exact[0]), evidence, exact[0])
    nearest = min(found, key=lambda one: measure(evidence, one))
    within_tf32 = [one for one in found if evidence.agrees_in_tf32(one)]
    if len(within_tf32) == 1 and not evidence.reconstructed_names:
        reason = describe_tf32(evidence, within_tf32[0])
        return make_verdict(Outcome.REPRODUCED_NUMERIC, reason, evidence, within_tf32[0])
    in_digits = [one for one in found if evidence.agrees_in_digits(one)]
    if not evidence.recorded and len(in_digits) == 1 and not evidence.reconstructed_names:
        reason = describe_digits(evidence, in_digits[0], num_tried=len(found))
        return make_verdict(Outcome.REPRODUCED_NUMERIC, reason, evidence, in_digits[0])
    if in_digits:
        return make_verdict(Outcome.INCONCLUSIVE, describe_ambiguity(evidence, in_digits), evidence, in_digits[0])
    return judge_disagreement(evidence, found, nearest=nearest)


def measure(evidence: ForeignEvidence, found: Found) -> float:
    """Return how far a store's values are from what the archive says of the metric that matters most."""
    if evidence.recorded:
        return max(found.differ(evidence.recorded).values())
    return max((found.distance(one.metric, one.value) for one in evidence.reported), default=0.0)


def describe_agreement(evidence: ForeignEvidence, found: Found) -> str:
    """Return that every recorded value came out, and what that shows."""
    differences = found.differ(evidence.recorded)
    said = (
        f"{describe_value(found)}: all {len(differences)} values that the run wrote down at epoch {evidence.epoch}, "
        f"within {max(differences.values()):.1e}, on {found.store}; the archive names no data: that its weights give "
        "them all on this store shows that it is the data"
    )
    parts = [said]
    left_out = found.num_users % evidence.num_processes
    if left_out:
        parts.append(
            f"its {evidence.num_processes} processes left out {left_out} of {found.num_users} users, which moves a "
            f"mean by {left_out / found.num_users:.1e} at most"
        )
    return "; ".join([*parts, *describe_names(evidence, agrees=True)])


def describe_tf32(evidence: ForeignEvidence, found: Found) -> str:
    """Return that every recorded value is within what TF32 moves it by."""
    assert found.tf32_spread is not None
    largest = max(found.differ(evidence.recorded).values())
    widest = max(found.tf32_spread.get(name, 0.0) for name in evidence.recorded)
    digits = "yes" if evidence.agrees_in_digits(found) else "no"
    said = (
        f"{describe_value(found)}: all {len(evidence.recorded)} values that the run wrote down at epoch "
        f"{evidence.epoch} are within the spread of TF32, in which they were made (largest difference {largest:.1e}, "
        f"widest spread {widest:.1e}), on {found.store}; to the printed digits: {digits}"
    )
    return "; ".join([said, *describe_names(evidence, agrees=True)])


def describe_digits(evidence: ForeignEvidence, found: Found, *, num_tried: int) -> str:
    """Return that the printed numbers came out on one store alone, and how easily chance would do that."""
    places = min(number.decimals for number in evidence.reported)
    said = (
        f"{describe_value(found)} to the printed digits ({list_printed(evidence)}), on {found.store}; no event file "
        f"has more of them; {count(num_tried, 'store')} tried, of which any would meet one number by chance with about "
        f"{num_tried * 10.0**-places:.0e} over its range"
    )
    return "; ".join([said, *describe_names(evidence, agrees=True)])


def describe_ambiguity(evidence: ForeignEvidence, found: Sequence[Found]) -> str:
    """Return which stores meet the printed digits, and why that decides nothing."""
    stores = list_some((one.store for one in found), at_most=4)
    parts = [f"{list_printed(evidence)} came out to the printed digits on {stores}"]
    if evidence.recorded:
        nearest = min(measure(evidence, one) for one in found)
        parts.append(
            f"but not the {len(evidence.recorded)} values that the run wrote down at epoch {evidence.epoch}, of which "
            f"the furthest is {nearest:.1e} away at best"
        )
    elif len(found) > 1:
        parts.append("several stores meet them, so that none is shown to be the data")
    if evidence.other_arithmetic is not None:
        parts.append(evidence.other_arithmetic)
    return "; ".join([*parts, *describe_names(evidence, agrees=False)])


def judge_disagreement(evidence: ForeignEvidence, found: Sequence[Found], *, nearest: Found) -> Verdict:
    """Return the verdict where no store gives what the archive says."""
    pinned = [one for one in found if one.fingerprint in (evidence.pinned_by or {})]
    has_guesses = bool(evidence.unknown_names or evidence.reconstructed_names)
    if pinned and not has_guesses and evidence.other_arithmetic is None:
        assert evidence.pinned_by is not None
        who = evidence.pinned_by[pinned[0].fingerprint]
        reason = f"{describe_distance(evidence, pinned[0])}; {who} says that this is the data"
        return make_verdict(Outcome.NOT_REPRODUCED, reason, evidence, pinned[0])
    parts = [describe_distance(evidence, one) for one in sorted(found, key=lambda one: measure(evidence, one))]
    said = list_some(parts, at_most=4, separator="; ")
    reasons = ["the archive names no data, so that another store may give them"] if not pinned else []
    if evidence.other_arithmetic is not None:
        reasons.append(evidence.other_arithmetic)
    reason = "; ".join([said, *reasons, *describe_names(evidence, agrees=False)])
    return make_verdict(Outcome.INCONCLUSIVE, reason, evidence, nearest)


def describe_distance(evidence: ForeignEvidence, found: Found) -> str:
    """Return what a store gives, and how far that is from what the archive says."""
    if not evidence.recorded:
        return f"{describe_value(found)} on {found.store}, reported {list_printed(evidence)}"
    differences = found.differ(evidence.recorded)
    tolerance = evidence.find_tolerance(found)
    same = sum(one <= tolerance + SLACK for one in differences.values())
    furthest = max(differences, key=lambda name: differences[name])
    return (
        f"{describe_value(found)} on {found.store}: {same} of {len(differences)} recorded values, {furthest} is "
        f"{differences[furthest]:.1e} away"
    )


def describe_value(found: Found) -> str:
    """Return the metric that everybody reads first."""
    value = found.metrics.get("ndcg@10")
    return "ndcg@10 over nobody" if value is None else f"ndcg@10 {value:.6f}"


def list_printed(evidence: ForeignEvidence) -> str:
    """Return the printed numbers."""
    return list_some((f"{one.metric} {printable(one.text)}" for one in evidence.reported), at_most=4)


def describe_names(evidence: ForeignEvidence, *, agrees: bool) -> list[str]:
    """Return what is said of gin names that may stand for something else than what was evaluated."""
    said = []
    if evidence.unknown_names:
        names = list_some(map(printable, evidence.unknown_names), at_most=NUM_NAMES)
        effect = "not known here, without effect on this evaluation" if agrees else "not known here, may act in it"
        said.append(f"{effect}: {names}")
    if evidence.reconstructed_names:
        names = list_some(map(printable, evidence.reconstructed_names), at_most=NUM_NAMES)
        said.append(f"our reading of names whose code was never published: {names}")
    return said


def make_verdict(outcome: Outcome, reason: str, evidence: ForeignEvidence, found: Found) -> Verdict:
    """Return the verdict with the figures behind it: each recorded and each printed value beside the one found."""
    figures: dict[str, str | float | int | None] = {
        "runner": evidence.runner,
        "store": found.store,
        "data_fingerprint": found.fingerprint,
        "epoch": evidence.epoch,
        "users": found.num_users,
        "recorded_values": len(evidence.recorded),
    }
    for name, value in evidence.recorded.items():
        figures[f"recorded {name}"] = value
        figures[f"found {name}"] = found.metrics.get(name)
    for number in evidence.reported:
        figures[f"reported {number.metric}"] = number.text
        figures[f"found {number.metric}"] = found.metrics.get(number.metric)
    return Verdict(
        rung=Rung.EVALUATION_NUMERIC,
        outcome=outcome,
        claim=evidence.reported[0].metric if evidence.reported else None,
        reason=reason,
        evidence=list_facts(**figures),
        is_required=True,
    )
