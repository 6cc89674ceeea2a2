"""Write the preservation report or a page: re-run the given targets, and say of everything what was found."""

from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.compute.processes import require_alone
from hstu_preserve.errors import worst_exit_code
from hstu_preserve.foreign.judgement import Wish
from hstu_preserve.library.listing import list_experiments
from hstu_preserve.library.sources import obtain
from hstu_preserve.library.targets import SAMPLE
from hstu_preserve.pages.gathering import gather
from hstu_preserve.pages.judged import Judged
from hstu_preserve.pages.places import prepare_report
from hstu_preserve.pages.records import find_record, read_record, tell_failures
from hstu_preserve.primitives.given_paths import as_path
from hstu_preserve.primitives.temporary_folders import scratch_folder
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.results import ReportResult
from hstu_preserve.retraining.asked import Retraining
from hstu_preserve.verbs.reproduce import DEFAULT_RUNGS, RECORD_NAME, judge, record
from hstu_preserve.verdict.rungs import choose_exit_code


def write_report(
    targets: Sequence[str] | None = None,
    *,
    markdown: str | Path | None = None,
    html: str | Path | None = None,
    site: str | Path | None = None,
    data: str | Path | None = None,
    device: str = "auto",
    voice: Voice = SILENT,
) -> ReportResult:
    """Reproduce the targets' evaluation rung and write the report.

    Args:
        targets: As `reproduce` takes them, or what earlier calls wrote, a `reproduction.json` or its folder; None takes
            the sample, and for a site alone nothing.
        markdown: The report to write, an earlier one there is replaced; None writes `PRESERVATION_REPORT.md` if nothing
            else is asked for.
        html: The page to write, likewise; None writes none.
        site: The folder of a site to write, a page for each published result; an earlier one there is replaced unless a
            file of it was added, removed or changed. None writes none.
        data: A store, or for archives of others a folder of stores; None as `reproduce` has it.
        device: `auto`, `cpu` or `cuda`.
        voice: Shows progress; before a transfer begins, names the file and its size.

    Raises:
        UsageError: There is something else than an earlier report.
        UnavailableError: A page is asked for, and the extra that draws it is not installed.
        PreserveError: A target cannot be re-run at all; nothing is written.
    """
    require_alone("report")
    data = as_path(data)
    places = prepare_report(markdown=markdown, html=html, site=site)
    targets = targets or ([SAMPLE] if places.needs_targets else [])
    judged = [judge_or_read(target, data=data, device=device, voice=voice) for target in targets]
    for one in judged:
        tell_failures(one.reproduction, voice=voice)
    is_changed = places.write(judged, voice=voice)
    codes = [choose_exit_code(one.reproduction.verdicts) for one in judged]
    first, *others = [*places.files, *([] if places.folder is None else [places.folder])]
    return ReportResult(
        path=first,
        page=next((path for path in others if path != places.folder), None),
        site=places.folder,
        experiments=len(judged) + (len(list_experiments().experiments) if places.lists_catalog else 0),
        reproduced=codes.count(0),
        is_changed=is_changed,
        exit_code=worst_exit_code(codes),
    )


def judge_or_read(target: str, *, data: Path | None, device: str, voice: Voice) -> Judged:
    """Return a target that is judged now, or the record of an earlier call, with all that is known of its bundle."""
    path = find_record(Path(target), name=RECORD_NAME)
    if path is not None:
        return gather(read_record(path), folder=path.parent, record_path=path, data=data, voice=voice)
    with scratch_folder() as folder:
        source = obtain(target, voice=voice)
        wish = Wish(rungs=DEFAULT_RUNGS, data=data, device=device, output=folder, md5_list=None, code=None)
        found = judge(source, wish, public_key=None, max_steps=None, retraining=Retraining(), voice=voice)
        return gather(record(found, source), folder=folder, record_path=None, data=data, voice=voice)
