"""One evaluation of a model on one part of the data: ranks, metrics and their record."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from hstu_preserve.compute.determinism import draw_order
from hstu_preserve.compute.world import ALONE, World
from hstu_preserve.data.split import Part, count_held_out_events, find_eligible_users
from hstu_preserve.data.store import Store
from hstu_preserve.errors import ContentError, DivergedError
from hstu_preserve.evaluation.evaluated import Evaluated
from hstu_preserve.evaluation.kinds import require_enough_candidates
from hstu_preserve.evaluation.metrics import bound_by_ties, compute_metrics, coverage, exact_reciprocal_rank
from hstu_preserve.evaluation.ranking import MISS
from hstu_preserve.evaluation.ranks import BoolArray, RankedBatch, UserRanks, concatenate
from hstu_preserve.evaluation.users import UserIndices, rank_users
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.recipe import Recipe

if TYPE_CHECKING:
    import torch


def evaluate_model(
    model: Recommender,
    store: Store,
    *,
    part: Part,
    epoch: int,
    device: "torch.device",
    num_batches: int | None,
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
        device: Where the model lives.
        num_batches: None evaluates every user in the store's order; a number evaluates that many batches of users drawn
            by (seed, epoch), as upstream's partial evaluation does.
        tolerance: Of scores, for counting the candidates near each target; None counts none.
        world: The processes that share the work, batch by batch; each returns the whole.
        voice: Shows each batch.

    Raises:
        ContentError: No user has enough events, weights of the model are NaN or infinite, or there are fewer items than
            a sampled kind draws.
        LostProcessError: Another process is gone.
    """
    require_finite(model)
    recipe, num_candidates = model.recipe, len(model.candidate_I)
    require_enough_candidates(recipe, num_candidates=num_candidates, data_name=store.name)
    held_out = count_held_out_events(recipe.dataset.protocol, part=part)
    eligible = require_eligible_users(store, held_out=held_out, part=part)
    users = take_sample(eligible, recipe, part=part)
    if num_batches is not None:
        users = draw_users(users, recipe, epoch=epoch, num_batches=num_batches)
    own = take_batches(users, size=recipe.evaluation.eval_batch_size, world=world)
    ranking = rank_users(model, store, own, held_out_events=held_out, device=device, tolerance=tolerance)
    ranked = show_ranking(ranking, part=part, total=len(own), voice=voice)
    batches = merge_batches(world.gather(ranked))
    ranks = concatenate([batch.users for batch in batches])
    record = make_record(
        ranks,
        recipe,
        part=part,
        epoch=epoch,
        data_fingerprint=store.fingerprint,
        num_users_skipped=store.num_users - len(eligible),
        num_candidates=num_candidates,
        coverage_at_10=coverage([batch.is_recommended for batch in batches]),
    )
    within = [batch.within for batch in batches if batch.within is not None]
    return Evaluated(ranks=ranks, record=record, within=np.concatenate(within) if within else None)


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


def require_eligible_users(store: Store, *, held_out: int, part: Part) -> UserIndices:
    """Return the users with a history and a target.

    Raises:
        ContentError: Nobody has.
    """
    eligible = find_eligible_users(store, held_out_events=held_out)
    if not len(eligible):
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


def count_comparable(ranks: UserRanks) -> int:
    """Return of how many users the two evaluators' ranks can be compared; of none, that they agree says nothing."""
    return int(find_comparable(ranks).sum())
