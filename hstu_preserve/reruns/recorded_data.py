"""Compare the data that a bundle names with the data itself, and with what was published of it."""

import numpy as np

from hstu_preserve.bundle.deep_checks import require_equal
from hstu_preserve.bundle.layout import DATA_FOLDER, RANKS
from hstu_preserve.data.batches import locate_targets
from hstu_preserve.data.event_filter import filter_of
from hstu_preserve.data.known_datasets import KNOWN_DATASETS, require_published_counts
from hstu_preserve.data.split import Part, count_held_out_events, find_evaluated_users
from hstu_preserve.data.store import Store
from hstu_preserve.data.store_building import count_tied_events
from hstu_preserve.errors import ContentError
from hstu_preserve.evaluation.one_evaluation import take_sample
from hstu_preserve.records.manifest import DataReference
from hstu_preserve.records.store import StoreCounts
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.runs.sealing import refer_to


def check_data(bundle: OpenedBundle) -> str:
    """The data are what the manifest calls them; if they are inside, the ranks are of their held-out items."""
    run = bundle.manifest.run
    reference = run.data
    require_equal("data of the recipe", expected=run.recipe.dataset.name, found=reference.name)
    pinned = run.recipe.dataset.fingerprint
    require_equal("fingerprint of the recipe", expected=pinned or reference.fingerprint, found=reference.fingerprint)
    require_equal("data of the results", expected=reference.fingerprint, found=bundle.results.final.data_fingerprint)
    require_equal("include_data", expected=run.bundle.include_data, found=reference.included)
    if reference.name in KNOWN_DATASETS:
        known, event_filter = KNOWN_DATASETS[reference.name], filter_of(run.recipe.dataset)
        require_published_counts(count_as_store(reference), dataset=known, event_filter=event_filter)
    store = bundle.store
    if store is None:
        require_equal(f"files in {DATA_FOLDER}/", expected=[], found=bundle.list_files_in(DATA_FOLDER))
        return f"{describe_data(reference)}; not inside, named by its fingerprint"
    require_equal("data", expected=refer_to(store.record, included=True), found=reference)
    require_own_counts(store)
    require_held_out_items(store, bundle)
    return f"{describe_data(reference)}, with the recorded fingerprint; ranks are of the held-out items"


def count_as_store(reference: DataReference) -> StoreCounts:
    """Return the counts that a manifest gives its data; it does not give the largest id."""
    return StoreCounts(
        num_users=reference.num_users,
        num_rated_items=reference.num_rated_items,
        num_candidates=reference.num_candidates,
        max_item_id=0,
        num_ratings=reference.num_ratings,
    )


def describe_data(reference: DataReference) -> str:
    """Return the data in words: name and sizes."""
    users, candidates = f"{reference.num_users:,} users", f"{reference.num_candidates:,} candidates"
    return f"{reference.name}: {users}, {candidates}, {reference.num_ratings:,} ratings"


def require_own_counts(store: Store) -> None:
    """Raise ContentError if a store's record counts otherwise than its arrays; opening it compared the other counts."""
    record = store.record
    num_rated = len(np.unique(store.item_ids))
    require_equal("rated items of the data", expected=num_rated, found=record.counts.num_rated_items)
    tied = count_tied_events(store.timestamps, offsets=store.offsets)
    require_equal("tied events of the data", expected=tied, found=record.provenance.tied_events)


def require_held_out_items(store: Store, bundle: OpenedBundle) -> None:
    """Raise ContentError if the ranks are of other users or items than the protocol holds out."""
    held_out = count_held_out_events(bundle.manifest.run.recipe.dataset.protocol, part=Part.TEST)
    recipe = bundle.manifest.run.recipe
    users = take_sample(find_evaluated_users(store, recipe.dataset, part=Part.TEST), recipe, part=Part.TEST)
    targets = locate_targets(store, users, held_out_events=held_out)
    ranks = bundle.ranks
    if not np.array_equal(ranks.user_ids, store.user_ids[users]):
        raise ContentError(f"{RANKS}: of other users than the data has")
    if not np.array_equal(ranks.target_ids, store.item_ids[targets]):
        raise ContentError(f"{RANKS}: of other items than the protocol holds out")
    if not np.array_equal(ranks.target_half_stars, store.half_stars[targets]):
        raise ContentError(f"{RANKS}: other ratings of the held-out items than the data has")


def require_described(store: Store, reference: DataReference) -> None:
    """Raise ContentError if data that is not the bundle's own, of the recorded fingerprint, is described otherwise.

    Where it came from and how ties were ordered may differ: equal arrays can be prepared in two ways.
    """
    found = refer_to(store.record, included=reference.included)
    for name in ("name", "num_users", "num_rated_items", "num_candidates", "num_ratings"):
        require_equal(f"{name} of the data", expected=getattr(found, name), found=getattr(reference, name))
