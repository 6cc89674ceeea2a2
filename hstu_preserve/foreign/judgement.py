"""Judge an archive that others made, or a bundle that was migrated from one: bytes, reported numbers, weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hstu_preserve.archived.settings import ArchivedSettings
from hstu_preserve.bundle.opening import open_verified
from hstu_preserve.compute.machine import describe_environment
from hstu_preserve.errors import NotRunnableError, VerificationError
from hstu_preserve.legacy.consistency import check_migrated_tree, read_migrated_tree
from hstu_preserve.legacy.foreign_archive import ForeignArchive, take_legacy, take_migrated
from hstu_preserve.legacy.reported import judge_reported
from hstu_preserve.legacy.verification import inspect_legacy
from hstu_preserve.library.catalog import find_by_file_name
from hstu_preserve.library.sources import Source
from hstu_preserve.library.verification import complete
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.environment import INSTALL_TORCH, find_torch_problem
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.signature import LEGACY_UNSIGNED
from hstu_preserve.records.verdict import Rung
from hstu_preserve.signing.signer import read_trusted_key
from hstu_preserve.verdict.integrity import (
    explain_contradiction,
    explain_no_training,
    judge_consistency,
    judge_integrity,
)
from hstu_preserve.verdict.judgement import Judgement
from hstu_preserve.verdict.limits import FOREIGN_LIMIT
from hstu_preserve.verdict.rungs import judge_legacy_bytes, not_run


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked of an archive that others made.

    Attributes:
        rungs: Names of `RERUN_RUNGS`.
        data: A store or a folder of stores; None takes the folder that HSTU_PRESERVE_DATA names.
        device: `auto`, `cpu` or `cuda`.
        output: The folder for ranks; None keeps nothing.
        md5_list: The list that vouches for the archive; None takes a `MANIFEST.md` beside it.
        code: The author's code, to be run instead of this program's; None runs this program's.
    """

    rungs: Sequence[str]
    data: Path | None
    device: str
    output: Path | None
    md5_list: Path | ByteSource | None = None
    code: ArchivedSettings | None = None


def judge_legacy(source: Source, wish: Wish, *, public_key: Path | None, voice: Voice) -> Judgement:
    """Return the verdicts on a legacy archive: on its bytes, its reported numbers, and its weights.

    Raises:
        VerificationError: A key was given.
        ContentError: The archive changed after it was verified.
    """
    if public_key is not None:
        raise VerificationError(f"{source.text}: {LEGACY_UNSIGNED}")
    entry = source.entry or find_by_file_name(source.path.name)
    inspected = inspect_legacy(source.path, md5_list=wish.md5_list, entry=entry, voice=voice)
    verification = inspected.verification
    verdicts = [judge_legacy_bytes(verification), *verification.recorded]
    if verification.findings:
        return Judgement(title=source.title, identity=None, verdicts=verdicts)
    archive = take_legacy(inspected, source.path, target=source.text, entry=entry, voice=voice)
    found = rerun_foreign(archive, wish, voice=voice)
    return replace(found, title=source.title, verdicts=[*verdicts, *found.verdicts])


def judge_migrated(source: Source, wish: Wish, *, public_key: Path | None, voice: Voice) -> Judgement:
    """Return the verdicts on a migrated bundle: on its bytes and parts, its reported numbers, and its weights."""
    trusted = read_trusted_key(public_key)
    with open_verified(source.path, known=source.stored, voice=voice) as tree:
        verification = complete(tree.verification, source, trusted=trusted)
        verdicts = judge_integrity(verification, asks_for_signer=trusted is not None)
        found = Judgement(title=source.title, identity=verification.identity, verdicts=())
        if verification.ok:
            migrated = read_migrated_tree(tree)
            checks = check_migrated_tree(migrated)
            verdicts.append(judge_consistency(checks, subject=None))
            entry = source.entry or find_by_file_name(migrated.manifest.source.name)
            verdicts += judge_reported(migrated.contents, entry=entry)
            if all(check.passed for check in checks):
                archive = take_migrated(migrated, target=source.text, entry=entry)
                found = rerun_foreign(archive, wish, voice=voice)
            else:
                found = replace(found, verdicts=explain_contradiction(rungs=wish.rungs))
    return replace(found, title=source.title, identity=verification.identity, verdicts=[*verdicts, *found.verdicts])


def rerun_foreign(archive: ForeignArchive, wish: Wish, *, voice: Voice) -> Judgement:
    """Return the verdicts on the rungs that were asked of an archive that others made.

    This program's code can evaluate its weights; its training needs its author's code.
    """
    others = explain_no_training(archive.target, rungs=wish.rungs)
    nothing = Judgement(title=archive.name, identity=None, verdicts=others)
    if wish.code is None and "evaluation" not in wish.rungs:
        return nothing
    if (problem := find_torch_problem()) is not None:
        missing = not_run(Rung.EVALUATION_NUMERIC, f"{problem}, which evaluation needs; {INSTALL_TORCH}")
        return replace(nothing, verdicts=[missing, *others])
    if wish.code is not None:
        from hstu_preserve.foreign.author_code import rerun_with_code  # needs PyTorch

        verdicts = rerun_with_code(archive, wish.code, rungs=wish.rungs, data=wish.data, voice=voice)
        return replace(nothing, verdicts=verdicts, limits=(FOREIGN_LIMIT,))
    from hstu_preserve.foreign.evaluation import evaluate_foreign  # needs PyTorch

    try:
        found = evaluate_foreign(archive, data=wish.data, device=wish.device, output=wish.output, voice=voice)
    except NotRunnableError as why:
        return replace(nothing, verdicts=[not_run(Rung.EVALUATION_NUMERIC, str(why)), *others])
    return replace(
        nothing,
        verdicts=[found.verdict, *others],
        evaluation=found.evaluated.record,
        environment=describe_environment(found.numerics),
        limits=(FOREIGN_LIMIT,),
    )
