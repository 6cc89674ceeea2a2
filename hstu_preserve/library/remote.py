"""Open targets on the Hub: read them in place, or fetch them into the cache if the work needs a file."""

import io
from contextlib import nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Never

from hstu_preserve.digest_lists.digest_list import LIST_NAME, MAX_LIST_BYTES
from hstu_preserve.digest_lists.matching import FilePlace
from hstu_preserve.errors import UnavailableError, UsageError
from hstu_preserve.hub.cache import Copy
from hstu_preserve.hub.remote_stream import open_remote
from hstu_preserve.library.addresses import REMOTE_PREFIX, Address, find_viewed
from hstu_preserve.library.companions import list_companions
from hstu_preserve.library.fetching import fetch_file
from hstu_preserve.library.identities import require_expected, require_identity
from hstu_preserve.library.kept import find_kept, find_same
from hstu_preserve.library.repository import Repository, open_repository, require_agreement
from hstu_preserve.library.vouching import find_in_catalog
from hstu_preserve.primitives.archive_names import is_archive
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.voice import ByteProgress, Voice
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.certificate import CERTIFICATE_SUFFIX
from hstu_preserve.records.downloads import DigestKind, PublishedFile

MAX_OFFERED = 20
"""How many archives of a repository a message lists."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file on the Hub that is read there, without being fetched.

    Attributes:
        content: Its bytes, from the copy on this machine if there is one.
        copy: That copy.
        digest_list: The repository's list, which may vouch for it; None if it has no list.
        place: The file's path, as seen from the list.
        certificate: What lies beside it; None if nothing does.
    """

    content: Path | ByteSource
    copy: Copy | None
    digest_list: ByteSource | None
    place: FilePlace
    certificate: ByteSource | None


def open_address(address: Address, *, voice: Voice) -> Remote:
    """Return how to read a file on the Hub; only the commit of the revision is remembered.

    Raises:
        ContentError: The file differs from the catalog's digests, or the copy on this machine was modified and the Hub
            does not answer.
        UnavailableError: The repository cannot be asked, or holds no such file.
    """
    repository = open_repository(address.repository, revision=address.revision, voice=voice)
    if repository.notice is not None:
        voice.say(repository.notice)
    file = find_file(repository, address)
    repository.remember()
    copy = (
        find_kept(address.repository, address.path, revision=address.revision)
        if repository.is_unanswered
        else find_same(repository.snapshot, address.path)
    )
    source = ByteSource(
        name=PurePosixPath(address.path).name,
        place=address.text,
        size=file.size,
        open=partial(open_remote, file, hub=repository.hub, snapshot=repository.snapshot, policy=repository.policy),
    )
    require_catalogued(file, repository, source=source, copy=copy)
    others = {other.path for other in repository.snapshot.files} - {address.path}
    return Remote(
        content=copy.path if copy else source,
        copy=copy,
        digest_list=open_list(repository),
        place=FilePlace(path=file.path, others=others),
        certificate=open_certificate(file, repository),
    )


def open_certificate(file: PublishedFile, repository: Repository) -> ByteSource | None:
    """Return how to read the certificate beside a file of a repository; None if there is none."""
    beside = (one for one in list_companions(file.path, repository) if one.path.endswith(CERTIFICATE_SUFFIX))
    found = next(beside, None)
    if found is None:
        return None
    return ByteSource(
        name=PurePosixPath(found.path).name,
        place=f"{REMOTE_PREFIX}{repository.snapshot.repository}/{found.path}",
        size=found.size,
        open=lambda: nullcontext(io.BytesIO(repository.read(found))),
    )


def find_file(repository: Repository, address: Address) -> PublishedFile:
    """Return the file of a repository that an address names.

    Raises:
        UnavailableError: There is none.
    """
    file = repository.snapshot.find(address.path)
    if file is None:
        raise UnavailableError(describe_absent(address, repository))
    return file


def describe_absent(address: Address, repository: Repository) -> str:
    """Return a sentence that the repository holds no such file, and what the address may mean instead."""
    problem = f"{address.text}: {address.repository} holds no {address.path} at commit {repository.snapshot.commit}"
    viewed = find_viewed(address)
    if viewed is not None:
        return f"{problem}; what a browser shows so is written {viewed}"
    held = [file.path for file in repository.snapshot.files]
    inside = [path for path in held if path.startswith(f"{address.path}/") and is_archive(path)]
    near = inside or get_close_matches(address.path, held, n=3, cutoff=0.6)
    return f"{problem}; did you mean {list_some(map(address.spell, near), at_most=3)}?" if near else problem


def refuse_repository(address: Address, *, voice: Voice) -> Never:
    """Raise an error that lists the archives of a repository, or of a folder in it, where one file must be named.

    Raises:
        UsageError: It lists them.
        UnavailableError: The Hub cannot be asked for them.
    """
    try:
        repository = open_repository(address.repository, revision=address.revision, voice=voice)
    except UnavailableError as error:
        raise UnavailableError(f"{address.text}: names no file, and its files cannot be listed: {error}") from None
    refuse_listed(address, repository)


def refuse_listed(address: Address, repository: Repository) -> Never:
    """Raise UsageError with the archives of an open repository, or of a folder in it."""
    held = [file.path for file in repository.snapshot.files if is_archive(file.path)]
    inside = [address.spell(path) for path in held if path.startswith(address.path)]
    kind = "a folder" if address.path else "a repository"
    offered = f"name one of them: {list_some(inside, at_most=MAX_OFFERED)}" if inside else "it holds no archive"
    raise UsageError(f"{address.text}: {kind}, not a file; {offered}")


def require_catalogued(file: PublishedFile, repository: Repository, *, source: ByteSource, copy: Copy | None) -> None:
    """Raise if a file, to be read on the Hub or from its copy here, differs from the catalog's digests.

    Reading on the Hub gives the bytes that the Hub lists, or an error, so that it is enough to compare the Hub's digest
    with the catalog's. A file outside LFS has no digest of the same kind, and is fetched.
    """
    expected = find_in_catalog(repository.snapshot.repository, file.path)
    if copy is not None:
        require_expected(copy.path, expected, source=source.place)
    elif expected.listed and file.kind is not DigestKind.SHA256:
        fetch_file(file, repository=repository, expected=expected)
    else:
        require_agreement(file, expected.listed)
        require_identity(source, expected.identity, source=source.place)


def open_list(repository: Repository) -> ByteSource | None:
    """Return how to read the list of a repository; None if it has none, or it cannot be looked at, which is said."""
    content = repository.read_digest_list(LIST_NAME)
    if content is None:
        for sentence in repository.unread.values():
            repository.voice.say(sentence)
        return None
    place = f"{REMOTE_PREFIX}{repository.snapshot.repository}@{repository.snapshot.commit}/{LIST_NAME}"
    return ByteSource(name=LIST_NAME, place=place, size=len(content), open=lambda: nullcontext(io.BytesIO(content)))


def bring(address: Address, *, voice: Voice) -> Copy:
    """Return a bundle on this machine; fetch it if it is not here, after saying how much it is.

    A branch is resolved anew; if the Hub does not answer, the copy on this machine is used.

    Raises:
        ContentError: It does not have the digests that it must have.
        UnavailableError: It cannot be fetched.
    """
    found = ask_or_use_kept(address, voice=voice)
    if isinstance(found, Copy):
        require_expected(found.path, find_in_catalog(address.repository, address.path), source=address.text)
        return found
    found.remember()
    file = find_file(found, address)
    copy = found.cache.look_up(address.repository, found.snapshot.commit, address.path)
    if copy is None or not copy.is_intact:
        copy = fetch_bundle(file, found, address=address, voice=voice)
    else:
        require_expected(copy.path, find_in_catalog(address.repository, address.path), source=address.text)
    fetch_companions(file, found)
    return copy


def fetch_bundle(file: PublishedFile, repository: Repository, *, address: Address, voice: Voice) -> Copy:
    """Fetch a bundle, after saying how much it is, and return it as it lies in the cache.

    Raises:
        ContentError: It does not have the digests that it must have.
        UnavailableError: It cannot be fetched, or there is no room.
    """
    missing = repository.count_missing(file)
    repository.cache.require_space(missing)
    if missing:
        voice.say(f"{address.text}: fetching {missing} bytes of {address.path} from {address.repository}")
    expected = repository.expect(file)
    for sentence in repository.list_passed_over():
        voice.say(sentence)
    progress = ByteProgress(file.path, total=file.size, voice=voice)
    return fetch_file(file, repository=repository, expected=expected, count=progress.advance)


def ask_or_use_kept(address: Address, *, voice: Voice) -> Repository | Copy:
    """Return the repository at the commit that the Hub names now, or else the copy on this machine.

    Raises:
        ContentError: The copy was changed since it was fetched, and cannot be fetched again.
        UnavailableError: The Hub cannot be asked, and the bundle is not here.
    """
    find = partial(find_kept, address.repository, address.path, revision=address.revision)
    try:
        repository = open_repository(address.repository, revision=address.revision, voice=voice)
    except UnavailableError as error:
        kept = find()
        if kept is None:
            raise
        voice.say(f"{error}; used what is on this machine")
        return tell_notice(kept, voice=voice)
    if repository.notice is not None:
        voice.say(repository.notice)
    kept = find() if repository.is_unanswered else None
    if kept is not None:
        return tell_notice(kept, voice=voice)
    if not repository.is_unanswered and not repository.is_remembered:
        commit = repository.snapshot.commit
        voice.say(f"{address.text}: {repository.revision} is commit {commit} of {address.repository}")
    return repository


def tell_notice(copy: Copy, *, voice: Voice) -> Copy:
    """Return a copy, after saying if it is of another commit than was asked for."""
    if copy.notice is not None:
        voice.say(copy.notice)
    return copy


def fetch_companions(file: PublishedFile, repository: Repository) -> None:
    """Fetch the list, the signature and the certificate of a file; the work can go on without them.

    A failure is only reported.

    Raises:
        ContentError: One lacks the digest that the Hub lists, or was modified here and cannot be fetched again.
    """
    digest_list = repository.snapshot.find(LIST_NAME)
    is_small = digest_list is not None and digest_list.size <= MAX_LIST_BYTES
    lists = [digest_list] if digest_list is not None and is_small else []
    for companion in (*lists, *list_companions(file.path, repository)):
        if repository.find_here(companion) is not None:
            continue
        try:
            fetch_file(companion, repository=repository)
        except UnavailableError as error:
            repository.voice.say(f"{error}; going on without it")


def fetch_signatures(copy: Copy, *, voice: Voice) -> None:
    """Fetch the signature and the certificate of a fetched bundle: without asking, nobody can say that there is none.

    Raises:
        UnavailableError: There is one and it cannot be fetched, or nobody can say whether there is one.
        ContentError: It does not have the digest that the Hub lists.
    """
    receipt = copy.receipt
    repository = open_repository(receipt.repository, revision=receipt.commit, voice=voice)
    # Tried again in each call: a signature that could not be fetched once must not count as missing for ever.
    for file in list_companions(receipt.path, repository):
        if repository.find_here(file) is None:
            fetch_file(file, repository=repository)
    for sentence in repository.unread.values():
        voice.say(sentence)
