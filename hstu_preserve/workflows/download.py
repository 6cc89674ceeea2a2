"""Fetch published bundles from the Hub, compared with every digest that is known of them."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hstu_preserve.errors import PreserveError, UnknownNameError, UsageError
from hstu_preserve.hub.cache import give
from hstu_preserve.primitives.digests import sha256_of_file
from hstu_preserve.records.catalog import BundleLocation, CatalogEntry
from hstu_preserve.records.downloads import (
    DigestKind,
    DownloadedFile,
    DownloadReport,
    KnownDigest,
    PublishedFile,
)
from hstu_preserve.workflows.catalog import read_catalog
from hstu_preserve.workflows.progress import Listener, Progress, ignore
from hstu_preserve.workflows.published import Published, is_archive, open_published
from hstu_preserve.workflows.targets import REMOTE_PREFIX, parse_remote

PARALLEL_FILES = 4
CODE_WORD = "code"
SIGNATURE_SUFFIX = ".sig"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to fetch.

    Attributes:
        ids: Catalog ids, archive names of the repository, or `hf://` addresses.
        has_all: Every bundle of the repository, too.
        has_code: The repository's code archive, too.
        repository: Instead of the catalog's.
        revision: A branch, tag or commit; None is the main branch.
    """

    ids: Sequence[str] = ()
    has_all: bool = False
    has_code: bool = False
    repository: str | None = None
    revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to fetch, for whom, and what it must be."""

    target: str
    file: PublishedFile
    known: tuple[KnownDigest, ...]


def preview(wanted: Wanted) -> DownloadReport:
    """Return what `download` would fetch; nothing but the repository's lists is.

    Raises:
        UsageError: Nothing, or an unknown id, is wanted.
        UnavailableError: The repository cannot be asked.
    """
    published = open_wanted(wanted)
    jobs = list_jobs(wanted, published)
    files = tuple(describe(job, received=0) for job in jobs)
    return make_report(published, files, jobs, missing=count_missing(published, jobs), is_dry_run=True)


def download(wanted: Wanted, *, output: Path, listener: Listener = ignore) -> DownloadReport:
    """Fetch what is wanted into a folder, several files at once; what stopped one is its result.

    Args:
        wanted: Which files.
        output: The folder that they appear in, whole and compared, or not at all.
        listener: Hears of progress, in bytes.

    Raises:
        UsageError: Nothing, or an unknown id, is wanted.
        ContentError: A list of digests contradicts itself or the Hub.
        UnavailableError: The repository cannot be asked, or the disk has no room.
    """
    published = open_wanted(wanted)
    jobs = list_jobs(wanted, published)
    missing = count_missing(published, jobs)
    published.cache.require_space(missing)
    results = fetch_all(jobs, published=published, output=output, listener=listener)
    return make_report(published, results, jobs, missing=missing, is_dry_run=False)


def open_wanted(wanted: Wanted) -> Published:
    """Return the one repository that everything wanted is in."""
    catalog = read_catalog()
    remotes = [parse_remote(one) for one in wanted.ids if one.startswith(REMOTE_PREFIX)]
    named = {remote.repository for remote in remotes}
    if wanted.repository is not None:
        named.add(wanted.repository)
    if not named:
        named = {find_bundle(one).repository for one in wanted.ids if one in catalog}
    if not named:
        named = {entry.bundle.repository for entry in catalog.values() if entry.bundle is not None}
    if len(named) != 1:
        raise UsageError(f"the bundles are in several repositories ({', '.join(sorted(named))}); name one with --repo")
    revisions: set[str | None] = {remote.revision for remote in remotes if remote.revision} or {wanted.revision}
    if len(revisions) != 1:
        raise UsageError("one revision per call: every file comes from the same commit")
    return open_published(named.pop(), revision=revisions.pop())


def find_bundle(name: str) -> BundleLocation:
    """Return where an entry's bundle is.

    Raises:
        UsageError: It has none.
    """
    bundle = read_catalog()[name].bundle
    if bundle is None:
        raise UsageError(f"{name}: a published number without a bundle; there is nothing to fetch")
    return bundle


def list_jobs(wanted: Wanted, published: Published) -> list[Job]:
    """Return every file to fetch, the lists that vouch for them and their signatures included.

    Raises:
        UsageError: Nothing is wanted, or there is no one code archive.
        UnknownNameError: The repository holds no such archive.
    """
    catalog = read_catalog()
    archives = [file for file in published.snapshot.files if is_archive(file.path)]
    chosen = {one: find_archive(one, catalog=catalog, published=published) for one in wanted.ids}
    codes = find_codes(archives, catalog=catalog)
    if wanted.has_all:
        chosen |= {file.path: file for file in archives if file not in codes and file not in chosen.values()}
    if wanted.has_code:
        chosen[f"--{CODE_WORD}"] = require_one_code(codes, published)
    if not chosen:
        raise UsageError("nothing to fetch: name ids, or --all, or --code; 'hstu-preserve list' shows the ids")
    jobs = [make_job(target, file, catalog=catalog, published=published) for target, file in chosen.items()]
    return [*jobs, *list_companions(jobs, published)]


def find_archive(target: str, *, catalog: dict[str, CatalogEntry], published: Published) -> PublishedFile:
    """Return the file of the repository that a user means.

    Raises:
        UnknownNameError: There is none.
    """
    paths = [target, *(f"{target}{suffix}" for suffix in (".tar.gz", ".tgz"))]
    if target.startswith(REMOTE_PREFIX):
        paths = [parse_remote(target).path]
    elif target in catalog:
        paths = [find_bundle(target).path]
    found = next((file for path in paths if (file := published.snapshot.find(path)) is not None), None)
    if found is None:
        known = [*catalog, *(file.path for file in published.snapshot.files)]
        where = f"{published.snapshot.repository} at {published.snapshot.commit}"
        raise UnknownNameError(kind=f"id or file of {where}", name=target, known=known)
    return found


def find_codes(archives: Iterable[PublishedFile], *, catalog: dict[str, CatalogEntry]) -> list[PublishedFile]:
    """Return the archives that hold code, not an experiment."""
    bundles = {entry.bundle.path for entry in catalog.values() if entry.bundle is not None}
    return [file for file in archives if file.path not in bundles and CODE_WORD in file.path.casefold()]


def require_one_code(codes: Sequence[PublishedFile], published: Published) -> PublishedFile:
    """Return the code archive.

    Raises:
        UsageError: There is none, or several.
    """
    if len(codes) != 1:
        found = ", ".join(file.path for file in codes) or "none"
        raise UsageError(
            f"--code: {published.snapshot.repository} has no one code archive (found {found}); name the file"
        )
    return codes[0]


def make_job(target: str, file: PublishedFile, *, catalog: dict[str, CatalogEntry], published: Published) -> Job:
    """Return a file with every digest that is known of it: the catalog's and those of the repository's lists."""
    known = published.list_known(file)
    bundles = [entry.bundle for entry in catalog.values() if entry.bundle is not None]
    for bundle in bundles:
        is_this = (bundle.repository, bundle.path) == (published.snapshot.repository, file.path)
        if is_this and bundle.sha256 is not None:
            known.append(KnownDigest(kind=DigestKind.SHA256, hex=bundle.sha256, source="the catalog"))
    return Job(target=target, file=file, known=tuple(known))


def list_companions(jobs: Sequence[Job], published: Published) -> list[Job]:
    """Return the lists that vouch for the files, and the signatures that lie beside them."""
    sources = {one.source for job in jobs for one in job.known}
    names = [name for name in published.lists if any(source.startswith(f"{name} (") for source in sources)]
    names += [f"{job.file.path}{SIGNATURE_SUFFIX}" for job in jobs]
    files = [published.snapshot.find(name) for name in names]
    return [Job(target=file.path, file=file, known=()) for file in files if file is not None]


def count_missing(published: Published, jobs: Iterable[Job]) -> int:
    """Return how many bytes are not here yet; equal contents count once."""
    return sum(published.count_missing(file) for file in {job.file.etag: job.file for job in jobs}.values())


def fetch_all(
    jobs: Sequence[Job], *, published: Published, output: Path, listener: Listener
) -> tuple[DownloadedFile, ...]:
    """Fetch several files at once; when one thing ends them all, each stops before the next bytes."""
    total = Total(num_bytes=sum(job.file.size for job in jobs), listener=listener)
    first = {job.file.etag: job for job in reversed(jobs)}  # one file per content, so that no two wait for one part
    rounds = [[j for j in jobs if first[j.file.etag] is j], [j for j in jobs if first[j.file.etag] is not j]]
    results: dict[int, DownloadedFile] = {}
    with ThreadPoolExecutor(max_workers=PARALLEL_FILES) as pool:
        try:
            for some in rounds:
                done = pool.map(lambda job: fetch_one(job, published=published, output=output, total=total), some)
                results |= {id(job): result for job, result in zip(some, done, strict=True)}
        except BaseException:
            published.policy.stop.set()
            raise
    return tuple(results[id(job)] for job in jobs)


def fetch_one(job: Job, *, published: Published, output: Path, total: "Total") -> DownloadedFile:
    """Return the result for one file, an error included."""
    counted = total.start(job.file)
    try:
        obtained = published.obtain(job.file, listed=job.known, listen=counted.listen)
        place = place_file(obtained.place, output / PurePosixPath(job.file.path))
    except PreserveError as error:
        return describe(job, received=0, error=error)
    counted.finish()
    receipt = published.cache.read_receipt(published.snapshot.repository, published.snapshot.commit, job.file.path)
    return describe(job, received=obtained.received).model_copy(update={"place": str(place), "receipt": receipt})


def place_file(kept: Path, destination: Path) -> Path:
    """Let a fetched file appear where the user wants it; what stands there already is never overwritten.

    Raises:
        UsageError: Another file stands there.
    """
    if not destination.exists():
        give(kept, destination)
    elif not destination.is_file() or sha256_of_file(destination) != sha256_of_file(kept):
        raise UsageError(f"{destination}: exists and is another file; name another folder with --output-dir")
    return destination


class Total:
    """Adds up what several files have received."""

    def __init__(self, *, num_bytes: int, listener: Listener) -> None:
        self.num_bytes, self.listener = num_bytes, listener
        self.completed = 0
        self.lock = threading.Lock()

    def start(self, file: PublishedFile) -> "Counted":
        """Return the count of one file."""
        return Counted(file, add=self.add)

    def add(self, num_bytes: int, *, activity: str) -> None:
        """Count bytes and tell."""
        with self.lock:
            self.completed += num_bytes
            progress = Progress(activity=activity, completed=self.completed, total=self.num_bytes, figures={})
            self.listener(progress)


class Counted:
    """What one file has so far."""

    def __init__(self, file: PublishedFile, *, add: Callable[..., None]) -> None:
        self.file, self.add = file, add
        self.here = 0

    def listen(self, num_bytes: int) -> None:
        """Count bytes that are hashed; a negative number where a file begins again."""
        self.here += num_bytes
        self.add(num_bytes, activity=self.file.path)

    def finish(self) -> None:
        """Count what needed no transfer."""
        self.add(self.file.size - self.here, activity=self.file.path)


def describe(job: Job, *, received: int, error: PreserveError | None = None) -> DownloadedFile:
    """Return what is known of one file, without a place."""
    return DownloadedFile(
        target=job.target,
        path=job.file.path,
        size=job.file.size,
        received=received,
        place=None,
        receipt=None,
        error=str(error) if error else None,
        exit_code=error.exit_code if error else 0,
    )


def make_report(
    published: Published, files: Sequence[DownloadedFile], jobs: Sequence[Job], *, missing: int, is_dry_run: bool
) -> DownloadReport:
    """Return the whole."""
    assert len(files) == len(jobs)
    return DownloadReport(
        repository=published.snapshot.repository,
        commit=published.snapshot.commit,
        is_dry_run=is_dry_run,
        files=tuple(files),
        missing_bytes=missing,
    )
