"""Judge each rung by its evidence, under the claim's policy, which was fixed before the run and is never loosened."""

from collections.abc import Sequence

from hstu_preserve.errors import ContentError, InconclusiveError, NotReproducedError, worst_exit_code
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.contents import Finding
from hstu_preserve.records.evaluation import EvaluationRecord, RankComparison
from hstu_preserve.records.legacy import LegacyOutcome
from hstu_preserve.records.legacy_verification import LegacyVerification
from hstu_preserve.records.signature import UNSIGNED, SignerCheck, SignerOutcome
from hstu_preserve.records.verdict import Fact, Outcome, Rung, Verdict, list_facts
from hstu_preserve.verdict.bits import judge_bits


def judge_bytes(
    findings: Sequence[Finding], *, num_members: int, identity: str | None, vouched: str = UNSIGNED
) -> Verdict:
    """Judge whether the bytes are the packed bytes; `vouched` says in words who vouches for them."""
    if findings:
        reason = list_some((finding.describe() for finding in findings), at_most=1)
        outcome = Outcome.NOT_REPRODUCED
    else:
        reason = f"all {num_members} members are the packed bytes; {vouched}"
        outcome = Outcome.REPRODUCED_BITWISE
    return Verdict(
        rung=Rung.BYTES,
        outcome=outcome,
        claim=None,
        reason=reason,
        evidence=list_facts(identity=identity, findings=len(findings)),
        is_required=True,
    )


LEGACY_OUTCOMES = {
    LegacyOutcome.MATCHES: Outcome.REPRODUCED_BITWISE,
    LegacyOutcome.REFUSED: Outcome.NOT_REPRODUCED,
    LegacyOutcome.UNVOUCHED: Outcome.INCONCLUSIVE,
}


def judge_legacy_bytes(verification: LegacyVerification) -> Verdict:
    """Judge whether a legacy archive is the listed one, as far as md5 lists can say."""
    if verification.findings:
        reason = verification.findings[0].describe()
    elif verification.listed is not None:
        reason = f"as the md5 list has it ({verification.listed.place}); md5 is no protection against intent"
    else:
        reason = "read whole; nothing outside the archive vouches for it"
    return Verdict(
        rung=Rung.BYTES,
        outcome=LEGACY_OUTCOMES[verification.outcome],
        claim=None,
        reason=reason,
        evidence=list_facts(files=len(verification.files), findings=len(verification.findings)),
        is_required=True,
    )


def judge_signer(check: SignerCheck) -> Verdict:
    """Judge whether the key that is trusted signed the manifest."""
    return Verdict(
        rung=Rung.SIGNER,
        outcome=Outcome.REPRODUCED_BITWISE if check.outcome is SignerOutcome.SIGNED else Outcome.NOT_REPRODUCED,
        claim=None,
        reason=check.reason,
        evidence=list_facts(keyids=" ".join(check.keyids), trusted_keyid=check.trusted_keyid),
        is_required=True,
    )


def judge_evaluation_bitwise(
    found: EvaluationRecord,
    recorded: EvaluationRecord,
    *,
    comparison: RankComparison,
    environment_differences: Sequence[str],
) -> Verdict:
    """Judge whether every user has the recorded rank, and every figure is recorded; other arithmetic is not asked."""
    evidence = list_facts(
        ranks_sha256=found.ranks_sha256,
        recorded_ranks_sha256=recorded.ranks_sha256,
        users=comparison.num_users,
        users_moved=comparison.num_moved,
        largest_move=comparison.largest_move,
    )
    differing = [name for name in type(found).model_fields if getattr(found, name) != getattr(recorded, name)]
    moved = f"{comparison.num_moved} of {comparison.num_users} users moved"
    if not comparison.num_moved and differing:  # the same ranks do not give all of the record: coverage, for example
        moved = f"{differing[0]} is {getattr(found, differing[0])}, recorded {getattr(recorded, differing[0])}"
    is_same = not differing and comparison.same_users and not comparison.num_moved
    return judge_bits(
        Rung.EVALUATION_BITWISE,
        same=f"the same rank for each of {comparison.num_users} users" if is_same else None,
        differing=moved if comparison.same_users else "other users or targets were ranked",
        environment_differences=environment_differences,
        evidence=evidence,
    )


def judge_evaluation_numeric(
    claim: Claim, found: EvaluationRecord, *, comparison: RankComparison, evaluators_agree: bool
) -> Verdict:
    """Judge whether the metric agrees with the claim within its margin, and both evaluators with each other."""
    value = found.value_of(claim.policy.metric)
    evidence = (
        *describe_difference(claim, value),
        *list_facts(
            users=comparison.num_users,
            users_moved=comparison.num_moved,
            users_moved_without_near_tie=comparison.num_moved_without_near_tie,
            largest_move=comparison.largest_move,
            evaluators_agree=evaluators_agree,
        ),
    )
    if not evaluators_agree:
        outcome = Outcome.NOT_REPRODUCED
        reason = "the two evaluators disagree on a user without a tie: a bug of this program, please report it"
    elif value == claim.value:
        outcome, reason = Outcome.REPRODUCED_NUMERIC, f"{claim.policy.metric} {value:.4f}: the very number claimed"
    else:
        outcome, reason = judge_margin(claim, value)
    return Verdict(
        rung=Rung.EVALUATION_NUMERIC,
        outcome=outcome,
        claim=claim.policy.name,
        reason=reason,
        evidence=evidence,
        is_required=True,
    )


def judge_margin(claim: Claim, value: float) -> tuple[Outcome, str]:
    """Return outcome and reason for one value against a claim's own margin."""
    metric, margin = claim.policy.metric, claim.policy.margin
    figures = f"{metric} {value:.4f}, claimed {claim.value:.4f}"
    if margin is None:
        return Outcome.INCONCLUSIVE, f"{figures}; the claim fixed no margin"
    difference = abs(value - claim.value)
    if difference <= margin:
        return Outcome.REPRODUCED_NUMERIC, f"{figures}: within the margin of {margin:g}"
    return Outcome.NOT_REPRODUCED, f"{figures}: {difference:.4f} apart, the margin is {margin:g}"


def judge_training_bitwise(
    *, state_sha256: str, recorded_sha256: str, environment_differences: Sequence[str]
) -> Verdict:
    """Judge whether training anew gave the recorded state, every tensor, moment and generator."""
    is_same = state_sha256 == recorded_sha256
    return judge_bits(
        Rung.TRAINING_BITWISE,
        same="the same weights, optimizer state and generators" if is_same else None,
        differing="the final state is another",
        environment_differences=environment_differences,
        evidence=list_facts(state_sha256=state_sha256, recorded_state_sha256=recorded_sha256),
    )


def judge_training(claim: Claim, value: float, *, environment_differences: Sequence[str]) -> Verdict:
    """Judge one retraining against the claim.

    One run says nothing of the spread: it can agree within a margin that was fixed before, and it can never refute a
    claim in another environment.
    """
    outcome, reason = judge_margin(claim, value)
    if outcome is Outcome.REPRODUCED_NUMERIC:
        reason += "; one retraining with the recorded seed, no statement on the spread over seeds"
    if outcome is Outcome.NOT_REPRODUCED and environment_differences:
        outcome = Outcome.INCONCLUSIVE
        reason += f"; one retraining in another environment ({'; '.join(environment_differences)}) refutes nothing"
    return Verdict(
        rung=Rung.TRAINING_STATISTICAL,
        outcome=outcome,
        claim=claim.policy.name,
        reason=reason,
        evidence=describe_difference(claim, value),
        is_required=True,
    )


def describe_difference(claim: Claim, value: float) -> tuple[Fact, ...]:
    """Return the figures of a comparison, the values also as hexadecimal floats."""
    return list_facts(
        metric=claim.policy.metric,
        found=value,
        found_hex=value.hex(),
        claimed=claim.value,
        claimed_hex=claim.value.hex(),
        difference=value - claim.value,
        margin=claim.policy.margin,
    )


def not_run(rung: Rung, reason: str) -> Verdict:
    """Return the verdict of a rung that was asked for and could not be run."""
    return Verdict(rung=rung, outcome=Outcome.NOT_RUN, claim=None, reason=reason, evidence=(), is_required=True)


PASSED = frozenset({Outcome.REPRODUCED_BITWISE, Outcome.REPRODUCED_NUMERIC, Outcome.REPRODUCED_STATISTICAL})


def list_failed(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts that were asked for and do not say that the claim holds."""
    return [verdict for verdict in verdicts if verdict.is_required and verdict.outcome not in PASSED]


def choose_exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return 3 for other bytes or signer or a contradiction, 5 for a claim that fails, 6 if one is open, else 0."""
    required = [verdict for verdict in verdicts if verdict.is_required]
    return worst_exit_code(map(find_exit_code, required)) if required else InconclusiveError.exit_code


def name_decider(verdicts: Sequence[Verdict]) -> Verdict | None:
    """Return the verdict that the exit code rests on: the first of the worst, the last if all hold; None of none."""
    required = [verdict for verdict in verdicts if verdict.is_required]
    code = choose_exit_code(verdicts)
    failed = [verdict for verdict in required if find_exit_code(verdict) == code and code != 0]
    return failed[0] if failed else next(reversed(required), None)


def find_exit_code(verdict: Verdict) -> int:
    """Return the exit code of one verdict that was required."""
    if verdict.outcome in PASSED:
        return 0
    if verdict.outcome is not Outcome.NOT_REPRODUCED:
        return InconclusiveError.exit_code
    is_other_content = verdict.rung in {Rung.BYTES, Rung.SIGNER, Rung.CONSISTENCY}
    return (ContentError if is_other_content else NotReproducedError).exit_code
