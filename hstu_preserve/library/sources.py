"""Look at a TARGET once: resolve its text, find its bytes, and recognise its form by the first of them."""

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.bundle.layout import RUN_RECORD, StoredManifest
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.bundle.verification import read_stored_manifest
from hstu_preserve.errors import ContentError, MissingPathError, UnavailableError, UsageError, VerificationError
from hstu_preserve.legacy.recognition import describe_legacy, recognise
from hstu_preserve.library.addresses import Address
from hstu_preserve.library.standard_input import STANDARD_INPUT, keep_standard_input
from hstu_preserve.library.targets import locate_bundle, resolve_target
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.paths import GIN_SUFFIX
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.manifest import MANIFEST_NAME, MigratedManifest

if TYPE_CHECKING:
    from hstu_preserve.digest_lists.matching import FilePlace
    from hstu_preserve.hub.cache import Copy
    from hstu_preserve.records.catalog import CatalogEntry


class Form(Enum):
    """The forms that a target may have."""

    TREE = "a run directory or an unpacked bundle"
    BUNDLE = "a packed bundle"
    MIGRATED = "a bundle, packed or not, that was migrated from a legacy archive"
    LEGACY = "a legacy archive"
    RECIPE = "a gin file"
    ENTRY = "a published experiment, known by its id"
    STREAM = "standard input"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A target that was looked at.

    Attributes:
        text: The target as the user typed it.
        form: Its kind.
        content: Its bytes, here or on the Hub; None of an entry and of standard input.
        stored: The manifest of a bundle or run; None of other forms, and of one that is damaged or unfinished.
        copy: The copy that was fetched from the Hub; None of other files.
        entry: The catalog's entry, if the user typed an id.
        place: The file's path as seen from its repository's list, if it is read on the Hub.
        digest_list: That list; None if the repository has none.
        certificate: Beside a file that is read on the Hub; None if nothing lies there, or the file is here.
    """

    text: str
    form: Form
    content: Path | ByteSource | None = None
    stored: StoredManifest | None = None
    copy: "Copy | None" = None
    entry: "CatalogEntry | None" = None
    place: "FilePlace | None" = None
    digest_list: ByteSource | None = None
    certificate: ByteSource | None = None

    @property
    def path(self) -> Path:
        """Its path on this machine; only after `find_here` or `obtain`, or if its bytes are here."""
        assert isinstance(self.content, Path)
        return self.content

    @property
    def title(self) -> str:
        """The target in words: by its manifest, by its file's name, or as it was typed."""
        if self.form is Form.LEGACY:
            assert self.content is not None
            return f"legacy archive {self.content.name}"
        if self.stored is None:
            is_unfinished = isinstance(self.content, Path) and is_unfinished_run(self.content)
            return f"unfinished run {self.text}" if is_unfinished else self.text
        if isinstance(self.stored.record, MigratedManifest):
            return f"migrated legacy archive {self.stored.record.source.name}"
        return self.stored.record.title

    def require_manifest(self) -> StoredManifest:
        """Return the manifest of a bundle or run.

        Raises:
            VerificationError: It is a legacy archive, or damaged.
            MissingPathError: It is a directory without a manifest.
            ContentError: Its manifest cannot be read.
        """
        assert self.content is not None
        if self.form is Form.LEGACY:
            raise VerificationError(describe_legacy(self.content))
        return self.stored or read_stored_manifest(self.content)  # raises, naming the damage of a damaged one


def find(text: str, *, voice: Voice = SILENT) -> Source:
    """Return a target, reading as little as possible: an id gives its catalog entry, a file on the Hub is read there.

    Args:
        text: The target as the user typed it; `-` is standard input.
        voice: Says if the Hub does not answer.

    Raises:
        UnknownNameError: No such path or id.
        ContentError: A file on the Hub differs from the catalog's digests.
        UnavailableError: It cannot be read, or the Hub cannot be asked.
    """
    if text == STANDARD_INPUT:
        return look_at(keep_standard_input(), text=text)
    named = resolve(text, voice=voice)
    if isinstance(named, Path):
        return look_at(named, text=text)
    if not isinstance(named, Address):
        return Source(text=text, form=Form.ENTRY, entry=named)
    from hstu_preserve.library.remote import open_address  # most targets are here

    remote = open_address(named, voice=voice)
    source = look_at(
        remote.content, text=named.text, copy=remote.copy, place=remote.place, digest_list=remote.digest_list
    )
    return replace(source, certificate=remote.certificate)


def resolve(text: str, *, voice: Voice) -> "Path | Address | CatalogEntry":
    """Return what a target names; never a repository or a folder on the Hub, which hold many files.

    Raises:
        UsageError: It names a repository or a folder; the message lists the archives in it.
        UnavailableError: The same, and the Hub cannot be asked for them.
    """
    if text == STANDARD_INPUT:
        raise UsageError("-: standard input is taken by verify, show and unpack; the others read it twice, name a file")
    named = resolve_target(text)
    if isinstance(named, Address) and not named.is_file:
        from hstu_preserve.library.remote import refuse_repository  # most targets are here

        refuse_repository(named, voice=voice)
    return named


def find_here(text: str, *, voice: Voice = SILENT) -> Source:
    """Return a target whose bytes are on this machine; an id or address gives the copy that was fetched before.

    Raises:
        UnavailableError: It is not on this machine; the message names the repository that holds it.
        UsageError: A catalog id, or one of our recipes, that has no bundle at all.
        VerificationError: The copy does not have the digests that the catalog gives now.
        ContentError: The copy was changed since it was fetched.
    """
    named = resolve(text, voice=voice)
    if isinstance(named, Path):
        require_bundle(named, text=text)
        return look_at(named, text=text)
    return look_at_copy(named, text=text, voice=voice)


def obtain(text: str, *, voice: Voice = SILENT) -> Source:
    """Return a target whose bytes are on this machine; a published bundle that is not here is fetched.

    Args:
        text: The target as the user typed it.
        voice: Shows the transfer; before it begins, names the file and its size.

    Raises:
        UsageError: It has no bundle at all.
        ContentError: It does not have the digests that it must have.
        UnavailableError: It cannot be fetched.
    """
    named = resolve(text, voice=voice)
    if isinstance(named, Path):
        require_bundle(named, text=text)
        return look_at(named, text=text)
    from hstu_preserve.library.kept import was_fetched  # most targets are here
    from hstu_preserve.library.remote import bring

    address = locate_bundle(named, text=text)
    if not was_fetched(address) and (brought := look_at_brought(named, address, voice=voice)) is not None:
        return brought
    copy = bring(address, voice=voice)
    return replace(look_at(copy.path, text=address.text, copy=copy), entry=entry_of(named))


def require_bundle(path: Path, *, text: str) -> None:
    """Raise UsageError if an id names one of our recipes, of which there is no bundle."""
    if path.suffix == GIN_SUFFIX and not Path(text).exists():
        raise UsageError(f"{text}: a recipe without a bundle; make one with 'hstu-preserve train {text}'")


def find_bundle(source: Source, *, voice: Voice) -> Source | None:
    """Return the bundle of a catalog entry if it is on this machine, None if it is not, or if it has none.

    Raises:
        VerificationError: The copy does not have the digests that the catalog gives now.
        ContentError: The copy was changed since it was fetched.
    """
    entry = source.entry
    if entry is None or entry.bundle is None:
        return None
    return find_copy(entry, locate_bundle(entry, text=source.text), voice=voice)


def look_at_copy(named: "Address | CatalogEntry", *, text: str, voice: Voice) -> Source:
    """Return the bundle of a catalog entry or an address as it is on this machine.

    Raises:
        UnavailableError: It is not.
        UsageError: It has no bundle at all.
        VerificationError: The copy does not have the digests that the catalog gives now.
        ContentError: The copy was changed since it was fetched.
    """
    address = locate_bundle(named, text=text)
    found = find_copy(named, address, voice=voice)
    if found is None:
        raise UnavailableError(
            f"{address.text}: its bundle is not on this machine; fetch {address.path} from the Hugging Face Hub "
            f"repository {address.repository} with 'hstu-preserve download {address.text}'"
        )
    return found


def find_copy(named: "Address | CatalogEntry", address: "Address", *, voice: Voice) -> Source | None:
    """Return the copy of a published bundle that was fetched before, by whatever tool; say if it is of another commit.

    Raises:
        VerificationError: The copy does not have the digests that the catalog gives now.
        ContentError: The copy was changed since it was fetched.
    """
    from hstu_preserve.library.identities import require_expected
    from hstu_preserve.library.kept import find_kept  # most targets are no copies
    from hstu_preserve.library.vouching import find_in_catalog

    copy = find_kept(address.repository, address.path, revision=address.revision)
    if copy is None:
        return look_at_brought(named, address, voice=voice)
    require_expected(copy.path, find_in_catalog(address.repository, address.path), source=address.text)
    if copy.notice is not None:
        voice.say(copy.notice)
    return replace(look_at(copy.path, text=address.text, copy=copy), entry=entry_of(named))


def look_at_brought(named: "Address | CatalogEntry", address: "Address", *, voice: Voice) -> Source | None:
    """Return a published bundle that another tool brought here, None if none did; it is compared with the catalog.

    Raises:
        VerificationError: It does not have the digests that the catalog gives.
    """
    if entry_of(named) is None:
        return None
    from hstu_preserve.library.brought import find_brought
    from hstu_preserve.library.identities import require_expected
    from hstu_preserve.library.vouching import find_in_catalog

    path = find_brought(address)
    if path is None:
        return None
    require_expected(path, find_in_catalog(address.repository, address.path), source=address.text)
    voice.say(f"{address.text}: takes {path}, which is on this machine already")
    return replace(look_at(path, text=address.text), entry=entry_of(named))


def entry_of(named: "Address | CatalogEntry") -> "CatalogEntry | None":
    """Return the catalog's entry if the user typed its id, None of an address."""
    return None if isinstance(named, Address) else named


def obtain_signature(source: Source, *, voice: Voice) -> None:
    """Fetch the signature and the certificate of a published bundle, if the user names a key to check them with.

    Raises:
        UnavailableError: It has one that cannot be fetched.
        ContentError: One lacks the digest that the Hub lists.
    """
    if source.copy is not None:
        from hstu_preserve.library.remote import fetch_signatures  # most targets are no copies

        fetch_signatures(source.copy, voice=voice)


def look_at(
    content: Path | ByteSource,
    *,
    text: str,
    copy: "Copy | None" = None,
    place: "FilePlace | None" = None,
    digest_list: ByteSource | None = None,
) -> Source:
    """Return the source that some bytes make; of an archive, only the first member is read.

    Raises:
        MissingPathError: They are gone.
        UnavailableError: They cannot be read.
    """
    form, stored = recognise_form(content)
    return Source(text=text, form=form, content=content, stored=stored, copy=copy, place=place, digest_list=digest_list)


def recognise_form(content: Path | ByteSource) -> tuple[Form, StoredManifest | None]:
    """Return the form, and the manifest if there is one that can be read."""
    if isinstance(content, Path) and content.is_dir():
        stored = read_if_sealed(content)
        return (Form.MIGRATED if is_migrated(stored) else Form.TREE), stored
    if isinstance(content, Path) and content.suffix.casefold() == GIN_SUFFIX:
        return Form.RECIPE, None
    recognised = recognise(content)
    if recognised.is_legacy:
        return Form.LEGACY, None
    return (Form.MIGRATED if is_migrated(recognised.stored) else Form.BUNDLE), recognised.stored


def is_unfinished_run(root: Path) -> bool:
    """Whether a directory is a run that has no manifest yet."""
    return (root / RUN_RECORD).is_file() and not (root / MANIFEST_NAME).exists()


def is_migrated(stored: StoredManifest | None) -> bool:
    """Whether a manifest is of a migrated archive."""
    return stored is not None and isinstance(stored.record, MigratedManifest)


def read_if_sealed(root: Path) -> StoredManifest | None:
    """Return a directory's manifest; None if there is none that can be read; verification reports that."""
    try:
        return read_tree_manifest(root)
    except (MissingPathError, ContentError):
        return None
