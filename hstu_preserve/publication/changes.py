"""Find what a repository lacks of a bundle and of the files beside it; what others added to its certificate stays."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hstu_preserve.certificates.checking import read_content
from hstu_preserve.errors import ContentError
from hstu_preserve.hub.commits import LocalFile, is_published
from hstu_preserve.hub.publishing import Change, find_change, make_file
from hstu_preserve.publication.prepared import PreparedBundle, require_about

if TYPE_CHECKING:
    from hstu_preserve.hub.commits import HubWriter
    from hstu_preserve.records.downloads import PublishedFile, Snapshot


def find_change_of(bundle: PreparedBundle, *, hub: "HubWriter", snapshot: "Snapshot | None") -> Change:
    """Return which files of a bundle are not there yet, and which would be about bytes that go.

    A signature or certificate for these bytes stays, even if this call brings none.

    Args:
        bundle: Verified.
        hub: To read the certificate that is there.
        snapshot: Of the repository; None stands for one that is still to be made.

    Raises:
        ContentError: What lies there is no certificate of the bundle, though the bundle itself is there.
        UnavailableError: It cannot be read.
    """
    present = {} if snapshot is None else {file.path: file for file in snapshot.files}
    own = make_bundle_file(bundle)
    is_new = not is_published(own, present.get(own.path))
    certificate = bundle.certificate
    there = present.get(bundle.certificate_name)
    if there is not None and snapshot is not None and (certificate is not None or is_new):
        certificate = join_certificates(bundle, there, hub=hub, snapshot=snapshot, is_new=is_new)
    beside = {bundle.signature_name: bundle.signature, bundle.certificate_name: certificate}
    wanted = [own, *(make_file(path, content) for path, content in beside.items() if content is not None)]
    stale = [path for path, content in beside.items() if content is None] if is_new else []
    return find_change(wanted, stale=stale, present=present)


def make_bundle_file(bundle: PreparedBundle) -> LocalFile:
    """Return the bundle as a file to push, bound to the bytes that were verified."""
    record = bundle.described
    assert record.sha256 is not None
    assert record.size_bytes is not None
    return LocalFile(path=record.name, content=bundle.path, size=record.size_bytes, sha256=record.sha256)


def join_certificates(
    bundle: PreparedBundle, there: "PublishedFile", *, hub: "HubWriter", snapshot: "Snapshot", is_new: bool
) -> bytes | None:
    """Return the certificate that is there with the lines that are new here; None if there is none of this bundle.

    Args:
        bundle: With the certificate that is here, or none.
        there: What lies in the repository under the certificate's name.
        hub: Reads it.
        snapshot: The commit that it is read of.
        is_new: Whether the bundle replaces another one, with which its certificate goes.

    Raises:
        ContentError: What is there is no certificate of the bundle that stays, or both together are too long for one.
        UnavailableError: It cannot be read.
    """
    place, identity = hub.make_source(snapshot, there), bundle.described.identity
    try:
        content = require_about(read_content(place), identity, source=str(place))
    except ContentError as error:
        if is_new:
            return bundle.certificate
        raise ContentError(f"{error}; remove it from the repository first") from None
    joined = b"".join(line + b"\n" for line in list_lines(content, bundle.certificate or b""))
    return require_about(joined, identity, source=f"{place} with the lines of {bundle.path.name}'s certificate here")


def list_lines(*contents: bytes) -> Iterator[bytes]:
    """Yield the lines of certificates, each once, in the order in which they came to be there."""
    yield from dict.fromkeys(line for content in contents for line in content.split(b"\n") if line)
