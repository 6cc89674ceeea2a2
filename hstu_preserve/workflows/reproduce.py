"""Run a bundle again and judge, rung by rung, whether its claims hold."""

from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.bundle.layout import printable
from hstu_preserve.bundle.legacy import is_legacy
from hstu_preserve.errors import UsageError, VerificationError
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.records.legacy import ShownChain
from hstu_preserve.records.manifest import AnyManifest, MigratedManifest
from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.verdict import Rung, Verdict
from hstu_preserve.records.verification import Verification
from hstu_preserve.training.distributed import require_alone
from hstu_preserve.verdict.rungs import choose_exit_code, judge_bytes, judge_legacy_bytes, judge_signer, not_run
from hstu_preserve.workflows.bundles import open_bundle
from hstu_preserve.workflows.legacy import show_legacy, verify_legacy
from hstu_preserve.workflows.machine import describe_environment
from hstu_preserve.workflows.obtaining import obtain_local, obtain_signature
from hstu_preserve.workflows.progress import Announcer, Listener, ignore, say_nothing
from hstu_preserve.workflows.runners.native import NativeRunner
from hstu_preserve.workflows.verify import verify

RUNGS = {
    "evaluation": NativeRunner.judge_evaluation,
    "resume": NativeRunner.judge_resume,
    "training": NativeRunner.judge_training,
}
DEFAULT_RUNGS = ("evaluation",)
RECORD_NAME = "reproduction.json"
NOT_RUN_RUNGS = {
    "evaluation": Rung.EVALUATION_NUMERIC,
    "resume": Rung.RESUME_BITWISE,
    "training": Rung.TRAINING_STATISTICAL,
}


def reproduce(
    target: str | Path,
    *,
    rungs: Sequence[str] = DEFAULT_RUNGS,
    data: Path | None = None,
    device: str = "auto",
    public_key: Path | None = None,
    output: Path | None = None,
    max_steps: int | None = None,
    listener: Listener = ignore,
    announce: Announcer = say_nothing,
) -> Reproduction:
    """Verify a bundle's bytes, re-run what was asked for, and compare with what it recorded and claims.

    Args:
        target: A bundle, run directory, `sample`, a catalog id or an `hf://` address; what is not here is fetched.
        rungs: `evaluation` re-ranks every user with the bundle's checkpoint; `resume` continues the run from its last
            checkpoint but one; `training` trains the recipe anew.
        data: The store; None takes the bundle's own or searches the folder that HSTU_PRESERVE_DATA names.
        device: `auto`, `cpu` or `cuda`.
        public_key: The key that must have signed the bundle; None checks no signature.
        output: A new directory for the verdicts, the ranks and the retrained run; None keeps nothing.
        max_steps: How many steps `resume` takes at most; None goes to the run's end.
        listener: Hears of progress.
        announce: Is told what will be fetched, and how much, before it is.

    Returns:
        One verdict per rung and claim; `exit_code` is what the command line exits with.

    Raises:
        UsageError: An unknown rung, or the output is in use.
        VerificationError: A key was given for a legacy archive.
        ContentError: Data or checkpoint is not what the bundle says.
        UnavailableError: No torch, device or data, or the bundle cannot be fetched.
    """
    require_alone("reproduce")
    unknown = [rung for rung in rungs if rung not in RUNGS]
    if unknown:
        raise UsageError(f"--rung {unknown[0]}: unknown; choose from {', '.join(RUNGS)}")
    if output is not None and output.exists():
        raise UsageError(f"{output}: exists; name a new directory with --output")
    local = obtain_local(str(target), announce=announce, listener=listener).path
    obtain_signature(str(target), public_key=public_key, announce=announce)
    if local.is_file() and is_legacy(local):
        if public_key is not None:
            raise VerificationError(f"{target}: a legacy archive, not a native bundle: nobody signed it")
        return judge_legacy(str(target), local, rungs=rungs, output=output)
    verification = verify(local, public_key=public_key)
    path, identity, signer = local, verification.identity, verification.signer
    assert signer is not None
    verdicts = [
        judge_bytes(
            verification.findings,
            num_members=verification.members_checked,
            identity=identity,
            vouched=describe_vouching(verification),
        )
    ]
    if public_key is not None or not signer.ok:
        verdicts.append(judge_signer(signer))
    evaluation = environment = None
    if verification.ok and isinstance(verification.manifest, MigratedManifest):
        verdicts += explain_not_run(verification.manifest.chains, rungs=rungs)
    elif verification.ok:
        with open_bundle(path, identity=identity) as bundle:
            runner = NativeRunner(
                bundle, data=data, device=device, output=output, max_steps=max_steps, listener=listener
            )
            for name, judge in RUNGS.items():
                if name in rungs:
                    verdicts += judge(runner)
            evaluation, environment = runner.evaluation, describe_environment(runner.numerics)
    reproduction = Reproduction(
        target=str(target),
        path=path,
        identity=identity,
        title=choose_title(verification.manifest, target=str(target)),
        verdicts=tuple(verdicts),
        evaluation=evaluation,
        environment=environment,
        exit_code=choose_exit_code(verdicts),
    )
    return keep_record(reproduction, output)


def judge_legacy(target: str, path: Path, *, rungs: Sequence[str], output: Path | None) -> Reproduction:
    """Return the verdicts on a legacy archive, which cannot be re-run: its recipe's code was never published."""
    verification = verify_legacy(path)
    verdicts = [judge_legacy_bytes(verification)]
    if not verification.findings:
        verdicts += explain_not_run(show_legacy(path, target=target).chains, rungs=rungs)
    reproduction = Reproduction(
        target=target,
        path=path,
        identity=None,
        title=f"legacy archive {path.name}",
        verdicts=tuple(verdicts),
        evaluation=None,
        environment=None,
        exit_code=choose_exit_code(verdicts),
    )
    return keep_record(reproduction, output)


def explain_not_run(chains: Sequence[ShownChain], *, rungs: Sequence[str]) -> list[Verdict]:
    """Return why an archive cannot be re-run: gin names that no code here knows, else what it lacks."""
    names = sorted({printable(binding.name) for chain in chains for binding in chain.unknown})
    lack = "it names no data fingerprint and no margin that was fixed before the run"
    reason = f"no published code reads {', '.join(names)}" if names else lack
    sentence = f"a legacy archive cannot be re-run here: {reason}"
    return [not_run(NOT_RUN_RUNGS[name], sentence) for name in RUNGS if name in rungs]


def describe_vouching(verification: Verification) -> str:
    """Return who vouches for the bytes; of a migrated bundle, also who vouched for the archive before."""
    signer, manifest = verification.signer, verification.manifest
    own = signer.reason if signer is not None and signer.ok else "integrity only"
    return f"{own}; {manifest.source.vouched}" if isinstance(manifest, MigratedManifest) else own


def choose_title(manifest: AnyManifest | None, *, target: str) -> str:
    """Return what the reproduction is of."""
    if isinstance(manifest, MigratedManifest):
        return f"migrated legacy archive {manifest.source.name}"
    return manifest.run.bundle.title if manifest else target


def keep_record(reproduction: Reproduction, output: Path | None) -> Reproduction:
    """Write the verdicts where the caller keeps them, and return them."""
    if output is not None:
        write_atomically(output / RECORD_NAME, reproduction.to_json())
    return reproduction
