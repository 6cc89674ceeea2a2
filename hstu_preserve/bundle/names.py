"""The file name that a bundle gets unless the user names another."""

from hstu_preserve.primitives.archive_names import strip_suffix
from hstu_preserve.records.manifest import AnyManifest, MigratedManifest

BUNDLE_SUFFIX = ".tar.gz"


MIGRATED_SUFFIX = f".migrated{BUNDLE_SUFFIX}"


def choose_name(manifest: AnyManifest) -> str:
    """Return the file name that a bundle has unless the user gives another."""
    if isinstance(manifest, MigratedManifest):
        return name_migrated(manifest.source.name)
    return f"{manifest.run.bundle.id}{BUNDLE_SUFFIX}"


def name_migrated(name: str) -> str:
    """Return the file name that a bundle made from a legacy archive of this name has."""
    return f"{strip_suffix(name)}{MIGRATED_SUFFIX}"
