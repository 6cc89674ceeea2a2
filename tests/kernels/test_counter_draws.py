"""Draws by a counter: the published generator, the same for a key wherever and in whatever portions they are made."""

import pytest
import torch

from hstu_preserve.kernels.counter_draws import CounterGenerator, draw_integers, draw_shares, make_words, scramble

CPU = torch.device("cpu")
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
"""Of philox4x32 with 10 rounds, from Random123's `kat_vectors`: counter, key and result, the lowest word first."""


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_the_words_are_the_published_ones(
    counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    words = scramble(tuple(torch.tensor([word]) for word in counter), key=key[0] | key[1] << 32)
    assert tuple(int(word) for word in words) == expected


def test_a_longer_draw_begins_as_a_shorter_one() -> None:
    generator = CounterGenerator(7)
    assert torch.equal(make_words(generator, count=9, device=CPU), make_words(generator, count=13, device=CPU)[:9])
    assert not torch.equal(
        make_words(generator, count=9, device=CPU), make_words(CounterGenerator(8), count=9, device=CPU)
    )


def test_integers_are_uniform() -> None:
    count, below = 70_000, 7
    drawn = draw_integers(below, (count // 10, 10), source=CounterGenerator(1), device=CPU)
    frequency = drawn.flatten().bincount(minlength=below)
    assert frequency.numel() == below
    expected = count / below
    chi_squared = float(((frequency - expected) ** 2 / expected).sum())
    assert chi_squared < 22.5  # exceeded once in a thousand times with 6 degrees of freedom
    neighbours = drawn.flatten()[:-1] * below + drawn.flatten()[1:]
    pairs = neighbours.bincount(minlength=below**2)
    assert float(((pairs - count / 49) ** 2 / (count / 49)).sum()) < 85.4  # likewise with 48


@pytest.mark.parametrize("below", [1, 2**31])
def test_integers_stay_within_their_limits(below: int) -> None:
    drawn = draw_integers(below, (1000,), source=CounterGenerator(3), device=CPU)
    assert int(drawn.min()) >= 0
    assert int(drawn.max()) < below
    assert int(drawn.max()) >= below // 2


def test_shares_are_between_0_and_1_and_use_53_bits() -> None:
    drawn = draw_shares((2000, 10), source=CounterGenerator(5), device=CPU)
    assert drawn.dtype == torch.float64
    assert 0 <= float(drawn.min()) < 0.001
    assert 0.999 < float(drawn.max()) < 1
    assert abs(float(drawn.mean()) - 0.5) < 0.01
    assert bool((drawn * 2**53 % 2).bool().any())


def test_pytorchs_generators_draw_as_before() -> None:
    one, other = (torch.Generator().manual_seed(1) for _ in range(2))
    assert torch.equal(draw_integers(50, (3, 4), source=one, device=CPU), torch.randint(50, (3, 4), generator=other))
    shares = draw_shares((5,), source=one, device=CPU)
    assert torch.equal(shares, torch.rand(5, generator=other, dtype=torch.float64))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_draws_the_same() -> None:
    generator, gpu = CounterGenerator(2**63 + 11), torch.device("cuda")
    ours = draw_integers(27_278, (1000, 128), source=generator, device=gpu)
    assert torch.equal(ours.cpu(), draw_integers(27_278, (1000, 128), source=generator, device=CPU))
    assert torch.equal(
        draw_shares((999,), source=generator, device=gpu).cpu(), draw_shares((999,), source=generator, device=CPU)
    )
