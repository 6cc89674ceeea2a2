"""Run a bundle again and judge, rung by rung, whether its claims hold."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from hstu_preserve.bundle.layout import RUN_RECORD, printable
from hstu_preserve.bundle.legacy import is_legacy
from hstu_preserve.errors import UsageError, VerificationError
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.records.legacy import ShownChain
from hstu_preserve.records.manifest import MANIFEST_NAME, AnyManifest, MigratedManifest
from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.verdict import Rung, Verdict
from hstu_preserve.records.verification import Verification
from hstu_preserve.training.distributed import require_alone
from hstu_preserve.verdict.rungs import choose_exit_code, judge_bytes, judge_legacy_bytes, judge_signer, not_run
from hstu_preserve.workflows.bundles import open_bundle
from hstu_preserve.workflows.destinations import new_folder
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
        output: A new directory for the verdicts, the ranks and the retrained run, which appears when all of them are
            there; None keeps nothing.
        max_steps: How many steps `resume` takes at most; None goes to the run's end.
        listener: Hears of progress.
        announce: Is told what will be fetched, and how much, before it is.

    Returns:
        One verdict per rung and claim; `exit_code` is what the command line exits with.

    Raises:
        UsageError: An unknown rung, a limit for one that was not asked for, or the output is in use.
        VerificationError: A key was given for a legacy archive.
        ContentError: Data or checkpoint is not what the bundle says.
        UnavailableError: No torch, device or data, or the bundle cannot be fetched.
    """
    require_alone("reproduce")
    require_known(rungs, max_steps=max_steps)
    with ExitStack() as stack:
        folder = None if output is None else stack.enter_context(new_folder(output, option="--output"))
        path = obtain_local(str(target), announce=announce, listener=listener).path
        obtain_signature(str(target), public_key=public_key, announce=announce)
        if path.is_file() and is_legacy(path):
            if public_key is not None:
                raise VerificationError(f"{target}: a legacy archive, not a native bundle: nobody signed it")
            reproduction = judge_legacy(str(target), path, rungs=rungs)
        else:
            reproduction = judge_native(
                str(target),
                path,
                rungs=rungs,
                data=data,
                device=device,
                public_key=public_key,
                output=folder,
                max_steps=max_steps,
                listener=listener,
            )
        if folder is not None:
            write_atomically(folder / RECORD_NAME, spell_as_text(reproduction).to_json())
    return reproduction


def spell_as_text(reproduction: Reproduction) -> Reproduction:
    """Return the record with escapes for what in its paths is no text, which no canonical JSON can hold."""
    path = Path(printable(str(reproduction.path)))
    return reproduction.model_copy(update={"target": printable(reproduction.target), "path": path})


def require_known(rungs: Sequence[str], *, max_steps: int | None) -> None:
    """Raise UsageError for a rung that does not exist, or a limit for one that is not climbed."""
    unknown = [rung for rung in rungs if rung not in RUNGS]
    if unknown:
        raise UsageError(f"--rung {unknown[0]}: unknown; choose from {', '.join(RUNGS)}")
    if max_steps is not None and "resume" not in rungs:
        raise UsageError("--max-steps: limits the rung 'resume', which was not asked for; add --rung resume")


def judge_native(
    target: str,
    path: Path,
    *,
    rungs: Sequence[str],
    data: Path | None,
    device: str,
    public_key: Path | None,
    output: Path | None,
    max_steps: int | None,
    listener: Listener,
) -> Reproduction:
    """Return the verdicts on a bundle or run directory, whose bytes are compared first."""
    verification = verify(path, public_key=public_key)
    identity, signer = verification.identity, verification.signer
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
    return Reproduction(
        target=target,
        path=path,
        identity=identity,
        title=choose_title(verification.manifest, path=path, target=target),
        verdicts=tuple(verdicts),
        evaluation=evaluation,
        environment=environment,
        exit_code=choose_exit_code(verdicts),
    )


def judge_legacy(target: str, path: Path, *, rungs: Sequence[str]) -> Reproduction:
    """Return the verdicts on a legacy archive, which cannot be re-run: its recipe's code was never published."""
    verification = verify_legacy(path)
    verdicts = [judge_legacy_bytes(verification)]
    if not verification.findings:
        verdicts += explain_not_run(show_legacy(path, target=target).chains, rungs=rungs)
    return Reproduction(
        target=target,
        path=path,
        identity=None,
        title=f"legacy archive {path.name}",
        verdicts=tuple(verdicts),
        evaluation=None,
        environment=None,
        exit_code=choose_exit_code(verdicts),
    )


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


def choose_title(manifest: AnyManifest | None, *, path: Path, target: str) -> str:
    """Return what the reproduction is of."""
    if (path / RUN_RECORD).is_file() and not (path / MANIFEST_NAME).exists():
        return f"unfinished run {target}"
    if isinstance(manifest, MigratedManifest):
        return f"migrated legacy archive {manifest.source.name}"
    return manifest.run.bundle.title if manifest else target
