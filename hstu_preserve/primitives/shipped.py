"""Find the catalog and the sample bundle: inside the installed package, or in place in a checkout."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent


def shipped_directory(name: str) -> Path:
    """Return the directory `manifests` or `bundles`, as the wheel carries it or as the checkout has it."""
    carried = PACKAGE / "shipped" / name
    return carried if carried.is_dir() else PACKAGE.parent / name
