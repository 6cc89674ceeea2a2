"""Judge the rungs that need no re-run: bytes, signer, consistency; and say why a rung was not run."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hstu_preserve.primitives.wording import count, list_some, printable
from hstu_preserve.records.verdict import Fact, Outcome, Rung, Verdict
from hstu_preserve.records.verification import DeepCheck, Verification
from hstu_preserve.verdict.rungs import judge_bytes, judge_signer, not_run

RERUN_RUNGS: Mapping[str, Rung] = MappingProxyType(
    {
        "evaluation": Rung.EVALUATION_NUMERIC,
        "resume": Rung.RESUME_BITWISE,
        "training": Rung.TRAINING_NUMERIC,
    }
)
"""What can be re-run, by the name that the user gives it; and the rung that is NOT_RUN if it cannot be."""


def judge_integrity(verification: Verification, *, asks_for_signer: bool) -> list[Verdict]:
    """Return the verdicts on a bundle's bytes and, if a key was named or the signature is wrong, on its signer."""
    signer = verification.signer
    assert signer is not None
    is_signer_judged = asks_for_signer or not signer.ok
    vouched = describe_vouching(verification, is_signer_judged=is_signer_judged)
    verdicts = [
        judge_bytes(
            verification.findings,
            num_members=verification.members_checked,
            identity=verification.identity,
            vouched=vouched,
        )
    ]
    if is_signer_judged:
        verdicts.append(judge_signer(signer))
    return verdicts


def describe_vouching(verification: Verification, *, is_signer_judged: bool) -> str:
    """Return who vouches for the bytes; of a migrated bundle, also who vouched for the archive before."""
    signer, manifest = verification.signer, verification.manifest
    own = "who signed them is judged by itself" if is_signer_judged or signer is None else signer.reason
    return f"{own}; {manifest.vouched}" if manifest is not None and manifest.vouched is not None else own


MAX_CONTRADICTIONS = 3
"""Failed checks that the verdict's sentence repeats in full."""


def judge_consistency(checks: Sequence[DeepCheck], *, subject: str | None) -> Verdict:
    """Judge whether the parts of a bundle agree with each other; a failed check is named with what it found.

    Args:
        checks: All that were made.
        subject: The data in words, which every later verdict is about; None of an archive that records none.
    """
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.passed]
    data = f"; data {printable(subject)}" if subject is not None else ""
    agreement = f"{count(len(checks), 'check')}: no part of the bundle contradicts another{data}"
    return Verdict(
        rung=Rung.CONSISTENCY,
        outcome=Outcome.NOT_REPRODUCED if failed else Outcome.REPRODUCED_BITWISE,
        claim=None,
        reason=list_some(failed, at_most=MAX_CONTRADICTIONS, separator="; ") if failed else agreement,
        evidence=tuple(Fact(name=check.name, value=check.passed) for check in checks),
        is_required=True,
    )


def explain_contradiction(*, rungs: Sequence[str]) -> list[Verdict]:
    """Return that nothing of a bundle that contradicts itself was run again: no number would mean anything."""
    sentence = "not run again: the bundle contradicts itself"
    return [not_run(rung, sentence) for name, rung in RERUN_RUNGS.items() if name in rungs]


def explain_no_training(target: str, *, rungs: Sequence[str]) -> list[Verdict]:
    """Return that nothing of an archive that others made is trained with this program's code, and what to type."""
    sentence = (
        "only the author's own code continues or repeats the author's training: "
        f"'hstu-preserve reproduce {target} --runner archived --code CODE.tar.gz --rung {{name}}'"
    )
    return [
        not_run(rung, sentence.format(name=name))
        for name, rung in RERUN_RUNGS.items()
        if name in rungs and name != "evaluation"
    ]
