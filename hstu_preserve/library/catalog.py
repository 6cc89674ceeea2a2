"""Read the catalog of published experiments, and find the gin chains that come with the program."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from hstu_preserve.primitives.files import read_bytes
from hstu_preserve.primitives.shipped import shipped_directory
from hstu_preserve.records.catalog import CatalogEntry


def list_chains() -> dict[str, Path]:
    """Return the gin chains that come with the program, by id."""
    files = shipped_directory("bundles").glob("*/config/*.gin")
    return {file.stem: file for file in files if file.parts[-3] == file.stem}


def find_by_file_name(name: str) -> CatalogEntry | None:
    """Return the published experiment whose bundle has a file of this name, None if there is none."""
    entries = (entry for entry in read_catalog().values() if entry.bundle is not None)
    return next((entry for entry in entries if entry.bundle is not None and entry.bundle.path == name), None)


@cache
def read_catalog() -> Mapping[str, CatalogEntry]:
    """Return every entry by its id, read once in a process.

    Raises:
        ContentError: A file of the catalog is damaged.
    """
    paths = sorted(shipped_directory("manifests").glob("*.json"))
    entries = (CatalogEntry.from_json(read_bytes(path), source=str(path)) for path in paths)
    return MappingProxyType({entry.id: entry for entry in entries})
