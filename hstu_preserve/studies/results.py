"""Records of studies: several seeds of a recipe that were trained, and recipes that are compared with each other."""

from pathlib import Path

from pydantic import Field

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.numbers import AnyFloat, NaturalInt, NonNegativeFloat, PositiveFloat, PositiveInt, Share
from hstu_preserve.records.claim import MetricName, SelectionRule
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.recipe import Protocol
from hstu_preserve.records.record import Record


class TrainedSeed(Record):
    """One run of a study."""

    seed: NaturalInt
    path: Path
    identity: Sha256 | None
    """None if its training diverged, so that there is nothing to pack."""
    value: Share | None
    """Of the first claim's metric; None likewise."""
    is_diverged: bool
    was_there: bool
    """Whether an earlier call had trained it to its end."""


class TrainedSeeds(Record):
    """One recipe, trained with several seeds into one folder."""

    path: Path
    metric: MetricName
    runs: tuple[TrainedSeed, ...]
    warnings: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """3 if a training diverged."""
        return ContentError.exit_code if any(run.is_diverged for run in self.runs) else 0


class ComparedRun(Record):
    """One run, as it was recorded."""

    path: str
    identity: Sha256 | None
    """None if its training diverged."""
    seed: NaturalInt
    value: Share
    """Of the metric; 0 if its training diverged."""
    is_diverged: bool
    coverage_at_10: Share | None
    seconds: NonNegativeFloat | None
    """Of training and evaluation, from the times in its event file; a pause before it was resumed does not count."""
    steps_per_second: PositiveFloat | None
    device: str | None


class MeanDifference(Record):
    """A mean difference to the baseline, positive if the recipe has more."""

    difference: AnyFloat
    half_width: NonNegativeFloat | None
    """Of its 95 % interval; None if nothing is known of the scatter."""
    p_value: Share | None
    """Of no difference, two-sided; None likewise, and if nothing scatters at all."""
    p_holm: Share | None
    """Corrected by Holm's procedure for the number of recipes that are compared with the baseline."""
    num_pairs: PositiveInt | None
    """Pairs of runs with one seed, or users; None if the seeds do not pair, so that two groups are compared."""


class ComparedRecipe(Record):
    """One recipe: its runs, and how it differs from the baseline."""

    name: str
    recipe_sha256: Sha256
    """Of the recipe with a seed of 0: the same for all of its runs."""
    settings: dict[str, str]
    """The settings that the baseline has otherwise, by gin name."""
    runs: tuple[ComparedRun, ...]
    """In the order of their seeds."""
    mean: Share
    half_width: NonNegativeFloat | None
    """Of the mean's 95 % interval over seeds, by the spread that the recipes share, or by its own if it scatters more
    than the others; None of one run."""
    spread: NonNegativeFloat | None
    """The standard deviation of its own runs; None of one run."""
    over_seeds: MeanDifference | None
    """None of the baseline."""
    over_users: MeanDifference | None
    """The same difference, averaged over the seeds first: the scatter is that of the users. None of the baseline."""
    detectable: NonNegativeFloat | None
    """The difference over seeds that a test of so many runs finds four times in five, at 5 % and by the shared
    spread."""
    coverage_at_10: Share | None
    """Mean over the runs that have one."""
    seconds: NonNegativeFloat | None
    steps_per_second: PositiveFloat | None


class Comparison(Record):
    """Recipes compared over their seeds and over the same users."""

    metric: MetricName
    baseline: str
    """The name of a recipe."""
    data_name: str
    data_fingerprint: Sha256
    protocol: Protocol
    selection_rule: SelectionRule
    filter_all_seen: bool
    kind: EvaluationKind = EvaluationKind.WINDOW
    """Among which items the targets were ranked."""
    num_users: NaturalInt
    spread: NonNegativeFloat | None
    """The standard deviation from run to run within the recipes; None if no recipe has two runs."""
    degrees: NaturalInt
    """Of freedom of the spread: runs less recipes, those that scatter more than the others left out."""
    recipes: tuple[ComparedRecipe, ...] = Field(min_length=1)
    """The baseline first, the others by their means."""
    notes: tuple[str, ...]
    """What the figures do not show."""
