"""Run a bundle again and judge, rung by rung, whether its claims hold."""

from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.errors import UsageError
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.records.results import Reproduction
from hstu_preserve.verdict.rungs import choose_exit_code, judge_bytes, judge_signer
from hstu_preserve.workflows.bundles import open_bundle
from hstu_preserve.workflows.machine import describe_environment
from hstu_preserve.workflows.progress import Listener, ignore
from hstu_preserve.workflows.runners.native import NativeRunner
from hstu_preserve.workflows.targets import require_local
from hstu_preserve.workflows.verify import verify

RUNGS = {"evaluation": NativeRunner.judge_evaluation, "training": NativeRunner.judge_training}
DEFAULT_RUNGS = ("evaluation",)
RECORD_NAME = "reproduction.json"


def reproduce(
    target: str | Path,
    *,
    rungs: Sequence[str] = DEFAULT_RUNGS,
    data: Path | None = None,
    device: str = "auto",
    public_key: Path | None = None,
    output: Path | None = None,
    listener: Listener = ignore,
) -> Reproduction:
    """Verify a bundle's bytes, re-run what was asked for, and compare with what it recorded and claims.

    Args:
        target: A bundle, run directory or `sample`.
        rungs: `evaluation` re-ranks every user with the bundle's checkpoint; `training` trains the recipe anew.
        data: The store; None takes the bundle's own or searches the folder that HSTU_PRESERVE_DATA names.
        device: `auto`, `cpu` or `cuda`.
        public_key: The key that must have signed the bundle; None checks no signature.
        output: A new directory for the verdicts, the ranks and the retrained run; None keeps nothing.
        listener: Hears of progress.

    Returns:
        One verdict per rung and claim; `exit_code` is what the command line exits with.

    Raises:
        UsageError: An unknown rung, or the output is in use.
        ContentError: Data or checkpoint is not what the bundle says.
        UnavailableError: No torch, device or data, or the bundle of a catalog id is not on this machine.
    """
    unknown = [rung for rung in rungs if rung not in RUNGS]
    if unknown:
        raise UsageError(f"--rung {unknown[0]}: unknown; choose from {', '.join(RUNGS)}")
    if output is not None and output.exists():
        raise UsageError(f"{output}: exists; name a new directory with --output")
    verification = verify(target, public_key=public_key)
    path, identity, signer = require_local(str(target)).path, verification.identity, verification.signer
    assert signer is not None
    verdicts = [
        judge_bytes(
            verification.findings,
            num_members=verification.members_checked,
            identity=identity,
            vouched=signer.reason if signer.ok else "integrity only",
        )
    ]
    if public_key is not None or not signer.ok:
        verdicts.append(judge_signer(signer))
    evaluation = environment = None
    if verification.ok:
        with open_bundle(path, identity=identity) as bundle:
            runner = NativeRunner(bundle, data=data, device=device, output=output, listener=listener)
            for name, judge in RUNGS.items():
                if name in rungs:
                    verdicts += judge(runner)
            evaluation, environment = runner.evaluation, describe_environment(runner.numerics)
    reproduction = Reproduction(
        target=str(target),
        path=path,
        identity=identity,
        title=verification.manifest.run.bundle.title if verification.manifest else str(target),
        verdicts=tuple(verdicts),
        evaluation=evaluation,
        environment=environment,
        exit_code=choose_exit_code(verdicts),
    )
    if output is not None:
        write_atomically(output / RECORD_NAME, reproduction.to_json())
    return reproduction
