"""A MovieLens download turned into a store."""

from pathlib import Path

from hstu_preserve.data.known_datasets import find_known_dataset, require_published_counts
from hstu_preserve.data.movielens import read_movies, read_ratings
from hstu_preserve.data.sources import open_source
from hstu_preserve.data.store import Store
from hstu_preserve.data.store_building import Origin, build_store
from hstu_preserve.errors import UsageError
from hstu_preserve.records.store import TiePolicy

GROUPLENS_NOTICE = (
    "MovieLens data of GroupLens Research, University of Minnesota: for research, with citation of Harper and "
    "Konstan 2015 (doi:10.1145/2827872), under the terms of the README that came with it."
)


def prepare_movielens(path: Path, *, name: str, tie_policy: TiePolicy) -> Store:
    """Read a MovieLens edition from its folder or zip, and hold it against what is published about it.

    Args:
        path: The zip as downloaded, the unpacked folder, or the folder that holds it.
        name: The edition, e.g. `ml-20m`.
        tie_policy: How events of one user at the same second are ordered; `imported` has no meaning here.

    Raises:
        UsageError: Tie policy `imported`.
        UnknownNameError: There is no such edition.
        MissingPathError: A file is not there.
        ContentError: Another zip, a malformed line, or other counts than the published ones.
    """
    if tie_policy is TiePolicy.IMPORTED:
        raise UsageError("tie policy imported keeps the order of a sasrec_format.csv; see 'hstu-preserve data import'")
    dataset = find_known_dataset(name)
    with open_source(path, zip_md5=dataset.zip_md5) as source:
        ratings = read_ratings(source, layout=dataset.layout)
        movies = read_movies(source, layout=dataset.layout)
        origin = Origin(source=source.name, source_md5=source.md5, redistributable=False, notice=GROUPLENS_NOTICE)
    store = build_store(ratings, movies, name=name, tie_policy=tie_policy, origin=origin)
    require_published_counts(store.record.counts, dataset=dataset)
    return store
