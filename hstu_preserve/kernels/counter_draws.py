"""Random numbers that are functions of a key and their place, and so the same on every device: Philox4x32-10.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): ten rounds of multiplication scramble a counter
under a key. Nothing is drawn one after the other, so that a GPU draws where the numbers are needed; PyTorch's own
generators give other numbers on a GPU than on a processor.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
LOW_32 = 0xFFFFFFFF
WORDS_PER_BLOCK = 4


@dataclass(frozen=True)
class CounterGenerator:
    """A stream of numbers that its key decides.

    Attributes:
        key: Of 64 bits.
    """

    key: int


Source = Generator | CounterGenerator
"""What draws come from: one of PyTorch's generators, or one that counts."""


def choose_source(name: str | None, generator: Generator) -> Source:
    """Return the source of the draws that a recipe names, with the seed of this generator; None is the generator.

    Args:
        name: `philox4x32-10`, or None.
        generator: Fresh from its seed.
    """
    return generator if name is None else CounterGenerator(generator.initial_seed())


def draw_integers(below: int, shape: tuple[int, ...], *, source: Source, device: torch.device) -> Tensor:
    """Draw integers (int64) from 0 to `below` - 1, uniformly and with replacement, onto the device.

    Args:
        below: Up to 2^31; no integer is likelier than another by more than `below` / 2^32 of its probability.
        shape: Of the result.
        source: Decides the draw.
        device: Of the result.
    """
    if isinstance(source, Generator):
        # Where the generator lives, which is the CPU in training: a GPU would draw other numbers.
        return torch.randint(below, shape, generator=source, device=source.device).to(device)
    assert below <= 2**31
    return (make_words(source, count=math.prod(shape), device=device) * below >> 32).view(shape)


def draw_shares(shape: tuple[int, ...], *, source: Source, device: torch.device) -> Tensor:
    """Draw numbers (float64) from 0 up to but not including 1, uniformly, onto the device."""
    if isinstance(source, Generator):
        return torch.rand(shape, generator=source, device=source.device, dtype=torch.float64).to(device)
    high, low = make_words(source, count=2 * math.prod(shape), device=device).view(-1, 2).unbind(1)
    # 53 bits, of which each sum is exact; so every device computes the same.
    return (((high >> 5 << 26) + (low >> 6)).double() * 2.0**-53).view(shape)


def make_words(generator: CounterGenerator, *, count: int, device: torch.device) -> Tensor:
    """Return the first words of a stream, each of 32 bits in an int64."""
    num_blocks = -(-count // WORDS_PER_BLOCK)
    number = torch.arange(num_blocks, device=device)
    nothing = torch.zeros_like(number)
    counter = (number & LOW_32, number >> 32, nothing, nothing)
    return torch.stack(scramble(counter, key=generator.key), dim=1).flatten()[:count]


def scramble(counter: tuple[Tensor, ...], *, key: int) -> tuple[Tensor, ...]:
    """Return Philox4x32-10 of counters.

    Args:
        counter: The four words (int64 below 2^32), the lowest first.
        key: Of 64 bits.
    """
    keys = [key & LOW_32, key >> 32 & LOW_32]
    for _ in range(ROUNDS):
        # A product overflows into the sign: its lower 64 bits are what they would be without one.
        first, second = (word * factor for word, factor in zip(counter[::2], MULTIPLIERS, strict=True))
        counter = (
            (second >> 32 & LOW_32) ^ counter[1] ^ keys[0],
            second & LOW_32,
            (first >> 32 & LOW_32) ^ counter[3] ^ keys[1],
            first & LOW_32,
        )
        keys = [(word + step) & LOW_32 for word, step in zip(keys, KEY_STEPS, strict=True)]
    return counter
