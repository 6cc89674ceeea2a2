"""Put verified bundles on the Hugging Face Hub, one commit each, and never over somebody else's push."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.errors import ContentError, PreserveError, UnavailableError, UsageError
from hstu_preserve.library.addresses import parse_repository
from hstu_preserve.primitives.voice import SILENT, ByteProgress, Voice
from hstu_preserve.publication.model_cards import require_own_card, write_repository_card
from hstu_preserve.publication.preparation import prepare_all
from hstu_preserve.publication.prepared import PreparedBundle
from hstu_preserve.records.results import PublishedBundle, PublishResult

if TYPE_CHECKING:
    from hstu_preserve.hub.commits import HubWriter
    from hstu_preserve.hub.publishing import Change
    from hstu_preserve.records.downloads import Snapshot


def publish(
    bundles: Sequence[str | Path],
    *,
    repository: str,
    creates: bool = False,
    is_private: bool = False,
    voice: Voice = SILENT,
) -> PublishResult:
    """Verify bundles, then push each with its signature, certificate and the repository's new card, as one commit.

    Nothing is pushed unless all of them are whole and may travel. Files that are there already are not pushed again.

    Args:
        bundles: Packed bundles.
        repository: `owner/name` on the Hub, or an address of it.
        creates: Make the repository if it is not there.
        is_private: Make it visible to its owner only; one that is there and public is refused.
        voice: Shows the verification, then how many bytes of the bundles are on the Hub.

    Raises:
        UsageError: No packed bundle, two of one name, or a repository whose card somebody else wrote.
        ContentError: A bundle differs from its manifest, or holds data that may not be redistributed; or a certificate,
            here or there, is none of its bundle.
        UnavailableError: Network or authorisation; or somebody pushed meanwhile.
    """
    hub, prepared = begin(bundles, repository=repository, creates=creates, is_private=is_private, voice=voice)
    is_created = creates and not hub.exists()
    if is_created:
        hub.create(is_private=is_private)
    published: list[PublishedBundle] = []
    try:
        require_ready(hub, is_private=is_private)
        progress = ByteProgress("publishing", total=sum(map(measure, prepared)), voice=voice)
        for bundle in prepared:
            published.append(push(bundle, hub=hub, voice=voice))  # one by one: an error names what was pushed before it
            progress.advance(measure(bundle))
    except PreserveError as error:
        raise name_done(error, published, made=hub.url if is_created else None) from None
    return PublishResult(
        repository=hub.repository, url=hub.url, is_created=is_created, is_dry_run=False, bundles=tuple(published)
    )


def measure(bundle: PreparedBundle) -> int:
    """Return the size of a bundle's file, in bytes."""
    assert bundle.described.size_bytes is not None
    return bundle.described.size_bytes


def preview_publication(
    bundles: Sequence[str | Path],
    *,
    repository: str,
    creates: bool = False,
    is_private: bool = False,
    voice: Voice = SILENT,
) -> PublishResult:
    """Return the result that `publish` would have, and push nothing; refusals are the same."""
    hub, prepared = begin(bundles, repository=repository, creates=creates, is_private=is_private, voice=voice)
    is_created = creates and not hub.exists()
    if is_created:
        planned = [preview(bundle, hub=hub, snapshot=None) for bundle in prepared]
    else:
        require_ready(hub, is_private=is_private)
        snapshot = hub.read_snapshot()
        planned = [preview(bundle, hub=hub, snapshot=snapshot) for bundle in prepared]
    return PublishResult(
        repository=hub.repository, url=hub.url, is_created=is_created, is_dry_run=True, bundles=tuple(planned)
    )


def begin(
    bundles: Sequence[str | Path], *, repository: str, creates: bool, is_private: bool, voice: Voice
) -> "tuple[HubWriter, list[PreparedBundle]]":
    """Return the way to the Hub and the bundles, all of them fit to be pushed; nothing was asked of the Hub yet."""
    if is_private and not creates:
        raise UsageError("--private says how a repository is made; name --create, too")
    from hstu_preserve.hub.commits import HubWriter, require_repository_name

    name = choose_destination(repository)
    require_repository_name(name)
    prepared = prepare_all(bundles, voice=voice)
    return HubWriter(name), prepared


def choose_destination(repository: str) -> str:
    """Return the name of the repository that `--repo` names, as `owner/name` or by an address.

    Raises:
        UsageError: It is none, or the address names another revision than the main branch.
    """
    from hstu_preserve.hub.repository import DEFAULT_REVISION

    address = parse_repository(repository)
    if address.revision not in {None, DEFAULT_REVISION}:
        raise UsageError(f"--repo {repository}: names {address.revision}; bundles go to {DEFAULT_REVISION} only")
    return address.repository


def require_ready(hub: "HubWriter", *, is_private: bool) -> None:
    """Raise if this token may not write, or if bundles meant to be private would become public."""
    hub.require_write_access()
    if is_private and not hub.is_private():
        raise UsageError(f"{hub.url}: exists and is public; leave --private out, or make it private on the Hub first")


def name_done(error: PreserveError, published: Sequence[PublishedBundle], *, made: str | None) -> PreserveError:
    """Return the error, extended by a list of what this call already put on the Hub: a repository, or bundles."""
    pushed = [f"{one.name} (commit {one.commit})" for one in published if one.commit is not None]
    done = [f"made before that, and there to stay: {made}"] if made else []
    done += [f"pushed before that, and there to stay: {', '.join(pushed)}"] if pushed else []
    if not done:
        return error
    kinds = (kind for kind in (ContentError, UnavailableError, UsageError) if isinstance(error, kind))
    return next(kinds, PreserveError)("\n".join([str(error), *done]))


def push(bundle: PreparedBundle, *, hub: "HubWriter", voice: Voice) -> PublishedBundle:
    """Push one bundle as a commit onto the repository's newest commit."""
    from hstu_preserve.hub.publishing import CARD, make_file
    from hstu_preserve.publication.changes import find_change_of

    snapshot = hub.read_snapshot()
    change = find_change_of(bundle, hub=hub, snapshot=snapshot)
    if change.is_empty and snapshot.find(CARD) is not None:
        return describe_outcome(bundle, change, hub=hub, snapshot=snapshot, pushed=())
    require_own_card(hub, snapshot)
    record = bundle.described
    present = {file.path for file in snapshot.files} - set(change.deletions)
    is_signed = record.is_signed or bundle.signature_name in present
    text = write_repository_card(replace(record, is_signed=is_signed), hub=hub, snapshot=snapshot)
    card = make_file(CARD, text.encode())
    # The client tells nobody how many bytes it has sent; it only draws them itself. Handing it a stream that counts
    # would change the transport, since it sends files by Xet and streams by LFS.
    with voice.step_aside():
        made = hub.commit(
            [*change.files, card],
            deletions=change.deletions,
            parent=snapshot.commit,
            title=f"Publish {record.name}",
            description=f"identity sha256:{record.identity}, verified before the push by hstu-preserve",
        )
    done = describe_outcome(
        bundle, change, hub=hub, snapshot=snapshot, pushed=(*(file.path for file in change.files), CARD)
    )
    return done.model_copy(update={"commit": made.commit, "url": made.url})


def preview(bundle: PreparedBundle, *, hub: "HubWriter", snapshot: "Snapshot | None") -> PublishedBundle:
    """Return the result that `push` would have; None stands for a repository that is still to be made."""
    from hstu_preserve.hub.publishing import CARD
    from hstu_preserve.publication.changes import find_change_of

    change = find_change_of(bundle, hub=hub, snapshot=snapshot)
    if change.is_empty and snapshot is not None and snapshot.find(CARD) is not None:
        return describe_outcome(bundle, change, hub=hub, snapshot=snapshot, pushed=())
    if snapshot is not None:
        require_own_card(hub, snapshot)
    return describe_outcome(
        bundle, change, hub=hub, snapshot=snapshot, pushed=(*(file.path for file in change.files), CARD)
    )


def describe_outcome(
    bundle: PreparedBundle, change: "Change", *, hub: "HubWriter", snapshot: "Snapshot | None", pushed: tuple[str, ...]
) -> PublishedBundle:
    """Return the record of one bundle, as it is before a commit."""
    record = bundle.described
    assert record.sha256 is not None
    assert record.size_bytes is not None
    before = None if snapshot is None else snapshot.find(record.name)
    is_replaced = before is not None and any(file.path == record.name for file in change.files)
    return PublishedBundle(
        path=bundle.path,
        identity=record.identity,
        transport_sha256=record.sha256,
        size_bytes=record.size_bytes,
        name=record.name,
        url=f"{hub.url}/blob/{snapshot.commit if snapshot and not pushed else 'main'}/{record.name}",
        commit=None,
        is_unchanged=not pushed,
        pushed=pushed,
        removed=change.deletions,
        replaced=before.etag if before is not None and is_replaced else None,
    )
