"""Import a `sasrec_format.csv` that upstream's preprocessing wrote."""

from pathlib import Path

from hstu_preserve.bundle.destinations import require_writable
from hstu_preserve.data.oddities import list_oddities
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.raw_data.sasrec_format import import_sasrec_format
from hstu_preserve.records.results import StoreResult


def import_data(
    csv: str | Path,
    *,
    output: str | Path,
    movies: str | Path | None = None,
    name: str | None = None,
    voice: Voice = SILENT,
) -> StoreResult:
    """Turn an existing `sasrec_format.csv` into a store, its order of events kept.

    Args:
        csv: As upstream's preprocessing wrote it.
        output: The new directory.
        movies: Upstream's processed `movies.csv`, or MovieLens' own; None takes the rated items as candidates, and
            ids that count from 0 are shifted by one.
        name: The dataset's name; None takes the published edition of the same counts.
        voice: Shows how many ratings were written.

    Raises:
        ContentError: A malformed line or cell.
    """
    csv, output = Path(csv), Path(output)
    movies = None if movies is None else Path(movies)
    require_writable(output, option="--output")
    store = import_sasrec_format(csv, movies=movies, name=name, output=output, voice=voice)
    return StoreResult(path=output, store=store.record, is_verified=True, warnings=list_oddities(store))
