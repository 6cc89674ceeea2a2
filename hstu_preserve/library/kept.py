"""Find a file in the cache without network access; refuse one that was modified since it was fetched."""

from dataclasses import replace

from hstu_preserve.digest_lists.digest_list import LIST_NAME
from hstu_preserve.errors import ContentError, UnavailableError
from hstu_preserve.hub.cache import Cache, Copy, make_receipt, open_cache
from hstu_preserve.hub.content_digests import hash_file
from hstu_preserve.hub.repository import DEFAULT_REVISION
from hstu_preserve.library.addresses import Address
from hstu_preserve.records.downloads import DigestKind, Receipt, Snapshot


def find_kept(repository: str, path: str, *, revision: str | None) -> Copy | None:
    """Return a file that was fetched before, None if it was not.

    First comes the copy of the commit that the revision last resolved to, then the same content from any other commit.
    For the main branch only, the file fetched last will do; its notice then says from which commit it is.

    Raises:
        ContentError: Every copy was modified since it was fetched.
    """
    cache, revision = open_cache(), revision or DEFAULT_REVISION
    known = cache.read_snapshot(repository, revision=revision)
    fetched = cache.list_copies(repository, path)
    if known is not None and (same := find_same(known, path)) is not None:
        return same
    if known is not None and (named := name_content(path, cache=cache, snapshot=known)) is not None:
        return named
    right = [one for one in fetched if known is not None and is_of(one, known)]
    if right:
        raise ContentError(right[0].describe_change())
    if revision != DEFAULT_REVISION:  # it was named on purpose: no other commit will do
        return None
    if (other := find_intact(fetched)) is not None:
        return replace(other, notice=describe_other(other.receipt, known=known))
    if fetched:
        raise ContentError(fetched[0].describe_change())
    return None


def was_fetched(address: Address) -> bool:
    """Whether this program fetched a file before, of whatever commit."""
    return bool(open_cache().list_copies(address.repository, address.path))


def find_same(snapshot: Snapshot, path: str) -> Copy | None:
    """Return the unmodified copy of a file from a commit, or of the same content from another commit."""
    fetched = open_cache().list_copies(snapshot.repository, path)
    return find_intact([one for one in fetched if is_of(one, snapshot)])


def is_of(copy: Copy, snapshot: Snapshot) -> bool:
    """Whether a copy was fetched at this commit, or is the same content fetched at another one."""
    listed = snapshot.find(copy.receipt.path)
    is_same = listed is not None and listed.etag in {one.hex for one in copy.receipt.vouched}
    return is_same or copy.receipt.commit == snapshot.commit


def find_intact(fetched: list[Copy]) -> Copy | None:
    """Return the first copy that was not modified since it was fetched."""
    return next((one for one in fetched if one.is_intact), None)


def name_content(path: str, *, cache: Cache, snapshot: Snapshot) -> Copy | None:
    """Return a file whose content was fetched under another name, if it can be given this name, too."""
    file = snapshot.find(path)
    place = None if file is None else cache.find_content(file)
    if file is None or place is None:
        return None
    hasher = hash_file(place, kinds=[file.kind])
    if hasher.find_differing([file.known]):
        return None
    sha256 = hasher.digests()[DigestKind.SHA256]
    try:
        return cache.name(place, make_receipt(file, snapshot=snapshot, sha256=sha256))
    except UnavailableError:  # it is here, but the name cannot be written
        return None


def describe_other(receipt: Receipt, *, known: Snapshot | None) -> str:
    """Say from which commit a copy is, as the user did not ask for that commit."""
    newest = f"; {DEFAULT_REVISION} last meant commit {known.commit}" if known is not None else ""
    return f"{receipt.repository}/{receipt.path}: used as fetched at commit {receipt.commit}{newest}"


def require_kept_list(receipt: Receipt) -> None:
    """Raise ContentError if the list that was fetched with a file, and lies beside it, was modified since."""
    found = open_cache().look_up(receipt.repository, receipt.commit, LIST_NAME)
    if found is not None and not found.is_intact:
        raise ContentError(found.describe_change())
