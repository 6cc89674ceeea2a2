"""One evaluation of a model on one part of the data: ranks, metrics and their record."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hstu_preserve.compute.determinism import draw_order
from hstu_preserve.compute.world import ALONE, World
from hstu_preserve.data.fitness import require_what_is_read
from hstu_preserve.data.split import Part, count_held_out_events, find_evaluated_users
from hstu_preserve.data.store import Store
from hstu_preserve.errors import ContentError, DivergedError
from hstu_preserve.evaluation.evaluated import Evaluated
from hstu_preserve.evaluation.grouped.users import CHECKED_EVERY, make_steps, order_by_length
from hstu_preserve.evaluation.kinds import require_enough_candidates
from hstu_preserve.evaluation.metrics import bound_by_ties, compute_metrics, coverage, exact_reciprocal_rank
from hstu_preserve.evaluation.ranking import MISS
from hstu_preserve.evaluation.ranks import BoolArray, Int64Array, RankedBatch, UserRanks, concatenate, reorder
from hstu_preserve.evaluation.steps import Steps
from hstu_preserve.evaluation.users import UserIndices, rank_users
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.evaluation import EvaluationRecord, RankingMethod, RankingPath
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.recipe import Recipe


def evaluate_model(
    model: Recommender,
    store: Store,
    *,
    part: Part,
    epoch: int,
    num_batches: int | None,
    ranking_path: RankingPath = RankingPath.REFERENCE,
    tolerance: float | None = None,
    world: World = ALONE,
    voice: Voice,
) -> Evaluated:
    """Rank the users' held-out items.

    Args:
        model: Its recipe decides protocol, batch size and kind of evaluation.
        store: The data.
        part: `validation` or `test`.
        epoch: The model's, for the record; decides which users a partial evaluation draws.
        num_batches: None evaluates every user in the store's order; a number evaluates that many batches of users drawn
            by (seed, epoch), as upstream's partial evaluation does.
        ranking_path: Decides the last bits of scores.
        tolerance: Of scores, for counting the candidates near each target; None counts none.
        world: The processes that share the work, batch by batch; each returns the whole.
        voice: Shows each batch.

    Raises:
        ContentError: No user has enough events, weights of the model are NaN or infinite, or there are fewer items than
            a sampled kind draws.
        DataMismatchError: The recipe reads times or ratings, and there are none.
        LostProcessError: Another process is gone.
    """
    require_finite(model)
    recipe, num_candidates = model.recipe, len(model.candidate_I)
    require_what_is_read(recipe, store)
    require_enough_candidates(recipe, num_candidates=num_candidates, data_name=store.name)
    held_out = count_held_out_events(recipe.dataset.protocol, part=part)
    eligible = require_eligible_users(store, recipe, part=part)
    users = take_sample(eligible, recipe, part=part)
    if num_batches is not None:
        users = draw_users(users, recipe, epoch=epoch, num_batches=num_batches)
    ways = choose_ways(model, store, users, held_out_events=held_out, ranking_path=ranking_path, world=world)
    own = take_batches(users[ways.order], size=recipe.evaluation.eval_batch_size, world=world)
    ranking = rank_users(
        model,
        store,
        own,
        held_out_events=held_out,
        device=model.candidate_I.device,
        tolerance=tolerance,
        steps=ways.steps,
    )
    batches = merge_batches(world.gather(show_ranking(ranking, part=part, total=len(own), voice=voice)))
    ranked = join(batches, order=ways.order)
    record = make_record(
        ranked.users,
        recipe,
        part=part,
        epoch=epoch,
        data_fingerprint=store.fingerprint,
        num_users_skipped=store.num_users - len(eligible),
        num_candidates=num_candidates,
        coverage_at_10=coverage([batch.is_recommended for batch in batches]),
        ranking=ways.describe(batches),
    )
    return Evaluated(ranks=ranked.users, record=record, within=ranked.within, is_checked=ranked.is_checked)


@dataclass(frozen=True, kw_only=True)
class Ways:
    """How one path ranks these users.

    Attributes:
        path: Which one.
        order: The order in which users are put into batches, indices into them.
        steps: None for the reference path's.
    """

    path: RankingPath
    order: Int64Array
    steps: Steps | None

    def describe(self, batches: Sequence[RankedBatch]) -> RankingMethod | None:
        """Return the record of how the batches were ranked, None for the reference path."""
        if self.path is RankingPath.REFERENCE:
            return None
        num_checked = sum(len(batch.users.ranks) for batch in batches if batch.is_checked)
        return RankingMethod(path=self.path, checked_every=CHECKED_EVERY, num_checked=num_checked)


def choose_ways(
    model: Recommender,
    store: Store,
    users: UserIndices,
    *,
    held_out_events: int,
    ranking_path: RankingPath,
    world: World,
) -> Ways:
    """Return how the path ranks these users."""
    model.eval()
    is_made_for = model.mixture is None and not model.recipe.evaluation.effective_kind.is_sampled
    if ranking_path is RankingPath.REFERENCE or not is_made_for:
        return Ways(path=RankingPath.REFERENCE, order=np.arange(len(users)), steps=None)
    limit = model.recipe.dataset.max_sequence_length
    order = order_by_length(store, users, held_out_events=held_out_events, max_sequence_length=limit)
    return Ways(path=ranking_path, order=order, steps=make_steps(model, world=world))


@dataclass(frozen=True, kw_only=True)
class Joined:
    """All users in the order in which they were asked for; see `RankedBatch`."""

    users: UserRanks
    within: Int64Array | None
    is_checked: BoolArray


def join(batches: Sequence[RankedBatch], *, order: Int64Array) -> Joined:
    """Return the users of all batches, put back into the order that they had before `order`."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    within = [batch.within for batch in batches if batch.within is not None]
    return Joined(
        users=reorder(concatenate([batch.users for batch in batches]), place),
        within=np.concatenate(within)[place] if within else None,
        is_checked=np.concatenate([np.full(len(batch.users.ranks), batch.is_checked) for batch in batches])[place],
    )


def require_finite(model: Recommender) -> None:
    """Require weights that are numbers: of any others, every score is NaN, and every user a silent miss.

    Raises:
        DivergedError: Some are NaN or infinite; the first are named.
    """
    broken = [name for name, weight in model.named_parameters() if not bool(weight.isfinite().all())]
    if broken:
        raise DivergedError(
            f"weights of the model are NaN or infinite ({list_some(broken, at_most=3)}): its training diverged, "
            "it ranks nobody, and nothing is evaluated"
        )


def require_eligible_users(store: Store, recipe: Recipe, *, part: Part) -> UserIndices:
    """Return the users with a history and a target, whom the recipe evaluates.

    Raises:
        ContentError: Nobody has.
    """
    eligible = find_evaluated_users(store, recipe.dataset, part=part)
    if not len(eligible):
        held_out = count_held_out_events(recipe.dataset.protocol, part=part)
        raise ContentError(f"{store.name}: no user has the {held_out + 2} events that the {part.value} part needs")
    return eligible


def take_sample(eligible: UserIndices, recipe: Recipe, *, part: Part) -> UserIndices:
    """Return as many users as the recipe evaluates at the most, in the store's order, drawn by (seed, part).

    The reference draws them anew each time, so that no two of its evaluations are of the same users.
    """
    most = recipe.evaluation.max_users
    if most is None or len(eligible) <= most:
        return eligible
    seed = recipe.training.random_seed
    order = draw_order(len(eligible), seed=seed, purpose=f"evaluated_users/{part.value}", position=0)
    return eligible[np.sort(order[:most])]


def draw_users(eligible: UserIndices, recipe: Recipe, *, epoch: int, num_batches: int) -> UserIndices:
    """Return as many users as fill the batches, drawn by (seed, epoch)."""
    seed = recipe.training.random_seed
    order = draw_order(len(eligible), seed=seed, purpose="partial_evaluation", position=epoch)
    return eligible[order[: num_batches * recipe.evaluation.eval_batch_size]]


def show_ranking(batches: Iterable[RankedBatch], *, part: Part, total: int, voice: Voice) -> list[RankedBatch]:
    """Return the batches once all are ranked, after showing each.

    Args:
        batches: Ranked as they are asked for.
        part: Of the data.
        total: Users in all batches together.
        voice: Shows each batch.
    """
    ranked = []
    completed = 0
    for batch in batches:
        ranked.append(batch)
        completed += len(batch.users.ranks)
        voice.show(Progress(activity=f"evaluating ({part.value})", completed=completed, total=total))
    return ranked


def make_record(
    ranks: UserRanks,
    recipe: Recipe,
    *,
    part: Part,
    epoch: int,
    data_fingerprint: str,
    num_users_skipped: int,
    num_candidates: int,
    coverage_at_10: float,
    ranking: RankingMethod | None = None,
) -> EvaluationRecord:
    """Return the record of an evaluation whose ranks these are.

    Args:
        ranks: Of all users that were evaluated.
        recipe: Of the model.
        part: Of the data.
        epoch: Of the model.
        data_fingerprint: Names the data.
        num_users_skipped: Users with too few events.
        num_candidates: Items that were ranked or drawn from.
        coverage_at_10: Share of them that was recommended.
        ranking: How they were ranked; None by the reference path.
    """
    kind = recipe.evaluation.effective_kind
    return EvaluationRecord(
        protocol=recipe.dataset.protocol,
        part=part.value,
        epoch=epoch,
        data_fingerprint=data_fingerprint,
        filter_all_seen=kind is EvaluationKind.ALL_SEEN,
        kind=kind.beyond_filter,
        num_users=len(ranks.ranks),
        num_users_skipped=num_users_skipped,
        num_candidates=num_candidates,
        metrics=compute_metrics(ranks),
        exact_mrr=exact_reciprocal_rank(ranks),
        coverage_at_10=coverage_at_10,
        num_clamped=int((ranks.ranks_topk == MISS).sum()),
        num_unrankable=int((ranks.ranks == 0).sum()),
        num_tied=int((ranks.ties > 0).sum()),
        num_nearly_tied=int((ranks.near_ties > 0).sum()),
        ranks_sha256=ranks.digest(),
        ties=bound_by_ties(ranks),
        ranking=ranking,
    )


def take_batches(users: UserIndices, *, size: int, world: World) -> UserIndices:
    """Return the users of this process's batches: every `world.size`-th, each as one process alone would have it."""
    starts = range(world.rank * size, len(users), world.size * size)
    return np.concatenate([users[:0], *(users[start : start + size] for start in starts)])


def merge_batches(parts: list[list[RankedBatch]]) -> list[RankedBatch]:
    """Return the batches of all processes in the order in which one alone would have ranked them."""
    total = sum(map(len, parts))
    return [parts[number % len(parts)][number // len(parts)] for number in range(total)]


def evaluators_agree(ranks: UserRanks) -> bool:
    """Whether both evaluators give the same rank to every unclamped user without an exact tie."""
    is_same = ranks.ranks == ranks.ranks_topk
    is_beyond = (ranks.ranks == 0) | (ranks.ranks >= MISS)
    is_consistent_miss = (ranks.ranks_topk != MISS) | is_beyond | (ranks.ties > 0)
    return bool((is_same | ~find_comparable(ranks)).all() and is_consistent_miss.all())


def find_comparable(ranks: UserRanks) -> BoolArray:
    """Return which users both evaluators give a rank of their own: unclamped, and without an exact tie."""
    return np.asarray((ranks.ranks_topk != MISS) & (ranks.ties == 0))


def count_comparable(ranks: UserRanks, *, is_checked: BoolArray) -> int:
    """Return of how many users the two evaluators' ranks can be compared; of none, that they agree says nothing."""
    return int((find_comparable(ranks) & is_checked).sum())
