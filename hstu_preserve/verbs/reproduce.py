"""Run a bundle again and judge, rung by rung, whether its claims hold."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from hstu_preserve.bundle.destinations import new_folder
from hstu_preserve.bundle.opening import open_verified
from hstu_preserve.bundle.signer import read_trusted_key
from hstu_preserve.compute.processes import require_alone
from hstu_preserve.errors import UsageError, VerificationError
from hstu_preserve.legacy.consistency import check_migrated_tree, read_migrated_tree
from hstu_preserve.legacy.reported import judge_reported
from hstu_preserve.legacy.showing import show_legacy
from hstu_preserve.legacy.verification import verify_legacy
from hstu_preserve.library.catalog import find_by_file_name
from hstu_preserve.library.sources import Form, Source, obtain, obtain_signature
from hstu_preserve.library.verification import complete
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.primitives.given_paths import as_path
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.signature import LEGACY_UNSIGNED
from hstu_preserve.verdict.integrity import RERUN_RUNGS, explain_not_run, judge_consistency, judge_integrity
from hstu_preserve.verdict.judgement import Judgement
from hstu_preserve.verdict.rungs import choose_exit_code, judge_legacy_bytes

DEFAULT_RUNGS = ("evaluation",)
RECORD_NAME = "reproduction.json"


def reproduce(
    target: str | Path,
    *,
    rungs: Sequence[str] = DEFAULT_RUNGS,
    data: str | Path | None = None,
    device: str = "auto",
    public_key: str | Path | None = None,
    output: str | Path | None = None,
    max_steps: int | None = None,
    voice: Voice = SILENT,
) -> Reproduction:
    """Verify a bundle's bytes and that its parts agree, re-run the given rungs, and compare results with its claims.

    Args:
        target: A bundle, run directory, `sample`, a catalog id or an `hf://` address; it is fetched if it is not here.
        rungs: `evaluation` re-ranks every user with the bundle's checkpoint; `resume` continues the run from its last
            checkpoint but one; `training` trains the recipe anew.
        data: The store; None takes the bundle's own or searches the folder that HSTU_PRESERVE_DATA names.
        device: `auto`, `cpu` or `cuda`.
        public_key: The key that must have signed the bundle; None checks no signature.
        output: A new directory for the verdicts, the ranks and the retrained run, which appears when all of them are
            there; None keeps nothing.
        max_steps: How many steps `resume` takes at most; None goes to the run's end.
        voice: Shows progress; before a transfer begins, names the file and its size.

    Returns:
        One verdict per rung and claim; `exit_code` is the exit code of the command line.

    Raises:
        UsageError: An unknown rung, a limit for one that was not asked for, or the output is in use.
        VerificationError: A key was given for a legacy archive.
        ContentError: Data or checkpoint lacks the digest that the bundle gives.
        UnavailableError: No torch, device or data, or the bundle cannot be fetched.
    """
    data, public_key, output = as_path(data), as_path(public_key), as_path(output)
    require_alone("reproduce")
    require_known(rungs, max_steps=max_steps)
    with ExitStack() as stack:
        folder = None if output is None else stack.enter_context(new_folder(output, option="--output"))
        source = obtain(str(target), voice=voice)
        if public_key is not None:
            obtain_signature(source, voice=voice)
        match source.form:
            case Form.LEGACY:
                judgement = judge_legacy(source, rungs=rungs, public_key=public_key, voice=voice)
            case Form.MIGRATED:
                judgement = judge_migrated(source, rungs=rungs, public_key=public_key, voice=voice)
            case _:
                from hstu_preserve.reruns.judgement import Rerun, judge_run  # needs PyTorch

                rerun = Rerun(
                    rungs=rungs, data=data, device=device, public_key=public_key, output=folder, max_steps=max_steps
                )
                judgement = judge_run(source, rerun, voice=voice)
        reproduction = Reproduction(
            target=source.text,
            path=source.path,
            identity=judgement.identity,
            title=judgement.title,
            verdicts=tuple(judgement.verdicts),
            evaluation=judgement.evaluation,
            environment=judgement.environment,
            limits=judgement.limits,
            exit_code=choose_exit_code(judgement.verdicts),
        )
        if folder is not None:
            write_atomically(folder / RECORD_NAME, reproduction.spelled_as_text().to_json())
    return reproduction


def require_known(rungs: Sequence[str], *, max_steps: int | None) -> None:
    """Raise UsageError for a rung that does not exist, or a limit for one that is not climbed."""
    unknown = [rung for rung in rungs if rung not in RERUN_RUNGS]
    if unknown:
        raise UsageError(f"--rung {unknown[0]}: unknown; choose from {', '.join(RERUN_RUNGS)}")
    if max_steps is not None and "resume" not in rungs:
        raise UsageError("--max-steps: limits the rung 'resume', which was not asked for; add --rung resume")


def judge_legacy(source: Source, *, rungs: Sequence[str], public_key: Path | None, voice: Voice) -> Judgement:
    """Return the verdicts on a legacy archive, which cannot be re-run: its recipe's code was never published.

    Raises:
        VerificationError: A key was given.
    """
    if public_key is not None:
        raise VerificationError(f"{source.text}: {LEGACY_UNSIGNED}")
    entry = source.entry or find_by_file_name(source.path.name)
    verification = verify_legacy(source.path, entry=entry, voice=voice)
    verdicts = [judge_legacy_bytes(verification), *verification.recorded]
    if not verification.findings:
        chains = show_legacy(source.path, target=source.text).chains
        verdicts += explain_not_run(chains, rungs=rungs)
    return Judgement(title=source.title, identity=None, verdicts=verdicts)


def judge_migrated(source: Source, *, rungs: Sequence[str], public_key: Path | None, voice: Voice) -> Judgement:
    """Return the verdicts on a migrated bundle: its bytes and parts are compared, and nothing in it can be re-run."""
    trusted = read_trusted_key(public_key)
    with open_verified(source.path, known=source.stored, voice=voice) as tree:
        verification = complete(tree.verification, source, trusted=trusted)
        verdicts = judge_integrity(verification, asks_for_signer=trusted is not None)
        if verification.ok:
            migrated = read_migrated_tree(tree)
            verdicts.append(judge_consistency(check_migrated_tree(migrated), subject=None))
            entry = source.entry or find_by_file_name(migrated.manifest.source.name)
            verdicts += judge_reported(migrated.contents, entry=entry)
            verdicts += explain_not_run(migrated.manifest.chains, rungs=rungs)
    return Judgement(title=source.title, identity=verification.identity, verdicts=verdicts)
