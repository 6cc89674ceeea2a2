"""Group users by what is known of them, and count how far their ranks moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hstu_preserve.data.batches import locate_targets
from hstu_preserve.data.split import Part, count_held_out_events, find_eligible_users
from hstu_preserve.data.store import Store
from hstu_preserve.evaluation.metrics import gain
from hstu_preserve.evaluation.ranks import Int64Array, UserRanks
from hstu_preserve.pages.figures import GroupMean
from hstu_preserve.records.recipe import Protocol

CUTOFF = 10
METRIC = f"ndcg@{CUTOFF}"
NUM_GROUPS = 5
NORMAL_95 = 1.959963984540054
"""Half the width of a normal distribution's central 95 %, in standard deviations."""
MOVES = {
    "101 or more higher": (-(2**62), -101),
    "11 to 100 higher": (-100, -11),
    "2 to 10 higher": (-10, -2),
    "1 higher": (-1, -1),
    "1 lower": (1, 1),
    "2 to 10 lower": (2, 10),
    "11 to 100 lower": (11, 100),
    "101 or more lower": (101, 2**62),
}
"""Moves by their names in the figure, in places, ends included: a target that stands higher has a smaller rank."""


@dataclass(frozen=True, kw_only=True)
class UserTraits:
    """What is known of each ranked user, int64 arrays of one length.

    Attributes:
        history: Events before the target.
        popularity: Ratings of the target by others, and by the user before.
    """

    history: Int64Array
    popularity: Int64Array


@dataclass(frozen=True, kw_only=True)
class Moves:
    """How ranks moved.

    Attributes:
        counts: Users by the size of the move, as `MOVES` names it.
        num_users: Users that could be compared.
        num_unmoved: Those whose rank is the recorded one.
        num_unranked: Those who have a rank in one evaluation only.
    """

    counts: Mapping[str, int]
    num_users: int
    num_unmoved: int
    num_unranked: int


def find_traits(store: Store, ranks: UserRanks, *, protocol: Protocol) -> UserTraits | None:
    """Return what a store says of the ranked users; None if they are not the users and targets of the store."""
    held_out = count_held_out_events(protocol, part=Part.TEST)
    users = find_eligible_users(store, held_out_events=held_out)
    targets = locate_targets(store, users, held_out_events=held_out)
    is_same = np.array_equal(ranks.user_ids, store.user_ids[users])
    if not is_same or not np.array_equal(ranks.target_ids, store.item_ids[targets]):
        return None
    items, counts = np.unique(store.item_ids, return_counts=True)
    tested, times = np.unique(store.item_ids[targets], return_counts=True)
    counts[np.searchsorted(items, tested)] -= times  # a test rating tells nothing of how often the item was trained on
    popularity = counts[np.searchsorted(items, store.item_ids[targets])]
    return UserTraits(history=targets - store.starts[users], popularity=popularity.astype(np.int64))


def group_means(ranks: UserRanks, trait: Int64Array) -> list[GroupMean]:
    """Return the mean NDCG@10 of about equally many users each, from the lowest values of a trait to the highest."""
    values = gain(ranks.ranks_topk, CUTOFF).astype(np.float64)
    ends = [max(0, len(trait) * number // NUM_GROUPS - 1) for number in range(1, NUM_GROUPS)]
    edges = np.unique(np.sort(trait)[ends]) if len(trait) else trait
    places = np.searchsorted(edges, trait, side="left")
    return [
        describe_group(values[places == place], trait[places == place])
        for place in range(len(edges) + 1)
        if (places == place).any()
    ]


def describe_group(values: npt.NDArray[np.float64], trait: Int64Array) -> GroupMean:
    """Return the mean of one group, which is named after its range."""
    low, high = int(trait.min()), int(trait.max())
    return GroupMean(
        label=str(low) if low == high else f"{low}–{high}",
        num_users=len(values),
        value=float(values.mean()),
        half_width=find_half_width(values),
    )


def find_half_width(values: npt.NDArray[np.float64]) -> float | None:
    """Return half the width of a mean's 95 % interval over users, by the normal distribution; None of one user."""
    if len(values) < 2:
        return None
    return float(NORMAL_95 * values.std(ddof=1) / np.sqrt(len(values)))


def count_moves(found: UserRanks, recorded: UserRanks) -> Moves | None:
    """Return how far each user's exact rank moved; None if other users or targets were ranked."""
    for name in ("user_ids", "target_ids"):
        if not np.array_equal(getattr(found, name), getattr(recorded, name)):
            return None
    is_ranked = (found.ranks > 0) & (recorded.ranks > 0)
    moves = (found.ranks - recorded.ranks)[is_ranked]
    return Moves(
        counts={name: int(((moves >= low) & (moves <= high)).sum()) for name, (low, high) in MOVES.items()},
        num_users=len(found.ranks),
        num_unmoved=int((found.ranks == recorded.ranks).sum()),
        num_unranked=int(((found.ranks > 0) != (recorded.ranks > 0)).sum()),
    )


def list_traits(traits: UserTraits) -> Sequence[tuple[str, Int64Array]]:
    """Return each trait with its name in the figures."""
    return (
        ("events before the target", traits.history),
        ("ratings of the target in training", traits.popularity),
    )
