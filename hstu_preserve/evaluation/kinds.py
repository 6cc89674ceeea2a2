"""What a kind of evaluation decides: which items are filtered, and which few are drawn if it is sampled.

Shapes: B users, S filtered items, K items that are ranked (the target first, then 100 drawn ones).
"""

import numpy as np
import torch

from hstu_preserve.compute.determinism import make_generator
from hstu_preserve.data.arrays import AnyArray, BoolArray, Int64Array
from hstu_preserve.data.batches import Batch, list_history_item_ids
from hstu_preserve.data.sequences import Sequences
from hstu_preserve.data.split import Part, count_held_out_events
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.evaluation_kind import NUM_SAMPLED, EvaluationKind
from hstu_preserve.records.recipe import Recipe


def list_filtered(
    kind: EvaluationKind, sequences: Sequences, users: Int64Array, *, batch: Batch, held_out_events: int
) -> Int64Array:
    """Return the ids of each user's items that are no candidates, [B, S], 0 is padding.

    Args:
        kind: Of the evaluation, not sampled.
        sequences: The users' events.
        users: [B] indices into them.
        batch: The same users, as the model reads them: what it reads is upstream's filter, so that a longer window
            filters more and makes the task easier.
        held_out_events: Last events left out before the target is taken.
    """
    match kind:
        case EvaluationKind.WINDOW:
            return batch.item_ids
        case EvaluationKind.ALL_SEEN:
            return list_history_item_ids(sequences, users, held_out_events=held_out_events)
        case _:
            return np.zeros((len(users), 1), dtype=np.int64)


def draw_candidates(
    recipe: Recipe,
    kind: EvaluationKind,
    sequences: Sequences,
    users: Int64Array,
    *,
    batch: Batch,
    candidates: Int64Array,
    held_out_events: int,
) -> Int64Array:
    """Return the ids among which each user's target is ranked, [B, K]: the target, then 100 that are drawn.

    Each is uniform over the candidates, with replacement, and drawn again if it is excluded. The draw is decided by
    (seed, part, user), so that it is the same in every epoch, order, batch and process.

    Args:
        recipe: Its seed draws; its protocol says which items are training items.
        kind: Of the evaluation, sampled.
        sequences: The users' events.
        users: [B] indices into them.
        batch: The same users with their targets.
        candidates: All ids that may be drawn.
        held_out_events: Last events left out before the target is taken.

    Raises:
        ContentError: Nothing is left to draw for a user.
    """
    part = Part.VALIDATION if held_out_events else Part.TEST
    excluded = list_excluded(recipe, kind, sequences, users, held_out_events=held_out_events)
    rows = []
    for user_id, own in zip(batch.user_ids.tolist(), excluded, strict=True):
        require_left_to_draw(kind, own, user_id=user_id, num_candidates=len(candidates))
        generator = make_generator(recipe.training.random_seed, "sampled_candidates", part.value, user_id)
        rows.append(candidates[draw_allowed(~np.isin(candidates, own), generator=generator)])
    return np.concatenate([batch.target_ids[:, None], np.stack(rows)], axis=1)


def list_excluded(
    recipe: Recipe, kind: EvaluationKind, sequences: Sequences, users: Int64Array, *, held_out_events: int
) -> list[AnyArray]:
    """Return the items that are not drawn for each user: of training alone, or of everything up to the target."""
    is_known = kind is EvaluationKind.SAMPLED_UNKNOWN
    left_out = held_out_events if is_known else count_held_out_events(recipe.dataset.protocol, part=Part.TRAINING)
    starts, ends = sequences.starts[users], sequences.ends[users] - left_out
    return [sequences.item_ids[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def draw_allowed(is_allowed: BoolArray, *, generator: torch.Generator) -> Int64Array:
    """Return 100 places that are allowed: the first of a stream of uniform draws."""
    accepted: list[Int64Array] = []
    missing = NUM_SAMPLED
    while missing > 0:
        drawn = torch.randint(len(is_allowed), (NUM_SAMPLED,), generator=generator).numpy()
        accepted.append(drawn[is_allowed[drawn]][:missing])
        missing -= len(accepted[-1])
    return np.concatenate(accepted)


def require_enough_candidates(recipe: Recipe, *, num_candidates: int, data_name: str) -> None:
    """Raise ContentError if a store has fewer items than a sampled evaluation draws: most would be drawn twice."""
    kind = recipe.evaluation.effective_kind
    if kind.is_sampled and num_candidates <= NUM_SAMPLED:
        raise ContentError(
            f"eval.kind {kind.value}: {data_name} has {count(num_candidates, 'candidate')} "
            f"(data.candidates '{recipe.dataset.candidates}'), and the target and {NUM_SAMPLED} more are ranked; "
            "evaluate a full kind"
        )


def require_drawable(
    recipe: Recipe, sequences: Sequences, users: Int64Array, *, num_candidates: int, part: Part
) -> None:
    """Raise ContentError if nothing is left to draw for one of the users that a sampled evaluation will rank."""
    kind = recipe.evaluation.effective_kind
    if not kind.is_sampled:
        return
    held_out_events = count_held_out_events(recipe.dataset.protocol, part=part)
    busy = users[sequences.lengths[users] >= num_candidates]
    excluded = list_excluded(recipe, kind, sequences, busy, held_out_events=held_out_events)
    for user_id, own in zip(sequences.user_ids[busy].tolist(), excluded, strict=True):
        require_left_to_draw(kind, own, user_id=user_id, num_candidates=num_candidates)


def require_left_to_draw(kind: EvaluationKind, own: AnyArray, *, user_id: int, num_candidates: int) -> None:
    """Raise ContentError if a user's excluded items, each of which is a candidate, are all that there are."""
    if len(own) >= num_candidates and len(np.unique(own)) == num_candidates:
        raise ContentError(
            f"eval.kind {kind.value}: user {user_id} has every one of the {count(num_candidates, 'candidate')}, "
            "so that none is left to draw; evaluate another kind"
        )
