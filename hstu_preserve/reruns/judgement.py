"""Re-run a bundle on the rungs that were asked for, and gather the verdicts."""

from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.bundle.layout import RUN_RECORD
from hstu_preserve.compute.machine import describe_environment
from hstu_preserve.library.verification import verify
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.legacy import ShownChain
from hstu_preserve.records.manifest import MANIFEST_NAME, AnyManifest, MigratedManifest
from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.verdict import Rung, Verdict
from hstu_preserve.records.verification import Verification
from hstu_preserve.reruns.native import NativeRunner
from hstu_preserve.reruns.opened_bundle import open_bundle
from hstu_preserve.verdict.rungs import choose_exit_code, judge_bytes, judge_signer, not_run

RUNGS = {
    "evaluation": NativeRunner.judge_evaluation,
    "resume": NativeRunner.judge_resume,
    "training": NativeRunner.judge_training,
}


NOT_RUN_RUNGS = {
    "evaluation": Rung.EVALUATION_NUMERIC,
    "resume": Rung.RESUME_BITWISE,
    "training": Rung.TRAINING_STATISTICAL,
}


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
    voice: Voice,
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
            runner = NativeRunner(bundle, data=data, device=device, output=output, max_steps=max_steps, voice=voice)
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
    return f"{own}; {manifest.vouched}" if manifest is not None and manifest.vouched is not None else own


def choose_title(manifest: AnyManifest | None, *, path: Path, target: str) -> str:
    """Return what the reproduction is of."""
    if (path / RUN_RECORD).is_file() and not (path / MANIFEST_NAME).exists():
        return f"unfinished run {target}"
    if isinstance(manifest, MigratedManifest):
        return f"migrated legacy archive {manifest.source.name}"
    return manifest.title if manifest else target
