"""A store's record names itself by its fingerprint, and by nothing else."""

import json
from typing import Any

import pytest

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.records.store import StoreRecord, fingerprint_of
from tests.data.stores_in_memory import synthesize


@pytest.fixture(scope="module")
def record() -> StoreRecord:
    return synthesize(seed=7, num_users=20, num_items=60, num_ratings=400).record


@pytest.fixture
def value(record: StoreRecord) -> Any:  # a JSON tree that each test changes in its own way
    return json.loads(record.to_json())


def read(value: Any) -> StoreRecord:
    return StoreRecord.from_json(canonical_dumps(value), source="store.json")


def test_a_record_read_back_is_the_record(record: StoreRecord, value: Any) -> None:
    assert read(value) == record


def test_the_order_of_the_arrays_is_not_part_of_the_fingerprint(record: StoreRecord) -> None:
    assert fingerprint_of(record.arrays[::-1], record.genres) == record.fingerprint


@pytest.mark.parametrize("name", ["name", "dtype", "sha256"])
def test_a_changed_array_needs_another_fingerprint(name: str, value: Any) -> None:
    value["arrays"][0][name] = {"name": "renamed", "dtype": "<i8", "sha256": "0" * 64}[name]
    with pytest.raises(ContentError, match="fingerprint does not follow from arrays and genres"):
        read(value)


def test_a_changed_shape_or_vocabulary_needs_another_fingerprint(value: Any) -> None:
    with pytest.raises(ContentError, match="fingerprint does not follow"):
        read(value | {"genres": value["genres"][::-1]})
    value["arrays"][0]["shape"] = [1, *value["arrays"][0]["shape"]]
    with pytest.raises(ContentError, match="fingerprint does not follow"):
        read(value)


def test_name_and_origin_are_not_part_of_the_fingerprint(value: Any) -> None:
    value["name"], value["provenance"]["source"] = "renamed", "elsewhere"
    assert read(value).fingerprint == value["fingerprint"]


@pytest.mark.parametrize("version", [-1, "0", None])
def test_another_schema_version_is_refused(version: Any, value: Any) -> None:
    with pytest.raises(ContentError, match=r"^store\.json: schema_version: "):
        read(value | {"schema_version": version})
