"""Judge each rung by its evidence, under the claim's policy, which was fixed before the run and is never loosened."""

from collections.abc import Sequence

from hstu_preserve.errors import ContentError, InconclusiveError, NotReproducedError, worst_exit_code
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.contents import Finding
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.legacy.outcomes import LegacyOutcome
from hstu_preserve.records.legacy.verification import LegacyVerification
from hstu_preserve.records.signature import UNSIGNED, SignerCheck, SignerOutcome
from hstu_preserve.records.verdict import Outcome, Rung, Verdict, list_facts
from hstu_preserve.verdict.bits import judge_bits
from hstu_preserve.verdict.rank_moves import RankComparison


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


def not_run(rung: Rung, reason: str) -> Verdict:
    """Return the verdict of a rung that was asked for and could not be run."""
    return Verdict(rung=rung, outcome=Outcome.NOT_RUN, claim=None, reason=reason, evidence=(), is_required=True)


MAX_NAMED = 5
"""Claims that are named where the exit code is said."""
PASSED = frozenset({Outcome.REPRODUCED_BITWISE, Outcome.REPRODUCED_NUMERIC, Outcome.REPRODUCED_STATISTICAL})


def list_failed(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts that were asked for and do not say that the claim holds."""
    return [verdict for verdict in verdicts if verdict.is_required and verdict.outcome not in PASSED]


def list_missed(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts whose re-run gave something else than is recorded."""
    missed = {Outcome.NOT_REPRODUCED, Outcome.INCONCLUSIVE}
    return [verdict for verdict in verdicts if verdict.is_required and verdict.outcome in missed]


def choose_exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return 3 for other bytes or signer or a contradiction, 5 for a claim that fails, 6 if one is open, else 0."""
    required = [verdict for verdict in verdicts if verdict.is_required]
    return worst_exit_code(map(find_exit_code, required)) if required else InconclusiveError.exit_code


def find_deciders(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the verdicts that the exit code rests on; none if none was required.

    They are of one rung, with one outcome: the first of the worst rung, or the last rung that was climbed if all hold.
    On a rung that judges several claims, all those that came out alike decide.
    """
    required = [verdict for verdict in verdicts if verdict.is_required]
    code = choose_exit_code(verdicts)
    worst = [verdict for verdict in required if find_exit_code(verdict) == code and code != 0]
    first = worst[0] if worst else next(reversed(required), None)
    return [one for one in required if first and (one.rung, one.outcome) == (first.rung, first.outcome)]


def name_deciders(deciders: Sequence[Verdict]) -> str | None:
    """Return the rung and the claims of the verdicts that decide: `training-statistical ndcg@10, hr@10`."""
    if not deciders:
        return None
    claims = list_some((one.claim for one in deciders if one.claim is not None), at_most=MAX_NAMED)
    return f"{deciders[0].rung.value} {claims}".strip()


def find_exit_code(verdict: Verdict) -> int:
    """Return the exit code of one verdict that was required."""
    if verdict.outcome in PASSED:
        return 0
    if verdict.outcome is not Outcome.NOT_REPRODUCED:
        return InconclusiveError.exit_code
    is_other_content = verdict.rung in {Rung.BYTES, Rung.SIGNER, Rung.CONSISTENCY}
    return (ContentError if is_other_content else NotReproducedError).exit_code
