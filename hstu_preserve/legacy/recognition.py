"""Tell a legacy archive from a bundle of this program by its first bytes."""

from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.bundle.compression import GZIP_HEADER
from hstu_preserve.bundle.damage import DamagedError
from hstu_preserve.bundle.found_headers import read_header
from hstu_preserve.bundle.headers import make_header
from hstu_preserve.bundle.layout import MAX_MANIFEST_BYTES, StoredManifest
from hstu_preserve.errors import ContentError, VerificationError
from hstu_preserve.legacy.walker import REGULAR_KINDS, open_legacy, strip_dot_folder
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.primitives.strict_json import strict_loads
from hstu_preserve.records.manifest import MANIFEST_NAME, read_manifest


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """The kind of an archive, by its first member.

    Attributes:
        is_legacy: Whether it is an archive that this program did not write.
        stored: Its manifest if it is a bundle whose manifest can be read; a damaged one is left to verification.
    """

    is_legacy: bool
    stored: StoredManifest | None = None


def require_native(path: Path) -> None:
    """Raise VerificationError if a file is a legacy archive, of which a bundle can be made first."""
    if path.is_file() and is_legacy(path):
        raise VerificationError(describe_legacy(path))


def describe_legacy(path: Path | ByteSource) -> str:
    """Say that an archive is a legacy one, and how a bundle is made of it."""
    return f"{path}: a legacy archive; make a bundle of it with 'hstu-preserve migrate'"


def is_legacy(path: Path | ByteSource) -> bool:
    """Whether a file is an archive that does not begin as a bundle of this program does; see `recognise`."""
    return not (isinstance(path, Path) and path.is_dir()) and recognise(path).is_legacy


def recognise(path: Path | ByteSource) -> Recognised:
    """Tell by its first member whether an archive is a bundle of this program; nothing after the member is read.

    Damage, and anything that begins with a manifest of this program, however broken, is left to verification.

    Raises:
        MissingPathError: There is no such file.
        UnavailableError: It cannot be read.
    """
    with open_legacy(path) as walker:
        reader = walker.reader
        reader.limit = MAX_MANIFEST_BYTES + 2**21  # the manifest, and headers as long as tar's extensions make them
        try:
            header = read_header(reader)
            if header is None or header.damage:
                return Recognised(is_legacy=False)
            if strip_dot_folder(header.name) != MANIFEST_NAME or header.kind not in REGULAR_KINDS:
                return Recognised(is_legacy=True)
            if header.size > MAX_MANIFEST_BYTES:
                return Recognised(is_legacy=False)
            content = reader.read_exactly(header.size)
        except DamagedError:
            return Recognised(is_legacy=False)
    try:
        stored = StoredManifest(content=content, record=read_manifest(content, source=MANIFEST_NAME))
    except ContentError:
        # A manifest that cannot be read may still be of a damaged bundle of ours. Then its headers decide, which nobody
        # else writes so, and the canonical profile names the damage.
        is_canonical = reader.header_found == GZIP_HEADER and header.raw == make_header(MANIFEST_NAME, size=header.size)
        return Recognised(is_legacy=not is_native_manifest(content, otherwise=is_canonical))
    is_readable = header.name == MANIFEST_NAME and header.is_regular  # else the canonical walk does not take it either
    return Recognised(is_legacy=False, stored=stored if is_readable else None)


def is_native_manifest(content: bytes, *, otherwise: bool) -> bool:
    """Whether a manifest says that it is of this program; `otherwise` if it cannot be read at all."""
    try:
        value = strict_loads(content, source=MANIFEST_NAME)
    except ContentError:
        return otherwise or b'"schema_version"' in content
    return isinstance(value, dict) and "schema_version" in value
