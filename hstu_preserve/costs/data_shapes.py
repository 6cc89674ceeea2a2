"""The sizes of published data that decide what a training costs, known before the data is here."""

from collections.abc import Iterable
from dataclasses import dataclass

from hstu_preserve.data.known_datasets import KNOWN_DATASETS

HISTORY_TENTHS = (0.131, 0.167, 0.214, 0.281, 0.368, 0.517, 0.727, 1.05, 1.773, 4.772)
"""Mean events of each tenth of the users, shortest first, over the mean of all: of ml-latest-small, whose users were
drawn from those of the larger editions. Every other edition is taken to be as skewed."""
LARGEST_IDS = {"ml-1m": 3_952, "ml-20m": 131_262}
"""Of the movies; an item table has a row for each id up to it."""
IDS_OF_A_MOVIE = LARGEST_IDS["ml-20m"] / KNOWN_DATASETS["ml-20m"].num_candidates
"""By which the largest id of an edition is guessed whose largest id nobody stated."""


@dataclass(frozen=True, kw_only=True)
class DataShape:
    """Sizes of data.

    Attributes:
        num_users: Who are trained on.
        num_items: That are ranked.
        num_rows: Of the item table.
        lengths: Events of a few users who stand for all of them.
    """

    num_users: int
    num_items: int
    num_rows: int
    lengths: tuple[float, ...]

    def mean(self, power: int, *, most: int) -> float:
        """Return the mean of min(length, most) to a power."""
        return mean(min(length, most) ** power for length in self.lengths)


def mean(values: Iterable[float]) -> float:
    """Return the mean of at least one value."""
    every = list(values)
    return sum(every) / len(every)


def skew(mean_length: float) -> tuple[float, ...]:
    """Return the lengths of ten users who stand for MovieLens users with that many events on average."""
    return tuple(tenth * mean_length for tenth in HISTORY_TENTHS)


SAMPLE = DataShape(num_users=500, num_items=400, num_rows=453, lengths=(30.0,))
"""Of the sample bundle."""


def find_shape(name: str) -> DataShape | None:
    """Return the shape of a MovieLens edition or the sample's data, None of any other."""
    if name == "synthetic":
        return SAMPLE
    dataset = KNOWN_DATASETS.get(name)
    if dataset is None:
        return None
    largest_id = LARGEST_IDS.get(name, round(IDS_OF_A_MOVIE * dataset.num_candidates))
    return DataShape(
        num_users=dataset.num_users,
        num_items=dataset.num_candidates,
        num_rows=largest_id + 1,
        lengths=skew(dataset.num_ratings / dataset.num_users),
    )
