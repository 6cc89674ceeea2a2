"""Hold a reproduction together with whatever else is known of its bundle here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.records.certificate import CertificateCheck
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import AnyManifest
from hstu_preserve.records.results import Reproduction

if TYPE_CHECKING:
    from hstu_preserve.evaluation.ranks import UserRanks
    from hstu_preserve.pages.users import UserTraits


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """One run that was trained anew.

    Attributes:
        seed: Of its recipe.
        results: What it recorded.
    """

    seed: int
    results: ResultsRecord


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One reproduction with whatever else is known of its bundle here.

    Attributes:
        reproduction: The record.
        record_path: The file that it was read from; None if it was made by this very command.
        manifest: The bundle's; None if the bundle is not here.
        results: Its recorded results.
        recorded_ranks: Every user's recorded rank.
        found_ranks: Every user's rank in the re-run.
        traits: What the data says of these users.
        retrained: Runs that were trained anew, as far as they were kept.
        certificates: Those that lie beside the bundle or the record.
        gaps: Why something of this is missing.
    """

    reproduction: Reproduction
    record_path: Path | None = None
    manifest: AnyManifest | None = None
    results: ResultsRecord | None = None
    recorded_ranks: "UserRanks | None" = None
    found_ranks: "UserRanks | None" = None
    traits: "UserTraits | None" = None
    retrained: Sequence[Retrained] = ()
    certificates: Sequence[CertificateCheck] = ()
    gaps: Sequence[str] = ()
