"""The fast path's order of users, and its steps."""

import numpy as np

from hstu_preserve.compute.world import World
from hstu_preserve.data.sequences import Sequences
from hstu_preserve.evaluation.grouped.counting import count_batch
from hstu_preserve.evaluation.ranks import Int64Array
from hstu_preserve.evaluation.steps import Steps
from hstu_preserve.model.last_state.encoding import LastStateEncoder
from hstu_preserve.model.recommender import Recommender

CHECKED_EVERY = 16


def order_by_length(
    sequences: Sequences, users: Int64Array, *, held_out_events: int, max_sequence_length: int
) -> Int64Array:
    """Return the order of the users by how many events the model reads of each; equal ones stay in theirs.

    Args:
        sequences: The users' events.
        users: Indices into it.
        held_out_events: Last events that are left out before the target.
        max_sequence_length: Events that the model reads at most.

    Returns:
        Indices into `users`.
    """
    lengths = sequences.ends[users] - sequences.starts[users] - held_out_events - 1
    return np.argsort(np.minimum(lengths, max_sequence_length), kind="stable")


def make_steps(model: Recommender, *, world: World) -> Steps:
    """Return the fast path's steps for this process's batches.

    Args:
        model: In evaluation mode; its weights may not change meanwhile.
        world: The processes that share the batches: which are checked depends on their numbers among all of them.
    """
    return Steps(
        encode=LastStateEncoder(model).encode,
        rank=count_batch,
        is_checked=lambda number: (world.rank + number * world.size) % CHECKED_EVERY == 0,
    )
