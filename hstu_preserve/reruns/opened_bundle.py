"""Open a bundle for re-runs: a directory whose every byte was compared with one manifest."""

import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.bundle.layout import DATA_FOLDER, METRICS, RANKS, STEPS
from hstu_preserve.bundle.opening import VerifiedTree
from hstu_preserve.bundle.results import MAX_RESULTS_BYTES
from hstu_preserve.data.finding import open_store_for_bundle
from hstu_preserve.data.store import Store
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.files import read_small
from hstu_preserve.primitives.paths import is_companion
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import Manifest

if TYPE_CHECKING:
    from hstu_preserve.evaluation.ranks import UserRanks


MAX_RECORD_BYTES = 8 * 2**20
MAX_STEPS_BYTES = 256 * 2**20
"""Of some four million recorded steps."""
MAX_RANKS_FILE_BYTES = 256 * 2**20


@dataclass(frozen=True, kw_only=True)
class RecordedStep:
    """One line of the recorded steps."""

    number: int
    """From 0, over the whole run."""
    epoch: int
    loss: float


@dataclass(frozen=True, kw_only=True)
class OpenedBundle:
    """A verified tree on disk; what it records is read once, when it is first asked for.

    Attributes:
        root: Where its files are.
        manifest: Which files they are, and the run they are of.
        entry: The published experiment by whose id it was fetched; None if the user named a file.
    """

    root: Path
    manifest: Manifest
    entry: CatalogEntry | None = None

    @property
    def checkpoint(self) -> Path:
        """The checkpoint behind the claims."""
        return self.root / self.manifest.checkpoint

    @property
    def data(self) -> Path:
        """The folder of the bundle's own store, if it carries one."""
        return self.root / DATA_FOLDER

    @cached_property
    def results(self) -> ResultsRecord:
        """The recorded results.

        Raises:
            ContentError: The bundle records none.
        """
        return ResultsRecord.from_json(self.read_file(METRICS, max_bytes=MAX_RESULTS_BYTES), source=METRICS)

    @cached_property
    def ranks(self) -> "UserRanks":
        """Every user's recorded rank.

        Raises:
            ContentError: The bundle records none.
        """
        from hstu_preserve.evaluation.ranks import read_ranks

        return read_ranks(self.read_file(RANKS, max_bytes=MAX_RANKS_FILE_BYTES), source=RANKS)

    @cached_property
    def steps(self) -> tuple[RecordedStep, ...]:
        """Every recorded step, in the order of the file.

        Raises:
            ContentError: The bundle records none, or a line is not a step.
        """
        return parse_steps(self.read_file(STEPS, max_bytes=MAX_STEPS_BYTES))

    @cached_property
    def store(self) -> Store | None:
        """The bundle's own data, every array hashed; None if it carries none.

        Raises:
            ContentError: It is not what the manifest names.
        """
        reference = self.manifest.run.data
        return open_store_for_bundle(reference, self.data) if reference.included else None

    def list_files_in(self, folder: str) -> list[str]:
        """Return the paths of the members in a folder; companions of macOS are members, but none of the run's files."""
        paths = (file.path for file in self.manifest.contents.files)
        return [path for path in paths if path.startswith(f"{folder}/") and not is_companion(path)]

    def read_file(self, path: str, *, max_bytes: int = MAX_RECORD_BYTES) -> bytes:
        """Return the content of one member, which is read whole and therefore must be small.

        Raises:
            ContentError: The bundle has no such member, or it is larger than `max_bytes`.
        """
        if not any(file.path == path for file in self.manifest.contents.files):
            raise ContentError(f"{path}: not in the bundle, which so cannot be re-run")
        return read_small(self.root / path, max_bytes=max_bytes)


def open_bundle(tree: VerifiedTree, *, entry: CatalogEntry | None) -> OpenedBundle:
    """Return the bundle in a tree whose bytes are those of its manifest, which is a run's."""
    manifest = tree.verification.manifest
    assert isinstance(manifest, Manifest)
    return OpenedBundle(root=tree.root, manifest=manifest, entry=entry)


def parse_steps(content: bytes) -> tuple[RecordedStep, ...]:
    """Return the recorded steps of a run, in the order of the file.

    Raises:
        ContentError: A line is not a step.
    """
    lines = io.StringIO(content.decode("utf-8", "replace"))
    return tuple(parse_step(line, place=f"{STEPS}:{number}") for number, line in enumerate(lines, start=1))


def parse_step(line: str, *, place: str) -> RecordedStep:
    """Return one recorded step.

    Raises:
        ContentError: The line is none.
    """
    try:
        step = json.loads(line)
        return RecordedStep(number=int(step["step"]), epoch=int(step["epoch"]), loss=float.fromhex(step["loss"]))
    except (ValueError, KeyError, TypeError, OverflowError):
        raise ContentError(f"{place}: not a step") from None
