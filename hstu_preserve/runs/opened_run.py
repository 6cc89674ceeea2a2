"""A run directory while this process trains into it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.compute.world import World
from hstu_preserve.data.store import Store
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.records.evaluation import RankingPath
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.runs.signals import RunStopped, StopRequest

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class OpenedRun:
    """A run directory that no other command trains into, and everything around it that training needs.

    Attributes:
        output: The run directory.
        record: The recipe, policy and data that were fixed before the first step.
        store: The data.
        device: Where the model lives.
        ranking_path: How users are ranked if the run begins here.
        world: The processes that train it; the first one writes.
        stop: Whether somebody asked the run to stop.
        voice: Says and shows what happens; silent on every process but the first.
    """

    output: Path
    record: RunRecord
    store: Store
    device: "torch.device"
    ranking_path: RankingPath
    world: World
    stop: StopRequest
    voice: Voice

    @property
    def recipe(self) -> Recipe:
        """The recipe that was fixed before the first step."""
        return self.record.recipe

    def show_unless_stopped(self, progress: Progress) -> None:
        """Show the progress of a batch of an evaluation.

        Raises:
            RunStopped: Somebody asked the run to stop: an evaluation can take as long as an epoch.
        """
        self.voice.show(progress)
        # This process alone decides, without asking the others: torchrun sends the signal to every process, and kills
        # those that stay longer than it waits.
        if self.stop.is_made:
            raise RunStopped
