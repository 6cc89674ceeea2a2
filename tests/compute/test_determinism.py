"""Every draw is a function of its purpose and place, and arithmetic is switched to be repeatable and back."""

import hashlib
import os
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.compute.determinism import (
    derive_seed,
    draw_order,
    initialization_generators,
    make_generator,
    repeatable_arithmetic,
    seed_dropout,
    seed_global_generators,
)


@pytest.mark.parametrize(
    ("seed", "purpose", "position", "expected"),
    [
        (42, "negatives", (0, 0), 3059792278548688610),
        (42, "negatives", (3, 17), 6480995815575959273),
        (42, "epoch_order", (100,), 1073007592212919076),
        (0, "initialization", ("item_embedding.weight",), 2202363520868237156),
        (2**53 - 1, "global", (), 7185742662468085908),
    ],
)
def test_the_seeds_that_recorded_runs_were_made_with_never_change(
    seed: int, purpose: str, position: tuple[int | str, ...], expected: int
) -> None:
    assert derive_seed(seed, purpose, *position) == expected


@given(seed=st.integers(0, 2**53 - 1), epoch=st.integers(0, 1000), step=st.integers(0, 10**6))
def test_a_seed_is_the_upper_63_bits_of_the_digest_of_what_is_drawn(seed: int, epoch: int, step: int) -> None:
    digest = hashlib.sha256(f"{seed}/negatives/{epoch}/{step}".encode()).digest()
    found = derive_seed(seed, "negatives", epoch, step)
    assert found == int.from_bytes(digest, "big") >> (256 - 63)
    assert torch.Generator().manual_seed(found).initial_seed() == found


def test_seeds_of_different_draws_differ() -> None:
    draws = [(seed, purpose, place) for seed in range(9) for purpose in ("a", "b") for place in range(50)]
    assert len({derive_seed(*draw) for draw in draws}) == len(draws)


def test_what_was_drawn_before_does_not_matter() -> None:
    expected = torch.rand(3, generator=make_generator(1, "negatives", 0, 5))
    torch.rand(100)
    make_generator(1, "negatives", 0, 4)
    assert torch.equal(torch.rand(3, generator=make_generator(1, "negatives", 0, 5)), expected)


def test_an_order_is_a_permutation_decided_by_seed_purpose_and_position() -> None:
    order = draw_order(50, seed=1, purpose="epoch_order", position=3)
    assert sorted(order.tolist()) == list(range(50))
    torch.manual_seed(8)
    assert draw_order(50, seed=1, purpose="epoch_order", position=3).tolist() == order.tolist()
    others = [(2, "epoch_order", 3), (1, "partial_evaluation", 3), (1, "epoch_order", 4)]
    for seed, purpose, position in others:
        assert draw_order(50, seed=seed, purpose=purpose, position=position).tolist() != order.tolist()


def test_parameters_have_generators_by_name() -> None:
    generator_for = initialization_generators(1)
    assert generator_for("a").initial_seed() == generator_for("a").initial_seed()
    assert generator_for("a").initial_seed() != generator_for("b").initial_seed()


def test_dropout_is_seeded_by_epoch_and_step() -> None:
    draws = []
    for epoch, step in ((0, 1), (0, 1), (1, 1), (0, 2)):
        seed_dropout(4, epoch=epoch, step=step)
        draws.append(torch.rand(4).tolist())
    assert draws[0] == draws[1]
    assert draws[0] not in draws[2:]


def test_the_global_generators_start_from_the_seed() -> None:
    draws = []
    for seed in (1, 1, 2):
        seed_global_generators(seed)
        draws.append((random.random(), np.random.random(), torch.rand(1).item()))  # noqa: NPY002  the seeded state
    assert draws[0] == draws[1]
    assert all(one != other for one, other in zip(draws[0], draws[2], strict=True))


def read_switches() -> tuple[bool, bool, bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.benchmark,
    )


def set_tf32_and_benchmark(matmul: bool, cudnn: bool, benchmark: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = matmul
    torch.backends.cudnn.allow_tf32 = cudnn
    torch.backends.cudnn.benchmark = benchmark


@pytest.fixture
def switches_restored() -> Iterator[None]:
    _, *before = read_switches()
    yield
    set_tf32_and_benchmark(*before)


@pytest.mark.usefixtures("switches_restored")
@pytest.mark.parametrize("tf32", [False, True])
@pytest.mark.parametrize("tf32_before", [False, True])
def test_arithmetic_is_repeatable_inside_and_as_before_outside(
    tf32: bool, tf32_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    set_tf32_and_benchmark(tf32_before, not tf32_before, True)
    before = read_switches()
    assert before == (False, tf32_before, not tf32_before, True)

    @repeatable_arithmetic(tf32=tf32)
    def fail() -> None:
        assert read_switches() == (True, tf32, tf32, False)
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert read_switches() == before
