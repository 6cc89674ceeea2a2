"""Which members of a bundle are data by their names, and which only look like it."""

import tarfile

import pytest

from hstu_preserve.library.sources import find_here
from hstu_preserve.publication.redistribution import is_named_as_data


@pytest.mark.parametrize(
    "path",
    [
        "results/ml-1m-ratings.csv",
        "code/ratings.csv.bz2",
        "code/ratings.parquet",
        "code/Ratings.CSV.zst",
        "code/movies_cleaned.dat",
        "code/ratings.csv.zip",
        "code/ratings.zip",
        "code/sasrec_format.csv.gz",
        "code/sasrec_format_by_user_train.csv",
        "code/u.data",
        "code/ml-20m.tar",
        "code/ml-20m.tar.xz",
        "code/raw_ml-1m.zip",
        "code/store/item_ids.npy",
        "code/store/store.json",
        "results/timestamps.npy.gz",
        "data/nested/store.json",
    ],
)
def test_data_is_known_by_its_name_wherever_it_lies(path: str) -> None:
    assert is_named_as_data(path)


@pytest.mark.parametrize(
    "path",
    [
        "results/ranks.npz",
        "results/metrics.json",
        "results/ml-20m-metrics.csv",
        "code/preprocess_ratings.py",
        "code/movies.md",
        "code/generative_recommenders/data/item_features.py",
        "config/ml-1m/hstu-sampled-softmax-n128-final.gin",
        "ckpts/ml-20m-b128_ep100",
        "tb/ml-1m/events.out.tfevents.1.host",
        "logs/ml-20m.txt",
        "code/ml-20m-notes.tar.gz",
        "code/restore.json",
    ],
)
def test_what_is_no_data_may_have_such_words_in_its_name(path: str) -> None:
    assert not is_named_as_data(path)


def test_no_member_of_the_sample_is_forbidden_by_its_name() -> None:
    with tarfile.open(find_here("sample").path) as archive:
        names = archive.getnames()
    assert "data/store.json" in names
    assert not [name for name in names if is_named_as_data(name)]
