"""Make a comparison of recipes from what their runs recorded; refuse runs that cannot be compared."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.primitives.wording import count, list_some
from hstu_preserve.records.claim import SelectionRule
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.recipe import Protocol, Recipe
from hstu_preserve.studies.over_seeds import Difference, OverSeeds, summarize
from hstu_preserve.studies.paired import compare_pairs, correct_by_holm
from hstu_preserve.studies.results import ComparedRecipe, ComparedRun, Comparison, MeanDifference
from hstu_preserve.verdict.statistics import mean

Ids = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
MAX_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What two numbers must have in common to be comparable."""

    data_fingerprint: str
    protocol: Protocol
    kind: EvaluationKind
    candidates: str
    selection_rule: SelectionRule


TERM_NAMES = {
    "data_fingerprint": "data fingerprint",
    "protocol": "protocol",
    "kind": "kind of evaluation",
    "candidates": "candidates",
    "selection_rule": "selection of the epoch",
}


@dataclass(frozen=True, kw_only=True)
class UserScores:
    """What each user contributes to the metric's mean; arrays of one length, in one order.

    Attributes:
        user_ids: Raw user ids.
        target_ids: The held-out item of each.
        scores: The metric of each.
    """

    user_ids: Ids
    target_ids: Ids
    scores: Scores


@dataclass(frozen=True, kw_only=True)
class StudiedRun:
    """One run that takes part in a comparison.

    Attributes:
        run: What is shown of it.
        origin: The target that the user named.
        recipe: Its recipe.
        recipe_id: The name that its author gave it.
        data_name: Of its data.
        terms: By which its number can be compared.
        users: Each user's part; None if its training diverged.
    """

    run: ComparedRun
    origin: str
    recipe: Recipe
    recipe_id: str
    data_name: str
    terms: Terms
    users: UserScores | None

    def is_called(self, name: str) -> bool:
        """Whether a user who writes this name means the run, its folder or its recipe."""
        return name == self.recipe_id or PurePath(name) in {PurePath(self.origin), PurePath(self.run.path)}

    @property
    def key(self) -> str:
        """The digest of the recipe without its seed."""
        return without_seed(self.recipe).digest()


def without_seed(recipe: Recipe) -> Recipe:
    """Return the recipe with a seed of 0, which the runs of one recipe have in common."""
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"random_seed": 0})})


@dataclass(frozen=True, kw_only=True)
class Group:
    """The runs of one recipe.

    Attributes:
        name: Tells it from the others.
        settings: The settings that the baseline has otherwise, by gin name.
        runs: In the order of their seeds.
    """

    name: str
    settings: Mapping[str, str]
    runs: Sequence[StudiedRun]

    @property
    def values(self) -> dict[int, float]:
        """The metric by seed."""
        return {one.run.seed: one.run.value for one in self.runs}


def group_by_recipe(runs: Sequence[StudiedRun]) -> list[list[StudiedRun]]:
    """Return the runs of each recipe in the order of their seeds, the recipes in the order in which they were named.

    Raises:
        UsageError: A run is there twice, or two runs of a recipe have one seed.
        ContentError: Two runs cannot be compared: other data, protocol, kind of evaluation, candidates or selection.
    """
    require_distinct(runs)
    for one in runs:
        require_same_terms(runs[0], one)
    groups: dict[str, list[StudiedRun]] = {}
    for one in runs:
        groups.setdefault(one.key, []).append(one)
    for its in groups.values():
        its.sort(key=lambda one: one.run.seed)
        require_distinct_seeds(its)
    return list(groups.values())


def require_distinct(runs: Sequence[StudiedRun]) -> None:
    """Raise UsageError if a run is there twice, be it as a directory and as a bundle."""
    seen: dict[str, str] = {}
    for one in runs:
        identity = one.run.identity or one.run.path
        if identity in seen:
            raise UsageError(f"{one.run.path}: the same run as {seen[identity]}; name it once")
        seen[identity] = one.run.path


def require_distinct_seeds(runs: Sequence[StudiedRun]) -> None:
    """Raise UsageError if two runs of a recipe have one seed: the same draw made twice says nothing of the scatter."""
    by_seed: dict[int, str] = {}
    for one in runs:
        other = by_seed.setdefault(one.run.seed, one.run.path)
        if other != one.run.path:
            raise UsageError(
                f"{one.run.path} and {other}: two runs of one recipe with seed {one.run.seed}, the same draw made "
                "twice; leave one out"
            )


def require_same_terms(first: StudiedRun, other: StudiedRun) -> None:
    """Raise ContentError, naming both, if the numbers of two runs cannot be compared."""
    for field in fields(Terms):
        one, two = getattr(first.terms, field.name), getattr(other.terms, field.name)
        if one != two:
            raise ContentError(
                f"{first.run.path} and {other.run.path} cannot be compared: {TERM_NAMES[field.name]} {one} there, "
                f"{two} here; numbers of different terms say nothing of the recipes"
            )


def require_same_users(runs: Sequence[StudiedRun]) -> UserScores:
    """Return the users of the first run that ranked any; every other one ranked the same, with the same targets.

    Raises:
        ContentError: Two runs ranked other users or targets.
    """
    ranked = [(one.run.path, one.users) for one in runs if one.users is not None]
    if not ranked:
        raise ContentError("all trainings diverged; there is nothing to compare")
    path, first = ranked[0]
    for other_path, users in ranked:
        if not (
            np.array_equal(first.user_ids, users.user_ids)
            and np.array_equal(first.target_ids, users.target_ids)
            and len(first.scores) == len(users.scores)
        ):
            raise ContentError(f"{path} and {other_path} cannot be compared: they ranked other users or targets")
    return first


def compare_recipes(groups: Sequence[Group], *, baseline: str, metric: str) -> Comparison:
    """Return the comparison of recipes.

    Args:
        groups: Runs that `group_by_recipe` took, with the names of their recipes.
        baseline: The name of one of them.
        metric: Of the values and scores of the runs.

    Raises:
        ContentError: Two runs ranked other users or targets, or every training diverged.
    """
    every = [one for group in groups for one in group.runs]
    users = require_same_users(every)
    seeds, spread = summarize({group.name: group.values for group in groups}, baseline=baseline)
    over_users = compare_users(groups, baseline=baseline, num_scores=len(users.scores))
    recipes = [
        describe(group, seeds=seeds[group.name], over_users=over_users.get(group.name))
        for group in sorted(groups, key=lambda one: (one.name != baseline, -seeds[one.name].mean))
    ]
    first = every[0]
    return Comparison(
        metric=metric,
        baseline=baseline,
        data_name=first.data_name,
        data_fingerprint=first.terms.data_fingerprint,
        protocol=first.terms.protocol,
        selection_rule=first.terms.selection_rule,
        filter_all_seen=first.terms.kind is EvaluationKind.ALL_SEEN,
        kind=first.terms.kind,
        num_users=len(users.user_ids),
        spread=spread.value if spread else None,
        degrees=spread.degrees if spread else 0,
        recipes=tuple(recipes),
        notes=tuple(list_notes(groups, seeds=seeds, baseline=baseline)),
    )


def compare_users(groups: Sequence[Group], *, baseline: str, num_scores: int) -> dict[str, MeanDifference]:
    """Return each recipe's difference to the baseline, paired by user, each averaged over its seeds first.

    Args:
        groups: The recipes.
        baseline: The name of one of them.
        num_scores: Users that the metric counts.
    """
    averages = {group.name: average_over_seeds(group, num_scores=num_scores) for group in groups}
    base = averages[baseline]
    tested = {name: compare_pairs(one, base) for name, one in averages.items() if name != baseline}
    corrected = correct_by_holm([one.p_value for one in tested.values()])
    return {
        name: MeanDifference(
            difference=one.difference,
            half_width=one.half_width,
            p_value=one.p_value,
            p_holm=p_holm,
            num_pairs=len(base),
        )
        for (name, one), p_holm in zip(tested.items(), corrected, strict=True)
    }


def average_over_seeds(group: Group, *, num_scores: int) -> Scores:
    """Return each user's mean score over the runs; in one that diverged, everybody's is 0."""
    ranked = [one.users.scores for one in group.runs if one.users is not None]
    return np.asarray(np.sum([np.zeros(num_scores), *ranked], axis=0) / len(group.runs))


def describe(group: Group, *, seeds: OverSeeds, over_users: MeanDifference | None) -> ComparedRecipe:
    """Return one recipe's record."""
    runs = [one.run for one in group.runs]
    return ComparedRecipe(
        name=group.name,
        recipe_sha256=group.runs[0].key,
        settings=dict(group.settings),
        runs=tuple(runs),
        mean=seeds.mean,
        half_width=seeds.half_width,
        spread=seeds.spread,
        over_seeds=record_difference(seeds.difference, num_runs=len(runs)),
        over_users=over_users,
        detectable=seeds.difference.detectable if seeds.difference else None,
        coverage_at_10=average([run.coverage_at_10 for run in runs]),
        seconds=average([run.seconds for run in runs]),
        steps_per_second=average([run.steps_per_second for run in runs]),
    )


def record_difference(found: Difference | None, *, num_runs: int) -> MeanDifference | None:
    """Return a difference over seeds as a record."""
    if found is None:
        return None
    return MeanDifference(
        difference=found.estimate.difference,
        half_width=found.estimate.half_width,
        p_value=found.estimate.p_value,
        p_holm=found.p_holm,
        num_pairs=num_runs if found.is_paired else None,
    )


def average(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are there, None if none is."""
    known = [value for value in values if value is not None]
    return mean(known) if known else None


def list_notes(groups: Sequence[Group], *, seeds: Mapping[str, OverSeeds], baseline: str) -> Iterator[str]:
    """Yield a sentence for each thing that a reader of the figures would not see."""
    base = next(group for group in groups if group.name == baseline)
    for group in groups:
        yield from note_runs(group, seeds=seeds[group.name])
        difference = seeds[group.name].difference
        if difference is not None and not difference.is_paired:
            yield (
                f"{group.name} has seeds {list_seeds(group)} and {baseline} has {list_seeds(base)}: they do not pair, "
                "so that two groups are compared"
            )
        longer, shorter = (one.runs[0].recipe.dataset.max_sequence_length for one in (group, base))
        if longer != shorter and group.runs[0].terms.kind is EvaluationKind.WINDOW:
            yield (
                f"{group.name} reads {longer} events and {baseline} {shorter}: what is read is filtered, so that they "
                "rank among other items"
            )
    devices = Counter(one.run.device for group in groups for one in group.runs if one.run.device is not None)
    if len(devices) > 1:
        yield f"trained on {list_some(devices, at_most=MAX_NAMED)}: their seconds do not compare"


def note_runs(group: Group, *, seeds: OverSeeds) -> Iterator[str]:
    """Yield what is odd about the runs of one recipe."""
    for one in group.runs:
        if one.run.is_diverged:
            yield f"{group.name}: seed {one.run.seed} diverged ({one.run.path}); it counts as 0"
    if len(group.runs) < 2:
        yield f"{group.name} has one run, which says nothing of its scatter: no interval"
    elif seeds.spread == 0:
        yield f"{group.name}: {count(len(group.runs), 'run')} with the very same value; the seed may decide nothing"
    if seeds.scatters_more:
        yield (
            f"{group.name} scatters more than the others (spread {seeds.spread:.4f}): its interval rests on its own "
            "runs, and theirs not on it"
        )


def list_seeds(group: Group) -> str:
    """Return the seeds of a recipe's runs."""
    return list_some([str(one.run.seed) for one in group.runs], at_most=MAX_NAMED)
