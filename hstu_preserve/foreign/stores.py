"""Find the stores that foreign weights fit: an archive of other making names no fingerprint."""

import os
from pathlib import Path

from hstu_preserve.data.finding import STORES_VARIABLE, list_stores
from hstu_preserve.data.known_datasets import advise
from hstu_preserve.errors import MissingPathError, NotRunnableError
from hstu_preserve.primitives.wording import list_some, printable
from hstu_preserve.records.store import StoreRecord


def find_stores(num_item_rows: int, *, name: str, data: Path | None) -> dict[Path, StoreRecord]:
    """Return the stores whose items have as many rows as the weights' item table, those of the dataset's name first.

    Upstream's code knows few names, so that its users borrow one for other data: a name alone decides nothing.

    Args:
        num_item_rows: Of the item table, the row of padding included.
        name: The dataset, as the archive's gin has it.
        data: A store or a folder of stores; None takes the folder that HSTU_PRESERVE_DATA names.

    Raises:
        MissingPathError: There is no such folder.
        NotRunnableError: None is named or fits; the sentence says how one is made.
    """
    folder = data or (Path(named) if (named := os.environ.get(STORES_VARIABLE)) else None)
    dataset = printable(name)
    if folder is None:
        raise NotRunnableError(
            f"no data: name a store of {dataset}, or a folder of stores, with --data or {STORES_VARIABLE}; "
            f"{advise(dataset)}; each order of equal times is another store: 'data prepare --every-order' makes all"
        )
    if not folder.is_dir():
        raise MissingPathError(f"{folder}: no such directory")
    stores, damaged = list_stores(folder)
    fitting = {path: record for path, record in stores.items() if record.counts.max_item_id + 1 == num_item_rows}
    if not fitting:
        others = [f"{one.name} with {one.counts.max_item_id + 1:,}" for one in stores.values()]
        seen = f"here: {list_some(map(printable, others), at_most=4)}" if others else "there is no store"
        passed_over = f"; passed over: {list_some(damaged, at_most=2, separator='; ')}" if damaged else ""
        raise NotRunnableError(
            f"{folder}: no store whose items have the {num_item_rows:,} rows of the weights' item table ({seen}"
            f"{passed_over}); the archive's gin names {dataset}: {advise(dataset)}"
        )
    return dict(sorted(fitting.items(), key=lambda item: item[1].name != name))
