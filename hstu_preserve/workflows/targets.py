"""What a TARGET names: a local path first, then `sample`, then an id of the catalog."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.errors import MissingPathError, UnavailableError, UnknownNameError, UsageError
from hstu_preserve.primitives.shipped import shipped_directory

if TYPE_CHECKING:
    from hstu_preserve.records.catalog import CatalogEntry

SAMPLE = "sample"
SAMPLE_BUNDLE = "sample-hstu-synthetic.tar.gz"


@dataclass(frozen=True, kw_only=True)
class LocalTarget:
    """A bundle, run directory or gin file on this machine.

    Attributes:
        text: What the user typed.
        path: Where it is.
    """

    text: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class CatalogTarget:
    """A published experiment whose bundle is not on this machine.

    Attributes:
        text: What the user typed.
        entry: What is known of it.
    """

    text: str
    entry: "CatalogEntry"


def resolve_target(text: str) -> LocalTarget | CatalogTarget:
    """Return what `text` names.

    Raises:
        MissingPathError: It looks like a path and there is nothing.
        UnknownNameError: Neither a path nor an id; the nearest ids are offered.
    """
    path = Path(text)
    if path.exists():
        return LocalTarget(text=text, path=path)
    if text == SAMPLE:
        return LocalTarget(text=text, path=shipped_directory("bundles") / SAMPLE_BUNDLE)
    if looks_like_path(text):
        raise MissingPathError(f"{text}: no such file or directory")
    from hstu_preserve.workflows.catalog import read_catalog

    catalog = read_catalog()
    if text in catalog:
        return CatalogTarget(text=text, entry=catalog[text])
    if text in list_chains():
        return LocalTarget(text=text, path=list_chains()[text])
    raise UnknownNameError(
        kind="path or catalog id", name=text, known=[*catalog, SAMPLE], hint="'hstu-preserve list' shows all ids"
    )


def list_chains() -> dict[str, Path]:
    """Return the gin chains that come with the program, by id."""
    files = shipped_directory("bundles").glob("*/config/*.gin")
    return {file.stem: file for file in files if file.parts[-3] == file.stem}


def looks_like_path(text: str) -> bool:
    """Whether a person who types this means a path."""
    return "/" in text or text.startswith(".") or text.endswith((".gz", ".tar", ".tgz", ".gin", ".json"))


def require_local(text: str) -> LocalTarget:
    """Return the bundle or directory that `text` names, which must be on this machine.

    Raises:
        UnavailableError: A catalog id whose bundle is not here; the message says where it is.
        UsageError: A catalog id, or one of our recipes, that has no bundle at all.
    """
    target = resolve_target(text)
    if isinstance(target, LocalTarget) and not Path(text).exists() and target.path.suffix == ".gin":
        raise UsageError(f"{text}: a recipe without a bundle; make one with 'hstu-preserve train {text}'")
    if isinstance(target, LocalTarget):
        return target
    bundle = target.entry.bundle
    if bundle is None:
        raise UsageError(f"{text}: a published number without a bundle; there is nothing to re-run")
    raise UnavailableError(
        f"{text}: its bundle is not on this machine; fetch {bundle.path} from the Hugging Face Hub repository "
        f"{bundle.repository} and name the file"
    )
