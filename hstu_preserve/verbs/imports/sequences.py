"""Import a file that has one event a line."""

from pathlib import Path

from hstu_preserve.bundle.destinations import require_writable
from hstu_preserve.data.event_filter import ask_filter
from hstu_preserve.data.oddities import describe_repeats, list_oddities
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.raw_data.sequences.importing import import_sequence_file
from hstu_preserve.records.results import StoreResult


def import_sequences(
    file: str | Path,
    *,
    output: str | Path,
    name: str | None = None,
    min_user_events: int = 1,
    min_item_events: int = 1,
    voice: Voice = SILENT,
) -> StoreResult:
    """Turn a file of events into a store: lines `user item [rating timestamp]`, or reviews of Amazon or Steam.

    Args:
        file: Plain or compressed with gzip; blanks or tabs between the fields. Names of users and items are any text.
            Without times the order of a user's lines is kept, and recipes that read times refuse the store.
        output: The new directory.
        name: The dataset's name; None takes that of the published file that it is, else `imported`.
        min_user_events: Events that a user must have, counted once over all; users with fewer are left out.
        min_item_events: The same of an item.
        voice: Shows how much was read, then written.

    Raises:
        UsageError: No sensible filter, or `file` is a directory.
        ContentError: A malformed line, or other counts than those published under `name`.
    """
    output = Path(output)
    event_filter = ask_filter(min_user_events=min_user_events, min_item_events=min_item_events)
    require_writable(output, option="--output")
    store = import_sequence_file(Path(file), name=name, event_filter=event_filter, output=output, voice=voice)
    warnings = (*list_oddities(store), *describe_repeats(store))
    return StoreResult(path=output, store=store.record, is_verified=True, warnings=warnings)
