"""`ranks.npz`: whole, repeatable, refused when damaged, compared user by user."""

import pickle
from dataclasses import fields, replace
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from hstu_preserve.errors import ContentError, MissingPathError
from hstu_preserve.evaluation.ranks import (
    Int64Array,
    UserRanks,
    compare_ranks,
    concatenate,
    read_ranks,
    write_ranks,
)

NAMES = [field.name for field in fields(UserRanks)]


@st.composite
def some_ranks(draw: st.DrawFn) -> UserRanks:
    size = draw(st.integers(0, 5))
    return UserRanks(**{name: draw(st_numpy.arrays(np.int64, size)) for name in NAMES})


def make_ranks(ranks: list[int], *, near_ties: list[int] | None = None, first_user: int = 1) -> UserRanks:
    count = len(ranks)
    return UserRanks(
        user_ids=np.arange(first_user, first_user + count),
        target_ids=np.arange(count) + 100,
        target_half_stars=np.full(count, 8),
        ranks=np.array(ranks, dtype=np.int64),
        ranks_topk=np.minimum(ranks, 2501),
        ties=np.zeros(count, dtype=np.int64),
        near_ties=np.array(near_ties or [0] * count, dtype=np.int64),
    )


def list_arrays(ranks: UserRanks) -> dict[str, list[int]]:
    return {name: getattr(ranks, name).tolist() for name in NAMES}


def save(**arrays: object) -> bytes:
    """Return an `.npz` of the given arrays."""
    buffer = BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # anything numpy can save
    return buffer.getvalue()


def zip_members(content: bytes) -> bytes:
    """Return an archive in which every array's file has the given content."""
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name in NAMES:
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def describe(header: bytes) -> bytes:
    """Return an `.npy` file with the given text as its header."""
    padded = header.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + bytes(64)


def save_array(array: Int64Array | int) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.fixture
def written(tmp_path: Path) -> bytes:
    write_ranks(tmp_path / "ranks.npz", make_ranks([1, 2, 3]))
    return (tmp_path / "ranks.npz").read_bytes()


@given(ranks=some_ranks())
def test_ranks_read_back_are_the_ranks_written(ranks: UserRanks, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("ranks") / "ranks.npz"
    write_ranks(path, ranks)
    for found in (read_ranks(path, source="test"), read_ranks(path.read_bytes(), source="test")):
        assert list_arrays(found) == list_arrays(ranks)
        assert found.digest() == ranks.digest()


def test_equal_ranks_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_ranks(tmp_path / name, make_ranks([1, 2, 3]))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_any_changed_number_changes_the_digest(name: str) -> None:
    ranks = make_ranks([1, 2, 3])
    changed = getattr(ranks, name).copy()
    changed[1] += 1
    assert replace(ranks, **{name: changed}).digest() != ranks.digest()


def test_the_digest_of_ranks_is_of_their_values_in_order() -> None:
    digest = make_ranks([1, 2]).digest()
    assert digest == "a4fec110631709125a0a597a470542b3a838f0d8336320c30fd487b047a6ed99"
    assert make_ranks([2, 1]).digest() != digest


COMPLETE = list_arrays(make_ranks([1, 2]))
SWELLING = b"{'descr': '<i8', 'fortran_order': False, 'shape': (100000000000000,), }"
UNCLOSED = b"{'descr': '<i8', 'fortran_order': False, 'shape': (3,), ("


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not ranks", id="text"),
        pytest.param(pickle.dumps([1]), id="pickle"),
        pytest.param(save_array(np.arange(3)), id="a single array"),
        pytest.param(save(ranks=[1, 2]), id="arrays missing"),
        pytest.param(save(**{**COMPLETE, "ties": [0]}), id="one array shorter"),
        pytest.param(save(**{**COMPLETE, "ties": [0.0, 1.0]}), id="floats"),
        pytest.param(save(**{**COMPLETE, "ties": np.zeros(2, dtype=">i8")}), id="big-endian"),
        pytest.param(save(**{name: [values] for name, values in COMPLETE.items()}), id="two-dimensional"),
        pytest.param(save(**dict.fromkeys(NAMES, 3)), id="scalars"),
        pytest.param(save(**{**COMPLETE, "ranks": np.array([{}, []], dtype=object)}), id="pickled objects"),
        pytest.param(zip_members(b"no array"), id="members that are no arrays"),
        pytest.param(zip_members(describe(SWELLING)), id="an array larger than memory"),
        pytest.param(zip_members(describe(UNCLOSED)), id="an unclosed header"),
        pytest.param(zip_members(describe(b"{'shape': 010}")), id="a header that is no literal"),
    ],
)
def test_what_is_no_file_of_ranks_is_refused(content: bytes) -> None:
    with pytest.raises(ContentError, match=r"^some/where: "):
        read_ranks(content, source="some/where")


def test_every_truncation_is_refused(written: bytes) -> None:
    for size in range(0, len(written), 37):
        with pytest.raises(ContentError):
            read_ranks(written[:size], source="test")


def test_every_flipped_byte_of_content_is_refused_or_harmless(written: bytes) -> None:
    expected = read_ranks(written, source="test").digest()
    for position in range(0, len(written), 5):
        damaged = bytearray(written)
        damaged[position] ^= 0xFF
        try:
            found = read_ranks(bytes(damaged), source="test")
        except ContentError:
            continue
        assert found.digest() == expected, position


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match=r"ranks\.npz"):
        read_ranks(tmp_path / "ranks.npz", source="test")


def test_batches_are_concatenated_in_their_order() -> None:
    whole = concatenate([make_ranks([1, 2]), make_ranks([3], first_user=3)])
    assert whole.ranks.tolist() == [1, 2, 3]
    assert whole.user_ids.tolist() == [1, 2, 3]


def test_equal_evaluations_differ_nowhere() -> None:
    comparison = compare_ranks(make_ranks([1, 2]), make_ranks([1, 2]))
    assert comparison.same_users
    assert (comparison.num_users, comparison.num_moved, comparison.largest_move) == (2, 0, 0)


def test_moved_users_are_counted_and_those_without_a_near_tie_apart() -> None:
    found = make_ranks([1, 7, 3, 90, 5], near_ties=[0, 0, 2, 0, 0])
    recorded = make_ranks([1, 5, 4, 50, 6], near_ties=[0, 0, 0, 0, 1])
    comparison = compare_ranks(found, recorded)
    assert comparison.num_moved == 4
    assert comparison.num_moved_without_near_tie == 2
    assert comparison.largest_move == 40


@pytest.mark.parametrize(
    "other",
    [make_ranks([1, 2, 3]), make_ranks([1, 2], first_user=2), replace(make_ranks([1, 2]), target_ids=np.array([1, 1]))],
)
def test_evaluations_of_other_users_or_targets_are_not_compared(other: UserRanks) -> None:
    comparison = compare_ranks(make_ranks([1, 2]), other)
    assert not comparison.same_users
    assert comparison.num_users == 2
    assert comparison.num_moved == 0


def test_ranks_that_inflate_to_gigabytes_are_refused_before_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    content = BytesIO()
    with ZipFile(content, "w", ZIP_DEFLATED) as archive:
        for field in fields(UserRanks):
            archive.writestr(f"{field.name}.npy", bytes(1000))
    monkeypatch.setattr("hstu_preserve.evaluation.ranks.MAX_RANKS_BYTES", 5000)
    with pytest.raises(ContentError, match="inflates to more than 5000 bytes"):
        read_ranks(content.getvalue(), source="test")
