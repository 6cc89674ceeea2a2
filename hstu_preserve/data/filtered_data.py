"""The data that SASRec was published on: counts that are left after its filter, and its authors' files."""

from dataclasses import dataclass

from hstu_preserve.data.event_filter import EventFilter


@dataclass(frozen=True, kw_only=True)
class FilteredData:
    """What is known of one data set after the filter; None if nothing is."""

    name: str
    file_name: str
    """In `data/` of kang205/SASRec at e373896: lines `user item`, each user's in the order of time, without times."""
    git_blob: str
    """The sha1 by which git names the file's content."""
    num_users: int | None
    num_items: int | None
    num_ratings: int | None


SASREC_REPOSITORY = "kang205/SASRec"
SASREC_FILTER = EventFilter(min_user_events=5, min_item_events=5)
FILTERED_DATA = {
    data.name: data
    for data in (
        FilteredData(
            name="ml-1m",
            file_name="ml-1m.txt",
            git_blob="9ab8e3edb8742f8d8cc4911e3dee25e82a6fcc24",
            num_users=6_040,
            num_items=3_416,
            num_ratings=999_611,
        ),
        FilteredData(
            name="amzn-games",
            file_name="Video.txt",
            git_blob="f576455c76008a2c02a178c9d4ee930be632af89",
            num_users=31_013,
            num_items=23_715,
            num_ratings=287_107,
        ),
        FilteredData(
            name="amzn-beauty",
            file_name="Beauty.txt",
            git_blob="cee2ab468d220772a9dfefed9aa9c492dc9b3418",
            num_users=None,
            num_items=None,
            num_ratings=None,
        ),
        FilteredData(
            name="steam",
            file_name="Steam.txt",
            git_blob="a0e80e7ae37ef2cf9410daf23c3e28ea6f6c31b7",
            num_users=None,
            num_items=None,
            num_ratings=None,
        ),
    )
}
REVIEWS = {
    "amzn-games": "reviews_Video_Games.json.gz",
    "amzn-beauty": "reviews_Beauty.json.gz",
    "steam": "steam_reviews.json.gz",
}
"""The reviews that the authors' files were made of, as their publisher names them."""


def find_filtered(name: str, event_filter: EventFilter) -> FilteredData | None:
    """Return what is known of a data set after a filter; None if it is another filter, or another data set."""
    return FILTERED_DATA.get(name) if event_filter == SASREC_FILTER else None


def recognize_blob(git_blob: str) -> FilteredData | None:
    """Return the data set whose published file has that content."""
    return next((data for data in FILTERED_DATA.values() if data.git_blob == git_blob), None)


def advise_import(name: str) -> str:
    """Return, as one sentence, how a store of reviews is made."""
    data = FILTERED_DATA[name]
    return (
        f"'hstu-preserve data import-sequences {REVIEWS[name]} --name {name}{SASREC_FILTER.options} --output {name}' "
        f"makes one of its reviews, '… import-sequences {data.file_name} --output {name}' one of {SASREC_REPOSITORY}'s "
        "file"
    )
