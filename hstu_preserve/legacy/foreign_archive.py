"""Hold together what an archive that somebody else made says, for its weights to be evaluated by anybody's code."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.legacy.consistency import MigratedTree
from hstu_preserve.legacy.contents import LegacyContents
from hstu_preserve.legacy.extraction import unpacked_file
from hstu_preserve.legacy.recorded_run import describe_run
from hstu_preserve.legacy.reported import list_numbers, list_pins
from hstu_preserve.legacy.verification import InspectedLegacy
from hstu_preserve.primitives.archive_names import strip_suffix
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.verdict.recorded import RecordedRun, ReportedNumber


@dataclass(frozen=True, kw_only=True)
class ForeignArchive:
    """A legacy archive, or the bundle that it became, whose bytes were compared.

    Attributes:
        target: As the user typed it, for commands to type next.
        name: Of the archive's file, without its suffix.
        contents: What its files say.
        numbers: What is reported of it.
        pinned_by: By fingerprint of a store, who says that it is the data.
        unpack: Gives the file that a path in the archive names, for as long as a block lasts.
    """

    target: str
    name: str
    contents: LegacyContents
    numbers: Sequence[ReportedNumber]
    pinned_by: dict[str, str]
    unpack: Callable[[str], AbstractContextManager[Path]]

    @property
    def run(self) -> RecordedRun:
        """What it holds of its own run."""
        contents = self.contents
        return describe_run(contents.evaluated, chains=contents.chains, checkpoints=contents.checkpoints)


def take_legacy(
    inspected: InspectedLegacy, path: Path, *, target: str, entry: CatalogEntry | None, voice: Voice
) -> ForeignArchive:
    """Return a legacy archive that was read whole; a file of it is unpacked only while the archive is the same."""
    contents, verification = inspected.contents, inspected.verification
    return ForeignArchive(
        target=target,
        name=strip_suffix(path.name),
        contents=contents,
        numbers=list_numbers(contents, entry=entry),
        pinned_by=list_pins(contents, entry=entry),
        unpack=lambda wanted: unpacked_file(path, wanted, verification=verification, voice=voice),
    )


def take_migrated(tree: MigratedTree, *, target: str, entry: CatalogEntry | None) -> ForeignArchive:
    """Return the archive that a migrated bundle was made of; its files are those of the bundle."""
    return ForeignArchive(
        target=target,
        name=strip_suffix(tree.manifest.source.name),
        contents=tree.contents,
        numbers=list_numbers(tree.contents, entry=entry),
        pinned_by=list_pins(tree.contents, entry=entry),
        unpack=lambda wanted: nullcontext(tree.locate(wanted)),
    )
