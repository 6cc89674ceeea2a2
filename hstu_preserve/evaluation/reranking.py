"""Rank users with a model in another way than its recipe says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.compute.tf32 import rounding_to_tf32
from hstu_preserve.data.batches import Batch, assemble_batch
from hstu_preserve.data.own_times import tell_times
from hstu_preserve.data.sequences import Sequences
from hstu_preserve.data.split import find_eligible_users
from hstu_preserve.evaluation.metrics import place_ties
from hstu_preserve.evaluation.mixture_index import encode_users, make_index
from hstu_preserve.evaluation.ranking import CandidateIndex
from hstu_preserve.evaluation.ranks import RankedBatch, UserRanks, concatenate
from hstu_preserve.evaluation.users import ChosenUsers, UserIndices, rank_as
from hstu_preserve.inputs.histories import to_evaluation_histories
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.records.evaluation_kind import EvaluationKind

CPU = torch.device("cpu")


class TargetTime(StrEnum):
    """Which time the model is told that it recommends for."""

    GIVEN = "given"
    LAST_EVENT = "last event"
    ZERO = "zero"


class ScoreFormat(StrEnum):
    """In which format embeddings are multiplied to scores; TF32 rounds the factors of every product."""

    FLOAT32 = "float32"
    TF32 = "TF32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


TYPES = {
    ScoreFormat.FLOAT32: torch.float32,
    ScoreFormat.TF32: torch.float32,
    ScoreFormat.FLOAT16: torch.float16,
    ScoreFormat.BFLOAT16: torch.bfloat16,
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How users are ranked.

    Attributes:
        kind: Of the evaluation: among which items a target is ranked.
        held_out_events: Last events left out before the target is taken.
        history: Last events before the target that the model reads; its window is filtered.
        candidates: `all` or `rated`.
        order: Names the order of the events.
        number_format: Of the scores.
        ties_against: Whether candidates with exactly the target's score stand before it.
        target_time: The time that is recommended for.
        checkpoint: The weights' file in the bundle.
    """

    kind: EvaluationKind
    held_out_events: int
    history: int
    candidates: str
    order: str
    number_format: ScoreFormat
    ties_against: bool
    target_time: TargetTime
    checkpoint: str


@dataclass(frozen=True, kw_only=True)
class Reranked:
    """Users as they rank in some way.

    Attributes:
        ranks: Of the users who have a target so.
        within: Per user, other candidates so near the target that arithmetic can exchange them; 0 if none may be.
    """

    ranks: UserRanks
    within: npt.NDArray[np.int64]


@contextmanager
def arithmetic(setting: Setting, *, device: torch.device) -> Iterator[None]:
    """Compute in the setting's format inside the block; a CPU has no TF32, and rounds factors instead."""
    is_tf32 = setting.number_format is ScoreFormat.TF32
    with torch.no_grad(), repeatable_arithmetic(tf32=is_tf32):
        if is_tf32 and device.type == CPU.type:
            with rounding_to_tf32():
                yield
        else:
            yield


def rerank(
    model: Recommender,
    events: Sequences,
    users: UserIndices,
    *,
    setting: Setting,
    candidate_I: Tensor,
    tolerance: float | None,
    device: torch.device,
) -> Reranked:
    """Rank users in another way.

    Args:
        model: Holds the setting's weights.
        events: In the setting's order.
        users: Indices into the events; those without a history and a target are left out.
        setting: The way.
        candidate_I: int64 ids of the setting's candidates.
        tolerance: Of scores, for near candidates; None if ranks must be the very same.
        device: Where the model lives.
    """
    users = users[np.isin(users, find_eligible_users(events, held_out_events=setting.held_out_events))]
    events = tell_times(events, model.recipe)
    size = model.recipe.evaluation.eval_batch_size
    kind = TYPES[setting.number_format]
    with arithmetic(setting, device=device):
        index = make_index(model.eval(), candidate_I.to(device), max_item_id=len(model.item_id_J) - 1, kind=kind)
        ranked = [
            rank_some(
                model,
                events,
                users[start : start + size],
                setting=setting,
                index=index,
                tolerance=tolerance,
                device=device,
            )
            for start in range(0, len(users), size)
        ]
    if not ranked:
        nobody = np.empty(0, dtype=np.int64)
        return Reranked(ranks=UserRanks(**dict.fromkeys(UserRanks.__annotations__, nobody)), within=nobody)
    ranks = concatenate([batch.users for batch in ranked])
    nothing = [np.zeros(len(batch.users.ranks), dtype=np.int64) for batch in ranked]
    within = np.concatenate(
        [none if one.within is None else one.within for one, none in zip(ranked, nothing, strict=True)]
    )
    against = place_ties(ranks, ranks.ranks + ranks.ties) if setting.ties_against else ranks
    return Reranked(ranks=against, within=within)


def rank_some(
    model: Recommender,
    events: Sequences,
    users: UserIndices,
    *,
    setting: Setting,
    index: CandidateIndex,
    tolerance: float | None,
    device: torch.device,
) -> RankedBatch:
    """Rank one batch of users; see `rerank`."""
    recipe = model.recipe
    batch = assemble_batch(
        events,
        users,
        held_out_events=setting.held_out_events,
        max_sequence_length=setting.history,
        # A shorter history is padded as the recipe's is: the model divides its attention by the padded length.
        output_length=recipe.dataset.max_sequence_length - setting.history + recipe.model.gr_output_length + 1,
    )
    user_BD = encode_users(model, to_evaluation_histories(tell_time(batch, setting.target_time), device))
    return rank_as(
        setting.kind,
        user_BD.to(TYPES[setting.number_format]),
        chosen=ChosenUsers(events=events, users=users, batch=batch, held_out_events=setting.held_out_events),
        index=index,
        recipe=recipe,
        tolerance=tolerance,
    )


def tell_time(batch: Batch, target_time: TargetTime) -> Batch:
    """Return the batch with the time that is recommended for."""
    if target_time is TargetTime.GIVEN:
        return batch
    rows, timestamps = np.arange(len(batch.lengths)), batch.timestamps.copy()
    last = timestamps[rows, batch.lengths - 1]
    timestamps[rows, batch.lengths] = last if target_time is TargetTime.LAST_EVENT else 0
    return replace(batch, timestamps=timestamps)
