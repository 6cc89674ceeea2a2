"""Read the members of a legacy archive: its own manifest, gin chains, checkpoint names and curves."""

import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, CONFIG_FOLDER
from hstu_preserve.checkpoint_files.names import epoch_of_name
from hstu_preserve.errors import ContentError
from hstu_preserve.legacy.chains import describe_chains
from hstu_preserve.legacy.metric_spellings import split_test_tag
from hstu_preserve.legacy.own_manifest import MAX_TEXT_BYTES, choose_manifest
from hstu_preserve.legacy.recorded_run import MAX_POINTS, EvaluatedPoints
from hstu_preserve.legacy.walker import LegacyMember
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.paths import GIN_SUFFIX, is_companion
from hstu_preserve.primitives.strict_json import strict_loads
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.legacy.shown import ShownChain, ShownCheckpoint, ShownCurve
from hstu_preserve.records.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

EVENTS_MARK = ".tfevents."
MAX_GIN_BYTES = 2**20
MAX_GIN_FILES = 256
MAX_ALL_GIN_BYTES = 2**24
MAX_TAGS = 1000


@dataclass(frozen=True, kw_only=True)
class LegacyContents:
    """The contents of an archive, as far as they are read.

    Attributes:
        manifest_path: Where its own manifest is, if it has one.
        manifest: That manifest; None also where it is no strict JSON.
        manifest_text: Its bytes, if they are strict JSON: a number's printed places are lost in its value.
        chains: Its gin chains.
        gins: The bytes of its gin files, by path.
        checkpoints: Its checkpoints by name.
        curves: Each tag of its event files.
        evaluated: Every point of the metrics over the test items.
        problems: Files that could not be read as what their place says they are.
    """

    manifest_path: str | None
    manifest: Json
    manifest_text: bytes
    chains: tuple[ShownChain, ...]
    gins: Mapping[str, bytes]
    checkpoints: tuple[ShownCheckpoint, ...]
    curves: tuple[ShownCurve, ...]
    evaluated: EvaluatedPoints
    problems: tuple[str, ...]


@dataclass(kw_only=True)
class LegacyReading:
    """Takes from the members of an archive, as they pass, what can be said of it."""

    gins: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    checkpoints: list[ShownCheckpoint] = field(default_factory=list)
    curves: list[ShownCurve] = field(default_factory=list)
    evaluated: EvaluatedPoints = field(default_factory=EvaluatedPoints)
    problems: list[str] = field(default_factory=list)

    def take(self, member: LegacyMember) -> None:
        """Read the member, if it is of a kind that is read."""
        if is_checkpoint(member.path):
            self.checkpoints.append(describe_checkpoint(member))
        if is_manifest_path(member.path):
            self.manifests[member.path] = read_beginning(member)
        elif is_gin_file(member.path):
            before = sum(map(len, self.gins.values()))
            is_many = len(self.gins) == MAX_GIN_FILES or before + member.size > MAX_ALL_GIN_BYTES
            if member.size > MAX_GIN_BYTES or is_many:
                found = f"larger than {MAX_GIN_BYTES} bytes, or after too many others ({len(self.gins)})"
                self.problems.append(f"{member.path}: {found}")
            else:
                self.gins[member.path] = b"".join(member.chunks)
        elif is_event_file(member.path):
            self.curves += read_curves(member, evaluated=self.evaluated, problems=self.problems)

    def finish(self) -> LegacyContents:
        """Return what was read, once every member has passed."""
        path = choose_manifest(self.manifests)
        manifest = None if path is None else read_json(self.manifests[path], path, self.problems)
        if self.evaluated.is_cut:
            cut = f"of the metrics over the test items, the first {MAX_POINTS} points are read"
            self.problems.append(f"event files: {cut}")
        return LegacyContents(
            manifest_path=path,
            manifest=manifest,
            manifest_text=b"" if path is None or manifest is None else self.manifests[path],
            chains=describe_chains(self.gins, root=find_config_root(self.gins)),
            gins=self.gins,
            checkpoints=tuple(self.checkpoints),
            curves=tuple(self.curves),
            evaluated=self.evaluated,
            problems=tuple(self.problems),
        )


def read_contents(members: Iterable[LegacyMember]) -> LegacyContents:
    """Return what the members say, each read once and in turn."""
    reading = LegacyReading()
    for member in members:
        reading.take(member)
    return reading.finish()


def is_manifest_path(path: str) -> bool:
    """Whether a member may be the archive's own manifest: at its top, or in the one folder that it was made of."""
    return PurePosixPath(path).name == MANIFEST_NAME and path.count("/") <= 1 and not is_companion(path)


def is_gin_file(path: str) -> bool:
    """Whether a member is named as gin files are."""
    return path.endswith(GIN_SUFFIX) and not is_companion(path)


def is_event_file(path: str) -> bool:
    """Whether a member is named as event files are."""
    return EVENTS_MARK in PurePosixPath(path).name and not is_companion(path)


def read_beginning(member: LegacyMember) -> bytes:
    """Return the member's content, of one that is too large only so much that this is seen."""
    # One byte beyond the limit is enough to refuse it; the rest, which may be gigabytes, is not kept.
    content = bytearray()
    for chunk in member.chunks:
        content += chunk
        if len(content) > MAX_TEXT_BYTES:
            break
    return bytes(content)


def read_json(content: bytes, path: str, problems: list[str]) -> Json:
    """Return the value, or None with a problem noted."""
    try:
        return strict_loads(content, source=path)
    except ContentError as error:
        problems.append(str(error))
        return None


def read_curves(member: LegacyMember, *, evaluated: EvaluatedPoints, problems: list[str]) -> list[ShownCurve]:
    """Return each tag of an event file with its last value; of a damaged file none, and the damage as a problem.

    A file that ends within a record, as a killed run leaves it, keeps the points before that record.
    """
    from hstu_preserve.event_files.reader import CutOffError, ScalarPoint, iterate_scalars

    last: dict[str, ScalarPoint] = {}
    tested: list[ScalarPoint] = []
    counts: Counter[str] = Counter()
    try:
        for point in iterate_scalars(io.BufferedReader(ChunkStream(member.chunks)), source=member.path):
            last[point.tag] = point
            counts[point.tag] += 1
            if split_test_tag(point.tag) is not None and len(tested) < MAX_POINTS:
                tested.append(point)
            if len(last) > MAX_TAGS:
                problems.append(f"{member.path}: more than {MAX_TAGS} tags")
                return []
    except CutOffError as error:
        problems.append(f"{error}; the {sum(counts.values())} points before it are whole")
    except ContentError as error:
        problems.append(str(error))
        return []
    evaluated.take(tested, file=member.path)
    return [
        ShownCurve(
            file=member.path,
            tag=printable(tag),
            num_points=counts[tag],
            last_step=point.step,
            last_value=point.value if math.isfinite(point.value) else None,
        )
        for tag, point in last.items()
    ]


class ChunkStream(io.RawIOBase):
    """A member's content as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks
        self.rest = memoryview(b"")

    def readable(self) -> bool:
        """It can only be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill the buffer from the next chunk."""
        if not self.rest:
            self.rest = memoryview(next(self.chunks, b""))
        target = memoryview(buffer)
        size = min(len(target), len(self.rest))
        target[:size] = self.rest[:size]
        self.rest = self.rest[size:]
        return size


def find_config_root(paths: Iterable[str]) -> str:
    """Return the folder that all gin files lie in, which includes are also looked up in."""
    folders = [PurePosixPath(path).parent for path in paths]
    for path in folders:
        if path.name == CONFIG_FOLDER:
            return str(path)
    return "."


def is_checkpoint(path: str) -> bool:
    """Whether a member lies among the checkpoints."""
    return CHECKPOINT_FOLDER in PurePosixPath(path).parts[:-1] and not is_companion(path)


def describe_checkpoint(member: LegacyMember) -> ShownCheckpoint:
    """Return a checkpoint with the epoch that its name gives."""
    return ShownCheckpoint(path=member.path, size=member.size, epoch=epoch_of_name(member.path))
