"""The MovieLens editions: their files, their published checksums and counts."""

from dataclasses import dataclass
from enum import StrEnum

from hstu_preserve.errors import ContentError, UnknownNameError
from hstu_preserve.records.store import StoreCounts


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


PAGES = "https://grouplens.org/datasets/movielens/"
KNOWN_DATASETS = {
    dataset.name: dataset
    for dataset in (
        KnownDataset(
            name="ml-100k",
            page="100k",
            layout=Layout.TABBED,
            zip_md5=None,
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


def find_known_dataset(name: str) -> KnownDataset:
    """Return the published facts of a MovieLens edition.

    Raises:
        UnknownNameError: There is no such edition.
    """
    if name not in KNOWN_DATASETS:
        raise UnknownNameError(kind="dataset", name=name, known=KNOWN_DATASETS)
    return KNOWN_DATASETS[name]


def describe_next_step(name: str) -> str:
    """Return what to type, and where to fetch what, to get a store of a dataset that is not here."""
    dataset = KNOWN_DATASETS.get(name)
    if dataset is None:
        make = "synthesize" if name == "synthetic" else "import"
        return f"'hstu-preserve data {make}' makes one"
    check = "no md5 is known for it" if dataset.zip_md5 is None else f"its md5 must be {dataset.zip_md5}"
    return (
        f"fetch {name}.zip from {PAGES}{dataset.page}/ (read its terms there; {check}), then make one with "
        f"'hstu-preserve data prepare {name} --from {name}.zip --output {name}'"
    )


def require_published_counts(counts: StoreCounts, *, dataset: KnownDataset) -> None:
    """Raise ContentError naming every count that differs from the published one."""
    differences = list_count_differences(counts, dataset=dataset)
    if differences:
        raise ContentError(f"{dataset.name}: not the published data ({'; '.join(differences)})")


def list_count_differences(counts: StoreCounts, *, dataset: KnownDataset) -> list[str]:
    """Return one line for each count that is published and differs."""
    pairs = (
        ("users", counts.num_users, dataset.num_users),
        ("rated items", counts.num_rated_items, dataset.num_rated_items),
        ("candidates", counts.num_candidates, dataset.num_candidates),
        ("ratings", counts.num_ratings, dataset.num_ratings),
    )
    return [
        f"expected {expected:,} {what}, found {found:,}"
        for what, found, expected in pairs
        if expected is not None and found != expected
    ]
