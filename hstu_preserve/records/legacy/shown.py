"""What a legacy archive holds, as `show` prints it: gin chains, checkpoints, curves."""

from pydantic import JsonValue

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.records.legacy.outcomes import LegacyFile, Md5
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.record import Record


class ShownBinding(Record):
    """One gin binding as it is written."""

    name: str
    value: str
    place: str
    """File and line."""


class ShownChain(Record):
    """A gin file that no other one includes, with what it includes."""

    entry: str
    files: tuple[str, ...]
    known: tuple[ShownBinding, ...]
    """Names that this program knows."""
    unknown: tuple[ShownBinding, ...]
    """Names that it does not: the recipe cannot be run without what they stand for."""
    known_part: Recipe | None
    """What the known names alone resolve to; the recipe only where `unknown` is empty."""
    problem: str | None
    """Why the chain, or its known part, does not resolve."""


class ShownCheckpoint(Record):
    """A checkpoint by its name."""

    path: str
    size: int
    epoch: int | None
    """From `_epN` at the end of its name."""


class ShownCurve(Record):
    """One tag of an event file."""

    file: str
    tag: str
    num_points: int
    last_step: int
    last_value: float | None
    """None where it is not a finite number."""


class ShownLegacy(Record):
    """A legacy archive as it was read, its bytes compared with nothing."""

    target: str
    source: str
    md5: Md5
    sha256: Sha256
    files: tuple[LegacyFile, ...]
    manifest_path: str | None
    manifest: JsonValue
    """Its own `MANIFEST.json`, of unknown schema, as it was found; None where there is none or it is no strict JSON."""
    chains: tuple[ShownChain, ...]
    checkpoints: tuple[ShownCheckpoint, ...]
    curves: tuple[ShownCurve, ...]
    problems: tuple[str, ...]
    """Files that could not be read as what their place says they are."""
