"""Make a bundle of the present schema version of an earlier one: the same files under a manifest that names both."""

from pathlib import Path

from hstu_preserve.bundle import archive
from hstu_preserve.bundle.destinations import require_new
from hstu_preserve.bundle.layout import StoredManifest
from hstu_preserve.bundle.opening import open_tree
from hstu_preserve.bundle.tree import write_seal
from hstu_preserve.certificates.checking import certificate_path
from hstu_preserve.library.sources import Source
from hstu_preserve.primitives.archive_names import name_migrated
from hstu_preserve.primitives.strict_json import strict_loads
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.manifest import MANIFEST_NAME, MAX_VALUES, read_manifest
from hstu_preserve.records.record import SCHEMA_VERSION
from hstu_preserve.records.results import UpgradeResult
from hstu_preserve.records.upgrade import EarlierBundle, upgrade_manifest
from hstu_preserve.signing.signer import signature_path


def is_earlier(source: Source) -> bool:
    """Whether a target is an archive whose manifest is of an earlier schema version than this release writes."""
    return source.stored is not None and source.path.is_file() and source.stored.record.schema_version < SCHEMA_VERSION


def upgrade(source: Source, *, output: Path | None, voice: Voice) -> UpgradeResult:
    """Write the bundle of the present schema version that has every file of an earlier one, byte for byte.

    Args:
        source: The earlier bundle, which is only read.
        output: The new one; None takes the name of the earlier with `.migrated.tar.gz`, in the current directory.
        voice: Shows how many bytes were read, and packed.

    Raises:
        UsageError: The output exists.
        VerificationError: The earlier bundle differs from its manifest; nothing is written.
        UnavailableError: It cannot be read, or the output cannot be written; nothing is left behind.
    """
    path, stored = source.path, source.require_manifest()
    destination = output or Path(name_migrated(path.name))
    require_new(destination, option="--output")
    upgraded = upgrade_stored(stored)
    with open_tree(path, known=stored, voice=voice) as root:  # a scratch folder, since the bundle is an archive
        write_seal(root, upgraded)
        packed = archive.pack(root, output=destination, voice=voice)
    beside = (signature_path(path), certificate_path(path))
    return UpgradeResult(
        bundle=packed,
        upgraded_from=EarlierBundle(schema_version=stored.record.schema_version, identity=stored.identity),
        left_behind=tuple(one.name for one in beside if one.is_file()),
    )


def upgrade_stored(stored: StoredManifest) -> StoredManifest:
    """Return the manifest that an earlier one becomes."""
    value = strict_loads(stored.content, source=MANIFEST_NAME, max_values=MAX_VALUES)
    assert isinstance(value, dict)  # it was read as a manifest
    content = upgrade_manifest(value, identity=stored.identity)
    return StoredManifest(content=content, record=read_manifest(content, source=MANIFEST_NAME))
