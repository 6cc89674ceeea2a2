"""Find the files of a repository that a user asks for, and the digests that each must have."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hstu_preserve.errors import ContentError, PreserveError, UnknownNameError, UsageError
from hstu_preserve.hub.cache import require_safe
from hstu_preserve.hub.repository import DEFAULT_REVISION
from hstu_preserve.library.addresses import Address, is_address, parse_address, parse_repository
from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.library.companions import list_companions as find_beside
from hstu_preserve.library.remote import describe_absent, refuse_listed
from hstu_preserve.library.repository import Repository, open_repository
from hstu_preserve.library.targets import looks_like_path
from hstu_preserve.library.vouching import Expectation, find_of_id, join
from hstu_preserve.primitives.archive_names import ARCHIVE_SUFFIXES, is_archive, is_code
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.catalog import BundleLocation, CatalogEntry
from hstu_preserve.records.certificate import CERTIFICATE_SUFFIX
from hstu_preserve.records.downloads import PublishedFile


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The files that a user asks for.

    Attributes:
        ids: Catalog ids, archive names of the repository, or `hf://` addresses.
        has_all: Whether to fetch every bundle of the repository, too.
        has_code: Whether to fetch the repository's code archive, too.
        repository: The repository to use instead of the catalog's: `owner/name`, or an address of it.
        revision: A branch, tag or commit; None is the main branch.
    """

    ids: Sequence[str] = ()
    has_all: bool = False
    has_code: bool = False
    repository: str | None = None
    revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One file to fetch.

    Attributes:
        target: The id, name or option that asked for it.
        file: The file, as the Hub lists it.
        expected: The digests and identity that it must have.
        error: Why this file cannot be fetched, though the others can; None if it can.
        is_list: Whether it is a list of digests, fetched only to vouch for the others.
        is_certificate: Whether it is a certificate, to which anybody may add: what lies here already stays.
    """

    target: str
    file: PublishedFile
    expected: Expectation
    error: PreserveError | None = None
    is_list: bool = False
    is_certificate: bool = False


def open_wanted(wanted: Wanted, *, voice: Voice = SILENT) -> Repository:
    """Return the one repository that holds all the wanted files.

    Raises:
        UnknownNameError: No repository was named, and a name is neither in the catalog nor that of a file.
        UsageError: Several repositories or revisions.
        UnavailableError: The repository cannot be asked.
    """
    catalog = read_catalog()
    remotes = [parse_address(one) for one in wanted.ids if is_address(one)]
    named = {remote.repository for remote in remotes}
    if wanted.repository is not None:
        named.add(parse_repository(wanted.repository).repository)
    else:
        if not remotes:  # an address names a repository, which must be asked before a name can be called wrong
            require_known(wanted.ids, catalog=catalog)
        named |= {find_bundle(one).repository for one in wanted.ids if one in catalog}  # an address moves no id
    if not named:
        named = {entry.bundle.repository for entry in catalog.values() if entry.bundle is not None}
    if len(named) != 1:
        raise UsageError(
            f"the bundles are in several repositories ({', '.join(sorted(named))}); fetch them in several calls, or "
            "name the one that has all of them with --repo"
        )
    return open_repository(named.pop(), revision=choose_revision(wanted, remotes), voice=voice)


def choose_revision(wanted: Wanted, remotes: Sequence[Address]) -> str | None:
    """Return the one revision of all wanted files; a name without one is at `--revision`, or else the main branch.

    Raises:
        UsageError: Several revisions are named; the message lists who names which.
    """
    pinned = None if wanted.repository is None else parse_repository(wanted.repository).revision
    asked = wanted.revision or pinned or DEFAULT_REVISION
    named = {remote.text: remote.revision or asked for remote in remotes}
    named |= {one: asked for one in wanted.ids if one not in named}
    if wanted.revision is not None:
        named[f"--revision {asked}"] = asked
    if pinned is not None:
        named[f"--repo {wanted.repository}"] = pinned
    if len(set(named.values())) > 1:
        told = ", ".join(f"{text} ({revision})" for text, revision in named.items())
        raise UsageError(f"one revision per call, since every file comes from the same commit; named are {told}")
    return next(iter(named.values()), None)


def require_known(ids: Iterable[str], *, catalog: Mapping[str, CatalogEntry]) -> None:
    """Raise UnknownNameError if a name can be seen to be wrong without asking the Hub."""
    for one in ids:
        if one not in catalog and not looks_like_path(one):
            hint = (
                "'hstu-preserve list' shows all ids; a file of the repository is named with its suffix, "
                "what is in another repository with --repo"
            )
            raise UnknownNameError(kind="catalog id", name=one, known=catalog, hint=hint)


def find_bundle(name: str) -> BundleLocation:
    """Return the location of the bundle that a catalog id has.

    Raises:
        UsageError: The entry has no bundle.
    """
    bundle = read_catalog()[name].bundle
    if bundle is None:
        raise UsageError(f"{name}: a published number without a bundle; there is nothing to fetch")
    return bundle


def list_jobs(wanted: Wanted, repository: Repository) -> list[Job]:
    """Return every file to fetch, the lists that vouch for them and their signatures included.

    Raises:
        UsageError: Nothing is wanted, or there is no one code archive.
        UnknownNameError: The repository holds no such archive.
    """
    catalog = read_catalog()
    archives = [file for file in repository.snapshot.files if is_archive(file.path)]
    chosen = {one: find_archive(one, catalog=catalog, repository=repository) for one in wanted.ids}
    codes = find_codes(archives, catalog=catalog)
    if wanted.has_all:
        chosen |= {file.path: file for file in archives if file not in codes and file not in chosen.values()}
    if wanted.has_code:
        chosen["--code"] = require_one_code(codes, repository)
    if not chosen:
        raise UsageError("nothing to fetch: name ids, or --all, or --code; 'hstu-preserve list' shows the ids")
    jobs = [make_job(target, file, repository=repository) for target, file in chosen.items()]
    return [*jobs, *list_companions(jobs, repository)]


def make_job(target: str, file: PublishedFile, *, repository: Repository) -> Job:
    """Return the file with the digests it must have; the catalog's hold for an id in any repository."""
    expected = join(repository.expect(file), find_of_id(target))
    return Job(target=target, file=file, expected=expected, error=find_unsafe(file, repository=repository))


def find_unsafe(file: PublishedFile, *, repository: Repository) -> ContentError | None:
    """Return the error if a file's name is unsafe on this machine, else None."""
    try:
        require_safe(file.path)
    except ContentError as error:
        return ContentError(f"{repository.snapshot.repository}/{file.path}: not fetched: {error}")
    return None


def find_archive(target: str, *, catalog: Mapping[str, CatalogEntry], repository: Repository) -> PublishedFile:
    """Return the file of the repository that a user means.

    Raises:
        UnknownNameError: There is none.
        UsageError: An address of a repository or a folder; the message lists the archives in it.
    """
    paths = [target, *(f"{target}{suffix}" for suffix in ARCHIVE_SUFFIXES)]
    address = parse_address(target) if is_address(target) else None
    if address is not None:
        if not address.is_file:
            refuse_listed(address, repository)
        paths = [address.path]
    elif target in catalog:
        paths = [find_bundle(target).path]
    found = next((file for path in paths if (file := repository.snapshot.find(path)) is not None), None)
    if found is None and address is not None:
        raise UsageError(describe_absent(address, repository))
    if found is None:
        known = [*catalog, *(file.path for file in repository.snapshot.files)]
        where = f"{repository.snapshot.repository} at {repository.snapshot.commit}"
        raise UnknownNameError(kind=f"id or file of {where}", name=target, known=known)
    return found


def find_codes(archives: Iterable[PublishedFile], *, catalog: Mapping[str, CatalogEntry]) -> list[PublishedFile]:
    """Return the archives that hold code, not an experiment."""
    bundles = {entry.bundle.path for entry in catalog.values() if entry.bundle is not None}
    return [file for file in archives if file.path not in bundles and is_code(file.path)]


def require_one_code(codes: Sequence[PublishedFile], repository: Repository) -> PublishedFile:
    """Return the code archive.

    Raises:
        UsageError: There is none, or several.
    """
    if len(codes) != 1:
        found = ", ".join(file.path for file in codes) or "none"
        raise UsageError(
            f"--code: {repository.snapshot.repository} has no one code archive (found {found}); name the file"
        )
    return codes[0]


def list_companions(jobs: Sequence[Job], repository: Repository) -> list[Job]:
    """Return the lists that vouch for the files, and the signatures and certificates that lie beside them.

    One that is not here is left out, and said to be, if nobody can be asked for it: the bundle itself may be here all
    the same.
    """
    sources = {one.source for job in jobs for one in job.expected.listed}
    lists = [name for name in repository.lists if any(source.startswith(f"{name} (") for source in sources)]
    files = [file for name in lists if (file := repository.snapshot.find(name)) is not None]
    files += [file for job in jobs if job.error is None for file in find_beside(job.file.path, repository)]
    absent = [file.path for file in files if repository.is_unanswered and repository.count_missing(file)]
    for path in absent:
        repository.unread[path] = f"{repository.snapshot.repository}/{path}: not here, and nobody can be asked for it"
    return [
        Job(
            target=file.path,
            file=file,
            expected=Expectation(),
            is_list=file.path in lists,
            is_certificate=file.path.endswith(CERTIFICATE_SUFFIX),
        )
        for file in files
        if file.path not in absent
    ]


def list_notes(wanted: Wanted, repository: Repository) -> Iterator[str]:
    """Yield a sentence for each archive that is not fetched and each list that cannot be read."""
    archives = [file for file in repository.snapshot.files if is_archive(file.path)]
    if wanted.has_all and not wanted.has_code and (codes := find_codes(archives, catalog=read_catalog())):
        left = ", ".join(file.path for file in codes)
        yield f"--all leaves out what is called code ({left}); fetch it with --code, or by its name"
    yield from repository.list_passed_over()
