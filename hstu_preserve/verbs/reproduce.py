"""Run a bundle again and judge, rung by rung, whether its claims hold."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

from hstu_preserve.archived.settings import ArchivedSettings, AuthorCode
from hstu_preserve.bundle.destinations import new_folder
from hstu_preserve.certificates.request import certify, prepare_certificate, take_key
from hstu_preserve.compute.machine import find_running_code
from hstu_preserve.compute.processes import require_alone
from hstu_preserve.errors import UsageError
from hstu_preserve.foreign.judgement import Wish, judge_legacy, judge_migrated
from hstu_preserve.library.kept_code import find_code
from hstu_preserve.library.sources import Form, Source, obtain, obtain_signature
from hstu_preserve.library.standard_input import choose_list
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.primitives.given_paths import as_path
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.record import SCHEMA_VERSION
from hstu_preserve.records.results import Reproduction
from hstu_preserve.retraining.asked import Retraining
from hstu_preserve.verdict.integrity import (
    RERUN_RUNGS,
)
from hstu_preserve.verdict.judgement import Judgement
from hstu_preserve.verdict.rungs import choose_exit_code, find_deciders, name_deciders

DEFAULT_RUNGS = ("evaluation",)
RECORD_NAME = "reproduction.json"


def reproduce(  # noqa: PLR0913  # each is an option of the command
    target: str | Path,
    *,
    rungs: Sequence[str] = DEFAULT_RUNGS,
    data: str | Path | None = None,
    device: str = "auto",
    public_key: str | Path | None = None,
    md5_list: str | Path | None = None,
    output: str | Path | None = None,
    max_steps: int | None = None,
    author_code: AuthorCode | None = None,
    retraining: Retraining = Retraining(),  # noqa: B008  frozen
    key: str | Path | None = None,
    passphrase: str | None = None,
    voice: Voice = SILENT,
) -> Reproduction:
    """Verify a bundle's bytes and that its parts agree, re-run the given rungs, and compare results with its claims.

    Args:
        target: A bundle, run directory, `sample`, a catalog id or an `hf://` address; it is fetched if it is not here.
        rungs: `evaluation` re-ranks every user with the bundle's checkpoint; `resume` continues the run from its last
            checkpoint but one; `training` trains the recipe anew, with the recorded seed unless others are asked for.
        data: The store; None takes the bundle's own or searches the folder that HSTU_PRESERVE_DATA names. For an
            archive that others made also a folder of stores, each of which is tried.
        device: `auto`, `cpu` or `cuda`.
        public_key: The key that must have signed the bundle; None checks no signature.
        md5_list: The list that vouches for a legacy archive; None takes a `MANIFEST.md` beside it.
        output: A new directory for the verdicts, the ranks and the retrained run, which appears when all of them are
            there; None keeps nothing. Retrainings with other seeds go on in one that holds their plan.
        max_steps: How many steps `resume` takes at most; None goes to the run's end.
        author_code: The code that an archive's author published, which is then run instead of this program's; the
            output directory is needed, and is there from the beginning.
        retraining: Other seeds that the rung `training` trains, or runs of other seeds that exist already.
        key: Your private key, with which the outcome is signed: the certificate lies beside the bundle, or in the
            output directory if one is named. None signs nothing.
        passphrase: The key's, if it has one.
        voice: Shows progress; before a transfer begins, names the file and its size.

    Returns:
        One verdict per rung and claim; `exit_code` is the exit code of the command line.

    Raises:
        UsageError: An unknown rung, a limit for one that was not asked for, or the output is in use; the author's code
            is not the trusted one, or nobody trusts it, or a bundle of this program needs none; the key cannot be used
            as named, or there is no place for the certificate.
        VerificationError: A key was given for a legacy archive.
        ContentError: Data or checkpoint lacks the digest that the bundle gives, or a run that was named is not of the
            bundle's recipe.
        UnavailableError: No torch, device or data, or the bundle cannot be fetched.
    """
    data, public_key, output = as_path(data), as_path(public_key), as_path(output)
    require_alone("reproduce")
    require_known(rungs, max_steps=max_steps)
    retraining.require_sensible(rungs)
    signing_key = take_key(key, passphrase=passphrase)
    with ExitStack() as stack:
        is_kept = output is not None and author_code is None  # the author's code runs in it, and stays if it fails
        folder = stack.enter_context(open_folder(output, retraining, voice=voice)) if output and is_kept else None
        source = obtain(str(target), voice=voice)
        if public_key is not None:
            obtain_signature(source, voice=voice)
        place = folder or output
        certifier = prepare_certificate(source.text, source.path, source.stored, signing_key, output=place)
        is_legacy = source.form is Form.LEGACY
        wish = Wish(
            rungs=rungs,
            data=data,
            device=device,
            output=folder,
            md5_list=choose_list(md5_list) if is_legacy else None,
            code=settle_code(author_code, source, device=device, output=output),
        )
        judgement = judge(source, wish, public_key=public_key, max_steps=max_steps, retraining=retraining, voice=voice)
        reproduction = record(judgement, source)
        place = folder if author_code is None else output
        if place is not None and place.is_dir():
            write_atomically(place / RECORD_NAME, reproduction.spelled_as_text().to_json())
        certify(reproduction, certifier, output=output, record_name=RECORD_NAME, voice=voice)
    return reproduction


def record(judgement: Judgement, source: Source) -> Reproduction:
    """Return the record of a judgement."""
    return Reproduction(
        schema_version=SCHEMA_VERSION,
        target=source.text,
        path=source.path,
        identity=judgement.identity,
        title=judgement.title,
        verdicts=tuple(judgement.verdicts),
        evaluation=judgement.evaluation,
        environment=judgement.environment,
        causes=judgement.causes,
        limits=judgement.limits,
        plan=judgement.plan,
        code=find_running_code(),
        is_exploratory=judgement.is_exploratory,
        decided_by=name_deciders(find_deciders(judgement.verdicts)),
        exit_code=choose_exit_code(judgement.verdicts),
    )


def open_folder(output: Path, retraining: Retraining, *, voice: Voice) -> AbstractContextManager[Path]:
    """Return the folder that keeps what is re-run: a new one, or of retrainings one in which they go on."""
    if retraining.is_asked:
        from hstu_preserve.retraining.planning import plan_folder  # needs PyTorch

        return plan_folder(output, voice=voice)
    return new_folder(output, option="--output")


def require_retrainable(source: Source, retraining: Retraining) -> None:
    """Raise UsageError if other seeds are asked of an archive whose recipe this program does not train."""
    if retraining.is_asked and source.form not in {Form.TREE, Form.BUNDLE}:
        raise UsageError(f"{source.text}: not a bundle of this program, whose recipe alone is trained with other seeds")


def require_known(rungs: Sequence[str], *, max_steps: int | None) -> None:
    """Raise UsageError for a rung that does not exist, or a limit for one that is not climbed."""
    unknown = [rung for rung in rungs if rung not in RERUN_RUNGS]
    if unknown:
        raise UsageError(f"--rung {unknown[0]}: unknown; choose from {', '.join(RERUN_RUNGS)}")
    if max_steps is not None and "resume" not in rungs:
        raise UsageError("--max-steps: limits the rung 'resume', which was not asked for; add --rung resume")


def judge(
    source: Source,
    wish: Wish,
    *,
    public_key: Path | None,
    max_steps: int | None,
    retraining: Retraining,
    voice: Voice,
) -> Judgement:
    """Return the verdicts on a target of any form.

    Raises:
        UsageError: Other seeds are asked of an archive whose recipe this program does not train.
    """
    require_retrainable(source, retraining)
    match source.form:
        case Form.LEGACY:
            return judge_legacy(source, wish, public_key=public_key, voice=voice)
        case Form.MIGRATED:
            return judge_migrated(source, wish, public_key=public_key, voice=voice)
        case _:
            from hstu_preserve.reruns.judgement import Rerun, judge_run  # needs PyTorch
            from hstu_preserve.retraining.retrainings import Retrainings

            retrain = partial(
                Retrainings, asked=retraining, data=wish.data, device=wish.device, output=wish.output, voice=voice
            )
            rerun = Rerun(
                rungs=wish.rungs,
                data=wish.data,
                device=wish.device,
                public_key=public_key,
                output=wish.output,
                max_steps=max_steps,
                retrain=retrain if retraining.is_asked else None,
            )
            return judge_run(source, rerun, voice=voice)


def settle_code(
    author_code: AuthorCode | None, source: Source, *, device: str, output: Path | None
) -> ArchivedSettings | None:
    """Return how the author's code is to be run, None if this program's is.

    Raises:
        UsageError: No code is named or found, this program's code made the bundle, or something makes no sense.
    """
    if author_code is None:
        return None
    if source.form not in {Form.LEGACY, Form.MIGRATED}:
        raise UsageError(f"{source.text}: a bundle of this program's own code; leave out --runner archived")
    code = as_path(author_code.code) or find_code(source)
    return author_code.settle(code=code, device=device, output=output)
