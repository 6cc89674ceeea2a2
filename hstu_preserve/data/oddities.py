"""Say what is odd about prepared data: facts that a number rests on and that nobody would see in it."""

from collections.abc import Iterator

import numpy as np

from hstu_preserve.data.event_filter import filter_of
from hstu_preserve.data.known_datasets import describe_borrowed_name
from hstu_preserve.data.store import Store

YEAR_3000_SECONDS = 32_503_680_000
MAX_ROWS_PER_CANDIDATE = 10
FEW_ROWS = 100_000
"""An item table of so many rows fits anywhere."""


def list_oddities(store: Store) -> tuple[str, ...]:
    """Return one sentence for each oddity of a store; reads its times."""
    return tuple(find_oddities(store))


def find_oddities(store: Store) -> Iterator[str]:
    """Yield one sentence for each oddity."""
    event_filter = filter_of(store.record.provenance)
    if (borrowed := describe_borrowed_name(store.name, store.record.counts, event_filter)) is not None:
        yield borrowed
    if num_users := count_users_out_of_order(store):
        yield (
            f"{num_users:,} of {store.num_users:,} users' events are not in the order of time: the last event, "
            "which is tested, is not a user's newest"
        )
    num_late = int((store.timestamps > YEAR_3000_SECONDS).sum())
    if num_late:
        yield (
            f"{num_late:,} of {len(store.timestamps):,} times are after the year 3000, read as seconds; if they are "
            "milliseconds, divide them by 1,000: time buckets and time decay count seconds"
        )
    if has_sparse_ids(store):
        yield f"item ids are sparse: {describe_item_rows(store)}; numbered from 1, they would need less memory"


def count_users_out_of_order(store: Store) -> int:
    """Return how many users have an event that is older than the one before it."""
    goes_back = np.flatnonzero(store.timestamps[1:] < store.timestamps[:-1]) + 1
    users = np.searchsorted(store.offsets, goes_back, side="right") - 1
    return len(np.unique(users[store.offsets[users] != goes_back]))


def has_sparse_ids(store: Store) -> bool:
    """Whether the item table has many more rows than there are items."""
    rows = store.max_item_id + 1
    return rows > FEW_ROWS and rows > MAX_ROWS_PER_CANDIDATE * len(store.candidate_ids)


def describe_item_rows(store: Store) -> str:
    """Return how large the item table is, and why."""
    return (
        f"the item table has {store.max_item_id + 1:,} rows, one for each id up to the largest "
        f"({store.max_item_id:,}), for {len(store.candidate_ids):,} candidates"
    )


def describe_repeats(store: Store) -> tuple[str, ...]:
    """Return that users meet items again, if some do: in the data of published sequences nobody does."""
    owners = np.repeat(np.arange(store.num_users), np.diff(store.offsets))
    pairs = np.sort(owners * (store.max_item_id + 1) + store.item_ids)
    num_repeats = int((pairs[1:] == pairs[:-1]).sum())
    if not num_repeats:
        return ()
    return (f"{num_repeats:,} of {len(pairs):,} events repeat an item that the user has already; they are kept",)
