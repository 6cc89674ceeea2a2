"""Make one store for each distinct order of a data set that this machine can make."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np

from hstu_preserve.data.event_filter import KEEP_ALL, EventFilter
from hstu_preserve.data.results import PreparedOrder, PreparedOrders
from hstu_preserve.data.store import Store, require_empty
from hstu_preserve.errors import UnavailableError
from hstu_preserve.primitives.temporary_folders import whole_folder
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.raw_data.numpy_orders import find_sorter
from hstu_preserve.raw_data.preparation import prepare_published
from hstu_preserve.records.store import NUMPY_POLICIES, PREPARED_POLICIES, TiePolicy


def write_every_order(
    source: Path,
    *,
    name: str,
    output: Path,
    numpy_python: Path | None = None,
    event_filter: EventFilter = KEEP_ALL,
    voice: Voice = SILENT,
) -> PreparedOrders:
    """Turn a download into one store for each order, in folders of `output` that bear the policies' names.

    The source is read once for each order. An order that gives the same data as one before it is removed again.

    Args:
        source: As `prepare_published` takes it.
        name: The data set.
        output: The new directory, whole or not there at all.
        numpy_python: Another Python whose NumPy may sort.
        event_filter: Which users and items stay.
        voice: Says which order is being made, and shows how far that is.

    Raises:
        UsageError: `output` exists and is not empty.
        MissingPathError: A file, or the other Python, is not there.
        ContentError: As `prepare_published` raises it.
        UnavailableError: No order of NumPy can be made here, or `output` cannot be written.
    """
    refused = find_refused(numpy_python)
    if len(refused) == len(NUMPY_POLICIES):
        raise UnavailableError(f"no order of NumPy can be made here: {'; '.join(refused.values())}")
    orders: list[PreparedOrder] = []
    with whole_folder(output, require_free=partial(require_empty, output)) as folder:
        made: dict[TiePolicy, Store] = {}
        for policy in PREPARED_POLICIES:
            if policy in refused:
                orders.append(describe_refusal(policy, refused[policy]))
                continue
            voice.say(f"making {policy.value}")
            store = prepare_published(
                source,
                name=name,
                tie_policy=policy,
                output=folder / policy.value,
                numpy_python=numpy_python if policy in NUMPY_POLICIES else None,
                event_filter=event_filter,
                voice=voice,
            )
            orders.append(describe_order(store, made, policy=policy, path=output / policy.value))
            if orders[-1].equal_to is not None:
                shutil.rmtree(folder / policy.value)
            made[policy] = store
    counts = store.record.counts
    return PreparedOrders(
        path=output, name=name, num_users=counts.num_users, num_ratings=counts.num_ratings, orders=tuple(orders)
    )


def find_refused(numpy_python: Path | None) -> dict[TiePolicy, str]:
    """Return why some orders of NumPy cannot be made here, before anything is read."""
    refused = {}
    for policy in NUMPY_POLICIES:
        try:
            find_sorter(policy, numpy_python=numpy_python)
        except UnavailableError as error:
            refused[policy] = str(error)
    return refused


def describe_refusal(policy: TiePolicy, reason: str) -> PreparedOrder:
    """Return that an order cannot be made."""
    return PreparedOrder(
        tie_policy=policy,
        path=None,
        fingerprint=None,
        equal_to=None,
        num_moved_events=None,
        num_other_targets=None,
        reason=reason.removeprefix(f"{policy.value}: "),
    )


def describe_order(store: Store, made: dict[TiePolicy, Store], *, policy: TiePolicy, path: Path) -> PreparedOrder:
    """Return how a store relates to those that were made before it.

    Args:
        store: In the order of `policy`.
        made: By policy, `stable` first; none yet if `store` is that one.
        policy: Of `store`.
        path: Its final place.
    """
    equal_to = next((other for other, one in made.items() if one.fingerprint == store.fingerprint), None)
    stable = made.get(TiePolicy.STABLE, store)
    last = store.offsets[1:] - 1
    return PreparedOrder(
        tie_policy=policy,
        path=path if equal_to is None else None,
        fingerprint=store.fingerprint,
        equal_to=equal_to,
        num_moved_events=int(np.count_nonzero(store.item_ids != stable.item_ids)),
        num_other_targets=int(np.count_nonzero(store.item_ids[last] != stable.item_ids[last])),
        reason=None,
    )
