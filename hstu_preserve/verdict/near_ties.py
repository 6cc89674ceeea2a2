"""Judge a re-evaluation user by user: rounding moves a rank past near-ties, and only other weights move it further."""

from hstu_preserve.records.claim import Claim
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.verdict import Fact, Outcome, Rung, Verdict, list_facts
from hstu_preserve.verdict.number_formats import FormatPair
from hstu_preserve.verdict.rank_moves import Effect, RankMoves

USERS_PER_EXCEPTION = 200
"""One user in 200, and one at least, may move further: tolerances were measured on a few models."""
CLEAR_SHARE = 0.02
"""Of the users: if so many moved further, other formats are no excuse. bfloat16 for float32 moved 0.2 % of them further
than candidates within 1e-3, an eighth of its tolerance; noise that the formats can see at all moved 4 to 7 %."""
DEVIATIONS = 4.0
"""Standard errors that a metric may be from the recorded one, all ranks within near-ties: once in 16,000 times."""
BUG = "the two evaluators disagree on a user without a tie: a bug of this program, please report it"


def judge_evaluation_numeric(
    claim: Claim, found: EvaluationRecord, *, moves: RankMoves, formats: FormatPair, evaluators_agree: bool
) -> Verdict:
    """Judge whether the ranks are those of the recorded weights, as far as the arithmetic lets one see.

    The claim's margin is not used: it is meant for other runs, and weights with noise stay within it.

    Args:
        claim: Its metric is printed.
        found: The evaluation that was run again.
        moves: Of its ranks, from the recorded ones.
        formats: Decide which candidates are near-ties.
        evaluators_agree: Whether both evaluators gave the same ranks.
    """
    value = found.value_of(claim.policy.metric)
    if not evaluators_agree:
        outcome, reason = Outcome.NOT_REPRODUCED, BUG
    elif not moves.same_users:
        outcome = Outcome.NOT_REPRODUCED
        reason = f"other users or targets were ranked than are recorded ({describe_values(claim, value)})"
    else:
        outcome, reason = judge_moves(claim, value, moves=moves, formats=formats)
    return Verdict(
        rung=Rung.EVALUATION_NUMERIC,
        outcome=outcome,
        claim=claim.policy.name,
        reason=reason,
        evidence=list_evidence(claim, value, moves=moves, formats=formats, evaluators_agree=evaluators_agree),
        is_required=True,
    )


def judge_moves(claim: Claim, value: float, *, moves: RankMoves, formats: FormatPair) -> tuple[Outcome, str]:
    """Return outcome and reason for the ranks of the recorded users."""
    limit, users = count_exceptions(moves.num_users), f"{moves.num_beyond} of {moves.num_users} users"
    allowed = f"{formats.tolerance:.0e}"
    effect = moves.effects[claim.policy.metric]
    if moves.num_beyond > limit and formats.is_crossed and moves.num_beyond <= CLEAR_SHARE * moves.num_users:
        return Outcome.INCONCLUSIVE, (
            f"recorded with {formats.recorded.value}, ranked here in {formats.present.value}: {users} moved further "
            f"than {allowed} allows, limit {limit}; {formats.limits}"
        )
    if moves.num_beyond > limit:
        return Outcome.NOT_REPRODUCED, (
            f"{users} moved further than their near-ties ({allowed}) allow, limit {limit}: other weights than those "
            f"behind the recorded ranks ({describe_values(claim, value)})"
        )
    if not is_by_chance(effect):
        return Outcome.INCONCLUSIVE, (
            f"{describe_values(claim, value)}; {describe_moves(moves, formats)}, yet all moves together are further "
            f"than {DEVIATIONS:g} standard errors of chance: the scores are too much alike to say whose ranks these are"
        )
    sentence = f"{describe_values(claim, value)}; {describe_moves(moves, formats)}"
    return Outcome.REPRODUCED_NUMERIC, f"{sentence}; {formats.limits}" if formats.limits else sentence


def count_exceptions(num_users: int) -> int:
    """Return how many users may move further than their near-ties allow."""
    return max(1, num_users // USERS_PER_EXCEPTION)


def is_by_chance(effect: Effect) -> bool:
    """Whether a metric moved no further than chance explains; a model that scores all alike has only near-ties."""
    return abs(effect.difference) <= DEVIATIONS * effect.error_by_chance


def describe_values(claim: Claim, value: float) -> str:
    """Return the metric as it came out beside the claimed number."""
    found, claimed = f"{value:.4f}", f"{claim.value:.4f}"
    return f"{claim.policy.metric} {found}" + (" as claimed" if found == claimed else f", claimed {claimed}")


def describe_moves(moves: RankMoves, formats: FormatPair) -> str:
    """Return how many users moved, and how many of them further than their near-ties."""
    if not moves.num_moved:
        return f"none of {moves.num_users} users moved"
    near = f"near-ties ({formats.tolerance:.0e}, {formats.coarser.value})"
    moved = f"{moves.num_moved} of {moves.num_users} users moved"
    if not moves.num_beyond:
        return f"{moved}, none further than its {near}"
    return f"{moved}, {moves.num_beyond} further than its {near}, limit {count_exceptions(moves.num_users)}"


def list_evidence(
    claim: Claim, value: float, *, moves: RankMoves, formats: FormatPair, evaluators_agree: bool
) -> tuple[Fact, ...]:
    """Return the figures of the comparison, the values also as hexadecimal floats."""
    effect = moves.effects.get(claim.policy.metric)
    return list_facts(
        metric=claim.policy.metric,
        found=value,
        found_hex=value.hex(),
        claimed=claim.value,
        claimed_hex=claim.value.hex(),
        difference=value - claim.value,
        standard_error=effect.standard_error if effect else None,
        users=moves.num_users,
        users_moved=moves.num_moved,
        users_moved_beyond_near_ties=moves.num_beyond,
        users_that_may=count_exceptions(moves.num_users),
        largest_move=moves.largest_move,
        tolerance=formats.tolerance,
        recorded_format=formats.recorded.value,
        present_format=formats.present.value,
        evaluators_agree=evaluators_agree,
    )
