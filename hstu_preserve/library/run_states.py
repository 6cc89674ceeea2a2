"""Say how far runs are, from their own logs: in which state, at which epoch, and what goes on with them."""

import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from hstu_preserve.bundle.layout import CONFIG_FOLDER, EVENTS_FOLDER, RUN_RECORD, STEPS, StoredManifest
from hstu_preserve.bundle.results import read_results
from hstu_preserve.errors import ContentError, PreserveError, UsageError
from hstu_preserve.library.diverged import MAX_LAST_LINE_BYTES, has_diverged
from hstu_preserve.library.sources import Form, is_unfinished_run, look_at
from hstu_preserve.primitives.archive_names import ARCHIVE_SUFFIXES
from hstu_preserve.primitives.files import open_stream, read_small, refuse_unreadable
from hstu_preserve.primitives.metric_names import EPOCH_TAG
from hstu_preserve.primitives.strict_json import strict_loads
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.manifest import MANIFEST_NAME, Manifest, RunRecord
from hstu_preserve.records.runs import CurvePoint, ListedRun, RunListing, RunState, ShownRun

USUAL_METRIC = "ndcg@10"
MAX_RECORD_BYTES = 8 * 2**20
MAX_EVENT_BYTES = 2**28
"""Of the event file whose curve is read: of a million steps."""
MAX_LISTED = 1000
LOCKS = Path("/proc/locks")
"""Where Linux tells which files are locked; looking there takes no lock that a training could meet."""


def show_run(path: Path, *, target: str) -> ShownRun:
    """Return how far a run without a manifest is.

    Args:
        path: Its directory.
        target: As the user named it.

    Raises:
        ContentError: Its record is damaged.
        UnavailableError: It cannot be read.
    """
    run = RunRecord.from_json(read_small(path / RUN_RECORD, max_bytes=MAX_RECORD_BYTES), source=str(path / RUN_RECORD))
    state = find_state(path)
    metric = run.policies[0].metric if run.policies else USUAL_METRIC
    return ShownRun(
        target=target,
        path=path,
        state=state,
        run=run,
        num_steps=count_steps(path),
        metric=metric,
        curve=tuple(read_curve(path, metric=metric)),
        resume=spell_command(path, run) if state is RunState.UNFINISHED else None,
    )


def find_state(path: Path) -> RunState:
    """Return how far a run without a manifest is."""
    if is_locked_now(path):
        return RunState.TRAINING
    return RunState.DIVERGED if has_diverged(path) else RunState.UNFINISHED


def is_locked_now(path: Path) -> bool:
    """Whether some process holds the lock of a run's folder; False if this system does not tell."""
    try:
        found = path.stat()
        text = LOCKS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    return any(words[1:2] == ["FLOCK"] and place in words for words in map(str.split, text.splitlines()))


def count_steps(path: Path) -> int:
    """Return how many steps a run recorded, by the last whole line of its steps."""
    with suppress(UsageError, ContentError), open_stream(path / STEPS) as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - MAX_LAST_LINE_BYTES))
        for line in reversed(stream.read(MAX_LAST_LINE_BYTES).splitlines()):
            with suppress(ContentError):  # half a line, of a writer that was killed
                step = strict_loads(line, source=STEPS)
                number = step.get("step") if isinstance(step, dict) else None
                if isinstance(number, int) and number >= 0:
                    return number + 1
    return 0


def read_curve(path: Path, *, metric: str) -> Iterator[CurvePoint]:
    """Yield a metric after each epoch, as the one event file of a run has it; nothing if there is no such file."""
    from hstu_preserve.event_files.reader import iterate_scalars  # loads TensorBoard's messages

    files = [file for file in sorted((path / EVENTS_FOLDER).glob("*/*"))[:2] if file.is_file()]
    if len(files) != 1 or files[0].stat().st_size > MAX_EVENT_BYTES:
        return
    # The writer may be at work, or was killed within a record: what is whole counts.
    with suppress(PreserveError), open_stream(files[0]) as stream:
        content = BytesIO(stream.read(MAX_EVENT_BYTES))
        for point in iterate_scalars(content, source=str(files[0])):
            if point.tag == f"{EPOCH_TAG}/{metric}" and point.step >= 0 and 0.0 <= point.value <= 1.0:
                yield CurvePoint(epoch=point.step, value=point.value)


def spell_command(path: Path, run: RunRecord) -> str:
    """Return the command that goes on with a run, from the gin chain that it keeps."""
    words = ["hstu-preserve", "train", str(path / run.gin_file), "--gin-root", str(path / CONFIG_FOLDER)]
    return f"{shlex.join(words)} --data STORE {shlex.join(['--output', str(path), '--resume'])}"


def list_runs(folder: str | Path) -> RunListing:
    """Return the runs and packed bundles in a folder, and in the folders of studies within it; nothing is verified.

    Args:
        folder: The folder, or one run.

    Raises:
        UsageError: It is no folder, or holds no run.
        UnavailableError: It cannot be read.
    """
    path = Path(folder)
    found = [path] if is_run(path) else list(find_runs(path))
    if not found:
        raise UsageError(f"{path}: holds neither runs nor bundles, nor folders with runs")
    listed = tuple(describe(one) for one in found[:MAX_LISTED])
    return RunListing(path=path, runs=listed, left_out=len(found) - len(listed))


def find_runs(folder: Path) -> Iterator[Path]:
    """Yield the runs and bundles in a folder, each study's runs in the place of the study."""
    for child in list_children(folder):
        if is_run(child) or (child.is_file() and child.name.endswith(ARCHIVE_SUFFIXES)):
            yield child
        elif child.is_dir():
            with suppress(PreserveError):  # a folder that may not be read holds nothing to be listed
                yield from filter(is_run, list_children(child))


def list_children(folder: Path) -> list[Path]:
    """Return what is in a folder, hidden names left out, by name; numbers within names by their size.

    Raises:
        UsageError: It is no folder.
        UnavailableError: It cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: not a folder; name one that holds runs")
    with refuse_unreadable(folder):
        children = [child for child in folder.iterdir() if not child.name.startswith(".")]
    return sorted(children, key=lambda child: (len(child.name) if child.name.startswith("seed-") else 0, child.name))


def is_run(path: Path) -> bool:
    """Whether a directory is a run, finished or not, or an unpacked bundle."""
    return path.is_dir() and any((path / name).is_file() for name in (MANIFEST_NAME, RUN_RECORD))


def describe(path: Path) -> ListedRun:
    """Return one line of a listing; what cannot be read says why."""
    try:
        if path.is_dir() and is_unfinished_run(path):
            return describe_unfinished(show_run(path, target=str(path)))
        source = look_at(path, text=str(path))
        if source.form is Form.LEGACY:
            return describe_other(path, title=source.title, state=RunState.PACKED)
        return describe_sealed(path, source.require_manifest())
    except PreserveError as error:
        return describe_other(path, title="", state=RunState.UNREADABLE, problem=str(error))


def describe_unfinished(shown: ShownRun) -> ListedRun:
    """Return the line of a run without a manifest."""
    curve = shown.curve if shown.metric == USUAL_METRIC else tuple(read_curve(shown.path, metric=USUAL_METRIC))
    return ListedRun(
        path=shown.path,
        state=shown.state,
        title=shown.run.bundle.title,
        seed=shown.run.recipe.training.random_seed,
        identity=None,
        epochs_done=max((point.epoch + 1 for point in shown.curve), default=0),
        num_epochs=shown.run.recipe.training.num_epochs,
        ndcg10=curve[-1].value if curve else None,
        kind=find_other_kind(shown.run) if curve else None,
        resume=shown.resume,
        problem=None,
    )


def describe_sealed(path: Path, stored: StoredManifest) -> ListedRun:
    """Return the line of a finished run or of a bundle."""
    manifest = stored.record
    state = RunState.FINISHED if path.is_dir() else RunState.PACKED
    if not isinstance(manifest, Manifest):
        return describe_other(path, title=manifest.title, state=state, identity=stored.identity)
    claimed = next((one.value for one in manifest.claims if one.policy.metric == USUAL_METRIC), None)
    results = read_results(path, manifest) if path.is_dir() else None  # of an archive it would be unpacked up to there
    epochs = max((claim.epoch + 1 for claim in manifest.claims), default=0)
    return ListedRun(
        path=path,
        state=state,
        title=manifest.title,
        seed=manifest.run.recipe.training.random_seed,
        identity=stored.identity,
        epochs_done=epochs if results is None else len(results.epochs),
        num_epochs=manifest.run.recipe.training.num_epochs,
        ndcg10=claimed if results is None else results.final.metrics[USUAL_METRIC],
        kind=find_other_kind(manifest.run),
        resume=None,
        problem=None,
    )


def find_other_kind(run: RunRecord) -> EvaluationKind | None:
    """Return the kind of evaluation of a run's numbers unless it is Meta's."""
    kind = run.recipe.evaluation.effective_kind
    return None if kind is EvaluationKind.WINDOW else kind


def describe_other(
    path: Path, *, title: str, state: RunState, identity: str | None = None, problem: str | None = None
) -> ListedRun:
    """Return the line of what is no run of this program."""
    return ListedRun(
        path=path,
        state=state,
        title=title,
        seed=None,
        identity=identity,
        epochs_done=None,
        num_epochs=None,
        ndcg10=None,
        resume=None,
        problem=problem,
    )
