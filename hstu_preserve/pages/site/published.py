"""Hold a published result together with what is known of it here."""

from collections.abc import Sequence
from dataclasses import dataclass

from hstu_preserve.pages.figures import Curve
from hstu_preserve.pages.judged import Judged
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.results import ListedExperiment


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published result with what is known of it here.

    Attributes:
        listed: The catalog's entry, with its gain.
        compared_with: The row that the gain is taken over.
        recipe: Lines of the recipe that comes with the program; empty if there is none.
        is_here: Whether its bundle is on this machine.
        curve: That the bundle's run recorded of the headline metric; None if no bundle is here, or it has none.
        judged: Reproductions of its bundle.
        gaps: Why something of this is missing.
    """

    listed: ListedExperiment
    compared_with: CatalogEntry | None = None
    recipe: Sequence[str] = ()
    is_here: bool = False
    curve: Curve | None = None
    judged: Sequence[Judged] = ()
    gaps: Sequence[str] = ()
