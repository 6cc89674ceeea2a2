"""Rank every user's held-out item with a model: the canonical evaluation."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from hstu_preserve.data.batches import Batch, assemble_batch
from hstu_preserve.data.own_times import tell_times
from hstu_preserve.data.sequences import Sequences
from hstu_preserve.data.store import Store
from hstu_preserve.errors import DivergedError
from hstu_preserve.evaluation.kinds import draw_candidates, list_filtered
from hstu_preserve.evaluation.mixture_index import encode_users, make_index
from hstu_preserve.evaluation.ranking import CandidateIndex, rank_batch
from hstu_preserve.evaluation.ranks import BatchRanks, RankedBatch, UserRanks
from hstu_preserve.evaluation.sampled_ranking import rank_sampled
from hstu_preserve.evaluation.steps import RankBatch, Steps
from hstu_preserve.inputs.histories import to_evaluation_histories
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.recipe import Recipe

UserIndices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ChosenUsers:
    """One batch of users.

    Attributes:
        events: All users'.
        users: [B] indices into them.
        batch: The same users with their targets, as the model reads them.
        held_out_events: Last events left out before the target is taken.
    """

    events: Sequences
    users: UserIndices
    batch: Batch
    held_out_events: int


def rank_users(
    model: Recommender,
    store: Store,
    users: UserIndices,
    *,
    held_out_events: int,
    device: torch.device,
    tolerance: float | None = None,
    steps: Steps | None = None,
) -> Iterator[RankedBatch]:
    """Yield the ranks of the users, batch by batch, in the given order.

    Args:
        model: Switched to evaluation mode; its recipe decides batch size and kind of evaluation.
        store: Holds the users' events.
        users: Indices into the store; each user needs a history and a target.
        held_out_events: Last events left out before the target is taken: 0 for test, 1 for validation.
        device: Where the model lives.
        tolerance: Of scores, for counting the candidates near each target; None counts none.
        steps: None takes the reference path's.

    Raises:
        DivergedError: The model gives embeddings that are NaN or infinite.
        ContentError: A sampled kind has nothing to draw for a user.
    """
    recipe = model.recipe
    events = tell_times(store, recipe)
    steps = steps or Steps(encode=partial(encode_users, model), rank=rank_batch, is_checked=lambda _: False)
    model.eval()
    with torch.no_grad():
        index = make_index(model, model.candidate_I, max_item_id=store.max_item_id)
        for number, start in enumerate(range(0, len(users), recipe.evaluation.eval_batch_size)):
            users_B = users[start : start + recipe.evaluation.eval_batch_size]
            batch = assemble_evaluation_batch(recipe, events, users_B, held_out_events=held_out_events)
            histories = to_evaluation_histories(batch, device)
            user_BD = steps.encode(histories)
            if not bool(user_BD.isfinite().all()):  # else each user would be a silent miss
                raise DivergedError(
                    "embeddings of users are NaN or infinite: the model's training diverged, and nothing is evaluated"
                )
            rank_by = partial(
                rank_as,
                recipe.evaluation.effective_kind,
                user_BD,
                chosen=ChosenUsers(events=events, users=users_B, batch=batch, held_out_events=held_out_events),
                index=index,
                recipe=recipe,
                tolerance=tolerance,
            )
            ranked = rank_by(rank=steps.rank)
            yield ask_upstream(ranked, rank_by(rank=rank_batch)) if steps.is_checked(number) else ranked


def ask_upstream(ranked: RankedBatch, listed: RankedBatch) -> RankedBatch:
    """Return the batch with the ranks of upstream's evaluator as they are by the list that it makes.

    Whether the two evaluators agree is then asked of these users' ranks, as of the reference path's.
    """
    return replace(ranked, users=replace(ranked.users, ranks_topk=listed.users.ranks_topk), is_checked=True)


def rank_as(
    kind: EvaluationKind,
    user_BD: torch.Tensor,
    *,
    chosen: ChosenUsers,
    index: CandidateIndex,
    recipe: Recipe,
    tolerance: float | None,
    rank: RankBatch = rank_batch,
) -> RankedBatch:
    """Return the ranks of one batch of users whose embeddings are known, among the items of a kind of evaluation.

    Args:
        kind: Of the evaluation.
        user_BD: Their embeddings, where the index is.
        chosen: The users.
        index: The catalogue.
        recipe: Decides how many users are scored at once, and what is drawn.
        tolerance: As `rank_batch` takes it.
        rank: The path's way, of kinds that are not sampled.
    """
    events, users, batch, held_out_events = chosen.events, chosen.users, chosen.batch, chosen.held_out_events
    if not kind.is_sampled:
        seen = list_filtered(kind, events, users, batch=batch, held_out_events=held_out_events)
        return rank_embedded(
            user_BD, batch=batch, seen=seen, index=index, recipe=recipe, tolerance=tolerance, rank=rank
        )
    drawn = draw_candidates(
        recipe,
        kind,
        events,
        users,
        batch=batch,
        candidates=index.candidate_I.cpu().numpy(),
        held_out_events=held_out_events,
    )
    item_BK = torch.from_numpy(drawn).to(user_BD.device)
    return join(batch, rank_sampled(user_BD, index=index, item_BK=item_BK, tolerance=tolerance))


def rank_embedded(
    user_BD: torch.Tensor,
    *,
    batch: Batch,
    seen: npt.NDArray[np.int64],
    index: CandidateIndex,
    recipe: Recipe,
    tolerance: float | None,
    rank: RankBatch = rank_batch,
) -> RankedBatch:
    """Return the ranks of one batch of users whose embeddings are known.

    Args:
        user_BD: Their embeddings, where the index is.
        batch: The users and their targets.
        seen: Ids of each user's items that are no candidates, [B, S], 0 is padding.
        index: The catalogue.
        recipe: Decides how many users are scored at once.
        tolerance: As `rank_batch` takes it.
        rank: The path's way.
    """
    device = user_BD.device
    ranks = rank(
        user_BD,
        index=index,
        seen_BS=torch.from_numpy(seen).to(device),
        target_B=torch.from_numpy(batch.target_ids).to(device),
        score_chunk=recipe.evaluation.eval_user_max_batch_size,
        tolerance=tolerance,
    )
    return join(batch, ranks, is_checked=rank is rank_batch)


def join(batch: Batch, ranks: BatchRanks, *, is_checked: bool = True) -> RankedBatch:
    """Return the ranks of one batch together with its users, out of the device's memory."""
    return RankedBatch(
        users=join_ranks(batch, ranks),
        is_recommended=ranks.is_recommended.cpu().numpy(),
        within=None if ranks.within is None else ranks.within.cpu().numpy(),
        is_checked=is_checked,
    )


def assemble_evaluation_batch(recipe: Recipe, events: Sequences, users: UserIndices, *, held_out_events: int) -> Batch:
    """Return the users' histories and targets, padded as the recipe says."""
    return assemble_batch(
        events,
        users,
        held_out_events=held_out_events,
        max_sequence_length=recipe.dataset.max_sequence_length,
        output_length=recipe.model.gr_output_length + 1,
    )


def join_ranks(batch: Batch, ranks: BatchRanks) -> UserRanks:
    """Return the ranks of one batch together with the users and targets that they are of."""
    return UserRanks(
        user_ids=batch.user_ids.astype(np.int64),
        target_ids=batch.target_ids.astype(np.int64),
        target_half_stars=batch.target_half_stars.astype(np.int64),
        ranks=ranks.rank.cpu().numpy(),
        ranks_topk=ranks.rank_topk.cpu().numpy(),
        ties=ranks.ties.cpu().numpy(),
        near_ties=ranks.near_ties.cpu().numpy(),
    )
