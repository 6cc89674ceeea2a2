"""Look for the one change of how users are ranked under which every user has the recorded target and rank."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER
from hstu_preserve.checkpoint_files.names import epoch_of_name
from hstu_preserve.data.finding import STORES_VARIABLE, list_stores
from hstu_preserve.data.sequences import Sequences
from hstu_preserve.data.split import Part, count_held_out_events
from hstu_preserve.data.store import Store, open_store, verify_store
from hstu_preserve.errors import PreserveError
from hstu_preserve.evaluation.metrics import list_contributions
from hstu_preserve.evaluation.moves import measure_effect
from hstu_preserve.evaluation.ranks import BoolArray, Int64Array, UserRanks
from hstu_preserve.evaluation.reranking import (
    Reranked,
    ScoreFormat,
    Setting,
    TargetTime,
    rerank,
)
from hstu_preserve.inputs.items import describe_items, list_candidates
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import build_with_weights
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.store import TiePolicy
from hstu_preserve.records.verdict import Cause
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.training.checkpoint import read_checkpoint
from hstu_preserve.verdict.explanation import Trial, name_cause, name_movers, name_nearest
from hstu_preserve.verdict.rank_moves import Effect

SAMPLE_USERS = 2_000
HISTORIES = (200, 100, 50)
"""Common lengths, tried if the recipe's is longer."""
AS_IT_IS = "nothing changed"
RECORDED_ORDER = "as recorded"


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """A way to rank users that differs from the recipe's in one thing, and its words."""

    change: str
    setting: Setting


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All that is needed to rank a bundle's users in other ways.

    Attributes:
        bundle: Holds recipe, checkpoints and the recorded ranks.
        store: Its data.
        device: Where it is computed.
        tolerance: Of scores, within which the two arithmetics may exchange candidates; None if they are the same.
        metric: That effects are on.
        orders: By name, how the events are had in each order that is at hand: sorting takes a while.
    """

    bundle: OpenedBundle
    store: Store
    device: torch.device
    tolerance: float | None
    metric: str
    orders: Mapping[str, Callable[[], Sequences]]
    models: dict[str, Recommender] = field(default_factory=dict)
    """The last one that was built, by its checkpoint."""

    @property
    def recipe(self) -> Recipe:
        """The bundle's."""
        return self.bundle.manifest.run.recipe

    def find_model(self, checkpoint: str) -> Recommender:
        """Return the model with a checkpoint's weights."""
        if checkpoint not in self.models:
            self.models.clear()
            weights = read_checkpoint(self.bundle.root / checkpoint).weights
            items = describe_items(self.store, self.recipe)
            model = build_with_weights(self.recipe, items, weights, source=checkpoint)
            self.models[checkpoint] = model.to(self.device)
        return self.models[checkpoint]

    def list_candidates(self, candidates: str) -> Tensor:
        """Return the ids of all candidates, or of the rated ones."""
        dataset = self.recipe.dataset.model_copy(update={"candidates": candidates})
        return torch.from_numpy(list_candidates(self.store, self.recipe.model_copy(update={"dataset": dataset})))

    def rank(self, setting: Setting, recorded: UserRanks) -> Reranked:
        """Rank the users of recorded ranks that the store has."""
        events = self.orders[setting.order]()
        return rerank(
            self.find_model(setting.checkpoint),
            events,
            np.flatnonzero(np.isin(events.user_ids, recorded.user_ids)),
            setting=setting,
            candidate_I=self.list_candidates(setting.candidates),
            tolerance=self.tolerance,
            device=self.device,
        )


def set_scene(
    bundle: OpenedBundle, store: Store, *, device: torch.device, tolerance: float | None, metric: str
) -> Scene:
    """Return what is needed to rank a bundle's users in other ways, with every order of equal times that is at hand."""
    return Scene(
        bundle=bundle,
        store=store,
        device=device,
        tolerance=tolerance,
        metric=metric,
        orders={RECORDED_ORDER: always(store), **find_orders(store)},
    )


def find_orders(store: Store) -> dict[str, Callable[[], Sequences]]:
    """Return the events in other orders of equal times: by item id, and as stores of the same data here have them."""
    own = store.record.provenance.tie_policy
    orders: dict[str, Callable[[], Sequences]] = {}
    if own is not TiePolicy.ITEM_ID:
        orders[TiePolicy.ITEM_ID.value] = partial(order_by_item, store)
    folder = os.environ.get(STORES_VARIABLE)
    stores = list_stores(Path(folder))[0] if folder and Path(folder).is_dir() else {}
    for path, record in stores.items():
        policy = record.provenance.tie_policy
        is_other = (record.name, record.counts) == (store.name, store.record.counts) and policy is not own
        if is_other and policy.value not in orders:
            with suppress(PreserveError):  # a store that cannot be read explains nothing
                orders[policy.value] = always(open_whole(path))
    return orders


def open_whole(path: Path) -> Store:
    """Return a store, every array of which is hashed.

    Raises:
        PreserveError: It cannot be read, or an array was changed.
    """
    store = open_store(path)
    verify_store(store, place=path)
    return store


def always(events: Sequences) -> Callable[[], Sequences]:
    """Return the function that gives the events."""
    return lambda: events


def order_by_item(store: Store) -> Sequences:
    """Return every user's events by time and, if times are equal, by item id."""
    users = np.repeat(np.arange(store.num_users), store.lengths)
    order = np.lexsort((store.half_stars, store.item_ids, store.timestamps, users))
    return replace(
        store,
        item_ids=store.item_ids[order],
        half_stars=store.half_stars[order],
        timestamps=store.timestamps[order],
    )


def find_base(scene: Scene) -> Setting:
    """Return the way in which the recipe ranks."""
    recipe = scene.recipe
    tf32 = recipe.training.enable_tf32 and scene.device.type != "cpu"
    number_format = ScoreFormat.TF32 if tf32 else ScoreFormat.FLOAT32
    return Setting(
        kind=recipe.evaluation.effective_kind,
        held_out_events=count_held_out_events(recipe.dataset.protocol, part=Part.TEST),
        history=recipe.dataset.max_sequence_length,
        candidates=recipe.dataset.candidates,
        order=RECORDED_ORDER,
        number_format=ScoreFormat.BFLOAT16 if recipe.model.main_module_bf16 else number_format,
        ties_against=False,
        target_time=TargetTime.GIVEN,
        checkpoint=scene.bundle.manifest.checkpoint,
    )


def list_alternatives(scene: Scene) -> Iterator[Alternative]:
    """Yield every way that differs from the recipe's in one thing, the likeliest and cheapest first."""
    base = find_base(scene)
    change = partial(replace, base)
    filters = {
        EvaluationKind.WINDOW: "seen items filtered in the window that the model reads, not before it",
        EvaluationKind.ALL_SEEN: "seen items filtered over the whole history",
        EvaluationKind.UNFILTERED: "no seen item filtered",
    }
    if base.kind.is_sampled:  # of others' draws nothing is known, so that no full evaluation is explained by one
        filters |= {kind: f"evaluated as {kind.words}" for kind in EvaluationKind if kind.is_sampled}
    ways = [(words, change(kind=kind)) for kind, words in filters.items()]
    earlier = change(held_out_events=base.held_out_events + 1)
    ways.append(("the last event but one as target, as in validation", earlier))
    lengths = dict.fromkeys((*HISTORIES, base.history // 2, base.history - 1))
    ways += [(f"history of {length}", change(history=length)) for length in lengths if 0 < length < base.history]
    ways += [(f"{which} items as candidates", change(candidates=which)) for which in ("all", "rated")]
    ways += [(f"equal times ordered as {order}", change(order=order)) for order in scene.orders]
    for kind in ScoreFormat:
        ways.append((f"scores in {kind.value}", change(number_format=kind)))
        against = change(number_format=kind, ties_against=True)
        ways.append((f"scores in {kind.value}, ties counted against the target", against))
    ways.append(("the last event's time given as the target's", change(target_time=TargetTime.LAST_EVENT)))
    ways.append(("time 0 given as the target's", change(target_time=TargetTime.ZERO)))
    for name in scene.bundle.list_files_in(CHECKPOINT_FOLDER):
        epoch = epoch_of_name(name)
        ways.append((f"the checkpoint of {f'epoch {epoch}' if epoch is not None else name}", change(checkpoint=name)))
    yield from (Alternative(change=words, setting=setting) for words, setting in ways if setting != base)


def explain_ranks(scene: Scene, as_it_is: UserRanks, *, voice: Voice) -> Cause:
    """Return the first change under which every user has the recorded rank, else the one that comes nearest.

    Args:
        scene: The bundle and its data.
        as_it_is: The ranks of all users without any change.
        voice: Shows each trial.
    """
    recorded = scene.bundle.ranks
    sample = take_sample(recorded)
    base = Alternative(change=AS_IT_IS, setting=find_base(scene))
    unchanged = attempt(scene, base, sample, as_it_is=as_it_is)
    # Where nothing but near candidates changed places, no change can explain more.
    alternatives = [] if unchanged.is_whole else list(list_alternatives(scene))
    trials = []
    for number, alternative in enumerate(alternatives, start=1):
        trial = attempt(scene, alternative, sample, as_it_is=as_it_is)
        if trial.is_whole and len(sample.user_ids) < len(recorded.user_ids):
            trial = attempt(scene, alternative, recorded, as_it_is=as_it_is)
        if trial.is_whole:
            return name_cause(trial, metric=scene.metric)
        trials.append(trial)
        voice.show(Progress(activity="looking for the cause", completed=number, total=len(alternatives)))
    return name_nearest(trials, as_it_is=unchanged, metric=scene.metric, remarks=list_remarks(scene))


def explain_training(scene: Scene, recorded: UserRanks, *, voice: Voice) -> tuple[Cause, ...]:
    """Return what could move the metric of a retrained run, or the change under which its ranks are the recorded ones.

    Args:
        scene: The retrained run and its data.
        recorded: The ranks behind the claims.
        voice: Shows each trial.
    """
    sample = take_sample(recorded)
    alternatives, trials = list(list_alternatives(scene)), []
    for number, alternative in enumerate(alternatives, start=1):
        trial = attempt(scene, alternative, sample, as_it_is=scene.bundle.ranks)
        if trial.is_whole:
            return (name_cause(trial, metric=scene.metric),)
        trials.append(trial)
        voice.show(Progress(activity="looking for the cause", completed=number, total=len(alternatives)))
    return name_movers(trials, metric=scene.metric)


def take_sample(recorded: UserRanks) -> UserRanks:
    """Return some of the users, evenly over all of them."""
    places = np.unique(np.linspace(0, len(recorded.user_ids) - 1, num=SAMPLE_USERS, dtype=np.int64))
    return take_users(recorded, places)


def take_users(ranks: UserRanks, places: Int64Array) -> UserRanks:
    """Return the ranks of the users at some places."""
    return UserRanks(**{name: getattr(ranks, name)[places] for name in UserRanks.__annotations__})


def attempt(scene: Scene, alternative: Alternative, recorded: UserRanks, *, as_it_is: UserRanks) -> Trial:
    """Rank the recorded users with one thing changed, and count those with the recorded rank."""
    found = scene.rank(alternative.setting, recorded)
    return Trial(
        change=alternative.change,
        num_matching=int(find_matching(found, recorded).sum()),
        num_users=len(recorded.user_ids),
        effect=find_effect(found.ranks, as_it_is, metric=scene.metric),
    )


def find_matching(found: Reranked, recorded: UserRanks) -> BoolArray:
    """Return which users that were ranked have the recorded target and rank, but for near candidates."""
    ours, theirs = find_common(found.ranks, recorded)
    one, other = take_users(found.ranks, ours), take_users(recorded, theirs)
    is_near = np.abs(one.ranks - other.ranks) <= found.within[ours]
    return np.asarray(is_near & (one.target_ids == other.target_ids))


def find_effect(found: UserRanks, as_it_is: UserRanks, *, metric: str) -> Effect | None:
    """Return how far a change moves the metric of the users that were ranked in both ways; None if there are none.

    Users whose target is rated lower than 4 stars in one of the two ways do not count for the `_>=4` family, so that
    its effects are over the users who count in both.
    """
    ours, theirs = find_common(found, as_it_is)
    one, other = take_users(found, ours), take_users(as_it_is, theirs)
    same = np.flatnonzero(one.target_half_stars == other.target_half_stars) if metric.endswith(">=4") else slice(None)
    places = np.arange(len(ours))[same]
    if not len(places):
        return None
    values = [list_contributions(take_users(ranks, places))[metric] for ranks in (one, other)]
    return measure_effect(*values) if values[0].size else None


def find_common(one: UserRanks, other: UserRanks) -> tuple[Int64Array, Int64Array]:
    """Return the places of the users that both have, in the same order."""
    _, ours, theirs = np.intersect1d(one.user_ids, other.user_ids, assume_unique=True, return_indices=True)
    return ours, theirs


def list_remarks(scene: Scene) -> list[str]:
    """Return what no trial could show."""
    run, remarks = scene.bundle.manifest.run, []
    share = find_tied_share(scene.store)
    if share:
        remarks.append(
            f"{share:.0%} of users have a target that shares its second with another event, whose order may be another"
        )
    if run.code.modified:
        remarks.append("the recorded run was made with code that differs from its commit")
    return [remark.replace("%", " %") for remark in remarks]


def find_tied_share(store: Store) -> float:
    """Return of how many users the last two events have one time."""
    ends = store.ends[store.lengths > 1]
    return float(np.mean(store.timestamps[ends - 1] == store.timestamps[ends - 2])) if len(ends) else 0.0
