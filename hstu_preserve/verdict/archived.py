"""Judge what the author's own code did when it went on from a checkpoint, or trained anew."""

from collections.abc import Mapping, Sequence

from hstu_preserve.records.verdict import Fact, Outcome, Rung, Verdict, list_facts

RUNNER = "the author's code"


def judge_archived_resume(
    found: Mapping[int, float], recorded: Mapping[int, float], *, checkpoint: str, evidence: Sequence[Fact]
) -> Verdict:
    """Judge whether the losses of a continued run are the recorded ones to the bit.

    Others decide nothing: the archive does not say on what, and with which versions, its run was made.

    Args:
        found: The continued run's loss by step.
        recorded: The archive's loss by step, of all steps.
        checkpoint: The one that the run went on from.
        evidence: What was run, and on what.
    """
    shared = sorted(found.keys() & recorded.keys())
    first = min(found, default=0)
    missing = [step for step in recorded if step >= first and step not in found] if found else []
    differing = [step for step in shared if found[step] != recorded[step]]
    num_equal = len(shared) - len(differing)
    figures = list_facts(runner=RUNNER, checkpoint=checkpoint, steps=len(found), compared=len(shared), equal=num_equal)
    if not shared:
        outcome, reason = Outcome.NOT_RUN, f"no step after {checkpoint} has a loss both in the run and in the archive"
    elif differing:
        step = differing[0]
        outcome = Outcome.INCONCLUSIVE
        reason = (
            f"{num_equal} of {len(shared)} losses after {checkpoint} are equal to the bit; that of step {step} is "
            f"the first that differs ({found[step]:.6g}, recorded {recorded[step]:.6g}): another machine, version or "
            "order of the users, which a store does not keep (hand on the author's own file with --stage)"
        )
    else:
        rest = f"; {len(missing)} recorded steps were not run again" if missing else ""
        outcome = Outcome.REPRODUCED_BITWISE
        reason = f"all {len(shared)} losses after {checkpoint} are the recorded ones to the bit{rest}"
    return Verdict(
        rung=Rung.RESUME_BITWISE,
        outcome=outcome,
        claim=None,
        reason=f"{reason}; {RUNNER}",
        evidence=(*figures, *evidence),
        is_required=True,
    )


def judge_archived_training(
    curve: Mapping[int, float],
    recorded: Mapping[int, float],
    *,
    metric: str,
    epoch: int,
    evidence: Sequence[Fact],
) -> Verdict:
    """Set one training by the author's code beside the recorded one: without a margin fixed before, it decides nothing.

    Args:
        curve: The metric by epoch in the new run.
        recorded: The metric by epoch in the archive.
        metric: Its name.
        epoch: The one that is reported.
        evidence: What was run, and on what.
    """
    if epoch not in curve:
        outcome, reason = Outcome.NOT_RUN, f"the new run has no {metric} over every user at epoch {epoch}"
    else:
        outcome = Outcome.INCONCLUSIVE
        beside = f", recorded {recorded[epoch]:.6f}" if epoch in recorded else ""
        reason = (
            f"{metric} {curve[epoch]:.6f} at epoch {epoch}{beside}; one training by {RUNNER}, with whatever "
            "seeds it sets, and no margin that was fixed before"
        )
    figures = [Fact(name="runner", value=RUNNER)]
    figures += [
        Fact(name=f"{metric} at epoch {one}", value=f"{value!r} (recorded {recorded.get(one)!r})")
        for one, value in sorted(curve.items())
    ]
    return Verdict(
        rung=Rung.TRAINING_STATISTICAL,
        outcome=outcome,
        claim=metric,
        reason=reason,
        evidence=(*figures, *evidence),
        is_required=True,
    )
