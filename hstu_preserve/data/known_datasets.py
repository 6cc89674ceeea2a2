"""The data sets that have a name: their files, their published checksums and counts, and how each is brought in."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from hstu_preserve.data.event_filter import KEEP_ALL, EventFilter
from hstu_preserve.data.filtered_data import REVIEWS, advise_import, find_filtered
from hstu_preserve.errors import ContentError, UnknownNameError, UsageError


class Layout(StrEnum):
    """The forms in which MovieLens editions write their files."""

    TABBED = "tabbed"
    """ml-100k: `u.data`, `u.item`, `u.genre`."""
    DOUBLE_COLON = "double-colon"
    """ml-1m: `ratings.dat`, `movies.dat`."""
    CSV = "csv"
    """ml-latest-small, 20m, 25m, 32m: `ratings.csv`, `movies.csv`."""


@dataclass(frozen=True, kw_only=True)
class KnownDataset:
    """The published checksum and counts of a MovieLens edition; None if there are none."""

    name: str
    page: str
    """Its page at GroupLens: the last part of the address."""
    layout: Layout
    zip_md5: str | None
    num_users: int
    num_rated_items: int | None
    num_candidates: int
    num_ratings: int

    @property
    def page_url(self) -> str:
        """The page that says what it holds and under which terms it may be used."""
        return f"{PAGES}{self.page}/"

    @property
    def zip_url(self) -> str:
        """Where GroupLens serves it."""
        return f"{FILES}{self.name}.zip"


@dataclass(frozen=True, kw_only=True)
class AmazonDataset:
    """What Meta's preprocessing and the publisher say of Amazon's ratings; no checksum is published."""

    name: str
    num_lines: int
    """Of the file, before anything is left out."""
    num_candidates: int
    """Items that are left, as Meta's code requires them."""


AMAZON_BOOKS_URL = "http://snap.stanford.edu/data/amazon/productGraph/categoryFiles/ratings_Books.csv"
AMAZON_BOOKS = AmazonDataset(name="amzn-books", num_lines=22_507_155, num_candidates=695_762)

PAGES = "https://grouplens.org/datasets/movielens/"
FILES = "https://files.grouplens.org/datasets/movielens/"
KNOWN_DATASETS = {
    dataset.name: dataset
    for dataset in (
        KnownDataset(
            name="ml-100k",
            page="100k",
            layout=Layout.TABBED,
            zip_md5="0e33842e24a9c977be4e0107933c0723",
            num_users=943,
            num_rated_items=1_682,
            num_candidates=1_682,
            num_ratings=100_000,
        ),
        KnownDataset(
            name="ml-latest-small",
            page="latest",
            layout=Layout.CSV,
            zip_md5=None,
            num_users=610,
            num_rated_items=9_724,
            num_candidates=9_742,
            num_ratings=100_836,
        ),
        KnownDataset(
            name="ml-1m",
            page="1m",
            layout=Layout.DOUBLE_COLON,
            zip_md5="c4d9eecfca2ab87c1945afe126590906",
            num_users=6_040,
            num_rated_items=3_706,
            num_candidates=3_883,
            num_ratings=1_000_209,
        ),
        KnownDataset(
            name="ml-20m",
            page="20m",
            layout=Layout.CSV,
            zip_md5="cd245b17a1ae2cc31bb14903e1204af3",
            num_users=138_493,
            num_rated_items=26_744,
            num_candidates=27_278,
            num_ratings=20_000_263,
        ),
        KnownDataset(
            name="ml-25m",
            page="25m",
            layout=Layout.CSV,
            zip_md5="6b51fb2759a8657d3bfcbfc42b592ada",
            num_users=162_541,
            num_rated_items=59_047,
            num_candidates=62_423,
            num_ratings=25_000_095,
        ),
        KnownDataset(
            name="ml-32m",
            page="32m",
            layout=Layout.CSV,
            zip_md5="d472be332d4daa821edc399621853b57",
            num_users=200_948,
            num_rated_items=None,
            num_candidates=87_585,
            num_ratings=32_000_204,
        ),
    )
}


PUBLISHED_NAMES = (*KNOWN_DATASETS, AMAZON_BOOKS.name)
"""Of the data that `data prepare` makes a store of."""

GENERATED = {
    "ml-3b": "Meta's run_fractal_expansion.py generates it from ml-20m",
    "ml-1b": "GroupLens generated it from ml-20m (ml-20mx16x32)",
    "ml-20mx16x32": "GroupLens generated it from ml-20m",
}
"""Data that nobody rated, by the names that Meta's code gives it."""


def find_known_dataset(name: str) -> KnownDataset:
    """Return the published facts of a MovieLens edition.

    Raises:
        UnknownNameError: There is no such edition; the message lists the known names.
    """
    if name in GENERATED or name in REVIEWS:
        raise UnknownNameError(kind="dataset", name=name, known=(), hint=advise(name))
    if name not in KNOWN_DATASETS:
        hint = (
            f"known are {', '.join(PUBLISHED_NAMES)}; other data comes in with 'hstu-preserve data import' or "
            "'hstu-preserve data import-sequences'"
        )
        raise UnknownNameError(kind="dataset", name=name, known=PUBLISHED_NAMES, hint=hint)
    return KNOWN_DATASETS[name]


def find_served_dataset(name: str) -> KnownDataset:
    """Return the published facts of an edition whose zip GroupLens serves.

    Raises:
        UsageError: It is data of another publisher.
        UnknownNameError: There is no such edition; the message lists the known names.
    """
    if name == AMAZON_BOOKS.name:
        raise UsageError(
            f"{name}: not of GroupLens, and no checksum of it is published; fetch {AMAZON_BOOKS_URL} yourself, "
            f"then 'hstu-preserve data prepare {name} --from ratings_Books.csv --output {name}'"
        )
    return find_known_dataset(name)


def advise(name: str, event_filter: EventFilter = KEEP_ALL) -> str:
    """Return, as one sentence, how a store of that name is made."""
    if name in REVIEWS:
        return advise_import(name)
    if name == AMAZON_BOOKS.name:
        return (
            f"'hstu-preserve data import CSV --name {name} --output DIR' makes one of Meta's sasrec_format.csv; "
            "ratings_Books.csv is taken as well, see 'hstu-preserve data --help'"
        )
    if (dataset := KNOWN_DATASETS.get(name)) is not None:
        check = "no md5 is known for it" if dataset.zip_md5 is None else f"its md5 must be {dataset.zip_md5}"
        return (
            f"'hstu-preserve data download {name}' fetches {name}.zip (its terms are on {dataset.page_url}; {check}), "
            f"then 'hstu-preserve data prepare {name} --from {name}.zip{event_filter.options} --output "
            f"{name}{'' if event_filter.keeps_all else '-filtered'}' makes one"
        )
    if name == "synthetic":
        return "'hstu-preserve data synthesize --seed S --output DIR' makes one"
    if name in GENERATED:
        return f"{GENERATED[name]}, and no command here makes a store of it; ml-20m is what it was generated from"
    return (
        f"'hstu-preserve data import CSV --name {name} --output DIR' makes one of a sasrec_format.csv, "
        f"'hstu-preserve data import-sequences FILE --name {name}{event_filter.options} --output DIR' of other files"
    )


class Counts(Protocol):
    """The sizes of data: those of a store, or those that a bundle tells of its data."""

    @property
    def num_users(self) -> int: ...  # noqa: D102  # the names say it

    @property
    def num_rated_items(self) -> int: ...  # noqa: D102

    @property
    def num_candidates(self) -> int: ...  # noqa: D102

    @property
    def num_ratings(self) -> int: ...  # noqa: D102


def describe_borrowed_name(name: str, counts: Counts, event_filter: EventFilter = KEEP_ALL) -> str | None:
    """Return how data that bears a published name differs from what was published; None if it does not."""
    if name == AMAZON_BOOKS.name and counts.num_candidates != AMAZON_BOOKS.num_candidates:
        return (
            f"not the {name} of Meta's code, which has {AMAZON_BOOKS.num_candidates:,} items; "
            f"this has {counts.num_candidates:,}"
        )
    differences = list_published_differences(name, counts, event_filter)
    return f"not the published {name} ({'; '.join(differences)})" if differences else None


def require_published_counts(counts: Counts, *, dataset: KnownDataset, event_filter: EventFilter = KEEP_ALL) -> None:
    """Raise ContentError naming every count that differs from the published one; a filter's may not be known."""
    differences = list_published_differences(dataset.name, counts, event_filter)
    if differences:
        raise ContentError(f"{dataset.name}: not the published data ({'; '.join(differences)})")


def list_published_differences(name: str, counts: Counts, event_filter: EventFilter) -> list[str]:
    """Return one line for each count that is published under a name, after that filter, and differs."""
    if (filtered := find_filtered(name, event_filter)) is not None:
        return list_differing(
            ("users", counts.num_users, filtered.num_users),
            ("rated items", counts.num_rated_items, filtered.num_items),
            ("candidates", counts.num_candidates, filtered.num_items),
            ("ratings", counts.num_ratings, filtered.num_ratings),
        )
    if name not in KNOWN_DATASETS or not event_filter.keeps_all:
        return []
    return list_count_differences(counts, dataset=KNOWN_DATASETS[name])


def list_count_differences(counts: Counts, *, dataset: KnownDataset) -> list[str]:
    """Return one line for each count that is published and differs."""
    return list_differing(
        ("users", counts.num_users, dataset.num_users),
        ("rated items", counts.num_rated_items, dataset.num_rated_items),
        ("candidates", counts.num_candidates, dataset.num_candidates),
        ("ratings", counts.num_ratings, dataset.num_ratings),
    )


def list_differing(*counts: tuple[str, int, int | None]) -> list[str]:
    """Return one line for each count (what, found, expected) that is expected and differs."""
    return [
        f"expected {expected:,} {what}, found {found:,}"
        for what, found, expected in counts
        if expected is not None and found != expected
    ]
