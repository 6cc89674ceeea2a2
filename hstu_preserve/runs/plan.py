"""The plan of a training: everything that is known before the run directory is looked at."""

from dataclasses import dataclass

from hstu_preserve.data.store import Store
from hstu_preserve.gin_recipes.reader import GinChain
from hstu_preserve.gin_recipes.resolve import Resolution
from hstu_preserve.records.environment import TrainingPath
from hstu_preserve.records.evaluation import RankingPath
from hstu_preserve.records.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A gin chain to train, the data and the device.

    Attributes:
        chain: The gin chain, which is copied into the run.
        resolution: The recipe, claims and settings that the chain resolved to.
        store: The data.
        device: `auto`, `cpu` or `cuda`.
        recorded_path: How the steps of the run were computed that is trained again; None for a run of its own.
        ranking_path: How users are ranked; None for what suits the device.
    """

    chain: GinChain
    resolution: Resolution
    store: Store
    device: str = "auto"
    recorded_path: TrainingPath | None = None
    ranking_path: RankingPath | None = None

    @property
    def recipe(self) -> Recipe:
        """All settings that decide a result."""
        return self.resolution.recipe

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on bindings of the chain that the chosen model does not read."""
        return tuple(map(str, self.resolution.warnings))
