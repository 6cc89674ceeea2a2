"""Fetch published bundles from the Hub, and compare each with every digest that is known of it."""

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from hstu_preserve.errors import PreserveError, UsageError
from hstu_preserve.hub.cache import Copy
from hstu_preserve.hub.content_digests import hash_file
from hstu_preserve.hub.disk_space import are_on_one_disk, find_existing, is_there, require_space
from hstu_preserve.hub.retries import RetryPolicy
from hstu_preserve.hub.second_names import give_new
from hstu_preserve.library.fetching import fetch_file
from hstu_preserve.library.repository import Repository
from hstu_preserve.library.wanted import Job, Wanted, list_jobs, list_notes, open_wanted
from hstu_preserve.primitives.threads import map_in_threads
from hstu_preserve.primitives.voice import SILENT, Progress, Voice
from hstu_preserve.records.downloads import DigestKind, DownloadedFile, DownloadReport, PublishedFile

PARALLEL_FILES = 4


def preview_download(wanted: Wanted) -> DownloadReport:
    """Return the files that `download` would fetch; only the repository's lists are read, and nothing is written.

    Raises:
        UsageError: Nothing, or an unknown id, is wanted.
        UnavailableError: The repository cannot be asked.
    """
    repository = open_wanted(wanted)
    jobs = list_jobs(wanted, repository)
    files = tuple(describe(job, received=0, error=job.error) for job in jobs)
    notes, missing = list_notes(wanted, repository), count_missing(repository, jobs)
    return make_report(repository, files, jobs, notes=notes, missing=missing, is_dry_run=True)


def download(wanted: Wanted, *, output: str | Path, voice: Voice = SILENT) -> DownloadReport:
    """Fetch the wanted files into a folder, several at once; a file that fails has its error as its result.

    Args:
        wanted: The files that the user asks for.
        output: The folder that they appear in, whole and compared, or not at all.
        voice: Shows progress, in bytes; says if another process is waited for.

    Raises:
        UsageError: Nothing, or an unknown id, is wanted, or the output is no folder.
        ContentError: A list of digests contradicts itself or the Hub.
        UnavailableError: The repository cannot be asked, or the disk has no room.
    """
    output = Path(output)
    require_folder(output)
    repository = open_wanted(wanted, voice=voice)
    repository.remember()
    jobs = list_jobs(wanted, repository)
    missing = count_missing(repository, jobs)
    require_room(jobs, missing=missing, output=output, repository=repository)
    results = fetch_all(jobs, repository=repository, output=output, voice=voice)
    notes = list_notes(wanted, repository)
    return make_report(repository, results, jobs, notes=notes, missing=missing, is_dry_run=False)


def count_missing(repository: Repository, jobs: Iterable[Job]) -> int:
    """Return how many bytes are not here yet; equal contents count once."""
    contents = {job.file.etag: job.file for job in jobs if job.error is None}
    return sum(repository.count_missing(file) for file in contents.values())


def fetch_all(jobs: Sequence[Job], *, repository: Repository, output: Path, voice: Voice) -> tuple[DownloadedFile, ...]:
    """Fetch several files at once; if an error ends them all, each stops before its next bytes."""
    total = Total(num_bytes=sum(job.file.size for job in jobs if job.error is None), voice=voice)
    first = {job.file.etag: job for job in reversed(jobs)}  # one file per content, so that no two wait for one part
    rounds = [[j for j in jobs if first[j.file.etag] is j], [j for j in jobs if first[j.file.etag] is not j]]
    results: dict[int, DownloadedFile] = {}
    work = partial(fetch_one, repository=repository, output=output, total=total)
    for some in rounds:
        done = map_in_threads(work, some, max_threads=PARALLEL_FILES, stop=repository.policy.stop)
        results |= {id(job): result for job, result in zip(some, done, strict=True)}
    return tuple(results[id(job)] for job in jobs)


def fetch_one(job: Job, *, repository: Repository, output: Path, total: "Total") -> DownloadedFile:
    """Return the result for one file, an error included."""
    if job.error is not None:
        return describe(job, received=0, error=job.error)
    counted = total.start(job.file)
    try:
        copy = fetch_file(job.file, repository=repository, expected=job.expected, count=counted.listen)
        place = place_file(copy, output / PurePosixPath(job.file.path), policy=repository.policy)
    except PreserveError as error:
        return describe(job, received=0, error=error)
    counted.finish()
    update = {"place": str(place), "receipt": copy.receipt}
    return describe(job, received=copy.received).model_copy(update=update)


def place_file(copy: Copy, destination: Path, *, policy: RetryPolicy) -> Path:
    """Give a fetched file its name in the user's folder; another file of that name is never overwritten.

    Raises:
        UsageError: Another file stands there.
        UnavailableError: It cannot be read or written.
    """
    sha256, heed = copy.receipt.sha256, partial(policy.require_going, str(destination))
    is_new = not is_there(destination) and give_new(copy.path, destination, sha256=sha256, heed=heed)
    if not is_new and not has_digest(destination, sha256, heed=heed):
        raise UsageError(f"{destination}: exists and is another file; name another folder with --output-dir")
    return destination


def has_digest(path: Path, sha256: str, *, heed: Callable[[], None]) -> bool:
    """Whether this is a file of that content."""
    return path.is_file() and hash_file(path, kinds=(), heed=heed).digests()[DigestKind.SHA256] == sha256


def require_folder(output: Path) -> None:
    """Raise UsageError if `output` or one of its parents is a file, so that no files can lie below it."""
    existing = find_existing(output)
    if not existing.is_dir():
        raise UsageError(f"{existing}: not a folder; name one with --output-dir")


def require_room(jobs: Iterable[Job], *, missing: int, output: Path, repository: Repository) -> None:
    """Raise UnavailableError if the wanted files do not fit into the cache, or as copies onto another disk."""
    if not are_on_one_disk(output, repository.cache.root):
        places = {output / PurePosixPath(job.file.path): job.file.size for job in jobs if job.error is None}
        copied = sum(size for place, size in places.items() if not is_there(place))
        require_space(output, copied, advice="make room, or name another disk with --output-dir")
    repository.cache.require_space(missing)


class Total:
    """Adds up the bytes that several files have received."""

    def __init__(self, *, num_bytes: int, voice: Voice) -> None:
        self.num_bytes, self.voice = num_bytes, voice
        self.completed = 0
        self.lock = threading.Lock()

    def start(self, file: PublishedFile) -> "Counted":
        """Return the count of one file."""
        return Counted(file, add=self.add)

    def add(self, num_bytes: int, *, activity: str) -> None:
        """Count bytes and tell."""
        with self.lock:
            self.completed += num_bytes
            progress = Progress(activity=activity, completed=self.completed, total=self.num_bytes, in_bytes=True)
            self.voice.show(progress)


class Counted:
    """The bytes of one file that are here so far."""

    def __init__(self, file: PublishedFile, *, add: Callable[..., None]) -> None:
        self.file, self.add = file, add
        self.here = 0

    def listen(self, num_bytes: int) -> None:
        """Count bytes that are hashed; a negative number if a file begins again."""
        self.here += num_bytes
        self.add(num_bytes, activity=self.file.path)

    def finish(self) -> None:
        """Count the bytes that needed no transfer."""
        self.add(self.file.size - self.here, activity=self.file.path)


def describe(job: Job, *, received: int, error: PreserveError | None = None) -> DownloadedFile:
    """Return the record of one file, before it has a path in the user's folder.

    If another file stands where a list should go, the list was still read from the cache: its digests were compared.
    A certificate that somebody added to is another file, too, and stays as it is.
    """
    note = None
    if job.is_list and isinstance(error, UsageError):
        error, note = None, f"{error}; what is here was compared with the repository's own"
    elif job.is_certificate and isinstance(error, UsageError):
        error, note = None, f"{error} to have the repository's certificate as well"
    return DownloadedFile(
        target=job.target,
        path=job.file.path,
        size=job.file.size,
        received=received,
        place=None,
        receipt=None,
        note=note,
        error=str(error) if error else None,
        exit_code=error.exit_code if error else 0,
    )


def make_report(
    repository: Repository,
    files: Sequence[DownloadedFile],
    jobs: Sequence[Job],
    *,
    notes: Iterable[str],
    missing: int,
    is_dry_run: bool,
) -> DownloadReport:
    """Return the report on all files."""
    assert len(files) == len(jobs)
    return DownloadReport(
        repository=repository.snapshot.repository,
        commit=repository.snapshot.commit,
        is_dry_run=is_dry_run,
        files=tuple(files),
        missing_bytes=missing,
        notice=repository.notice,
        notes=tuple(notes),
    )
