"""Buckets by integer arithmetic are those of the float32 rule."""

import pytest
import torch
from torch import Tensor

from hstu_preserve.model.fast.time_buckets import apply_rule, bucket_gaps, find_limits
from hstu_preserve.model.hstu import bucket_time_gaps
from hstu_preserve.model.time_buckets import NUM_TIME_BUCKETS

LARGEST_GAP = 2**40
"""Seconds: 35,000 years."""
FLOATS_AT_ONCE = 2**22


def bucket_by_rule(gap: Tensor) -> Tensor:
    """Return the reference path's buckets of gaps (int64 seconds)."""
    time_BN = torch.stack([torch.zeros_like(gap), gap], dim=1)
    return bucket_time_gaps(time_BN)[:, 0, 0]


def assert_equal_buckets(gap: Tensor) -> None:
    found, expected = bucket_gaps(gap), bucket_by_rule(gap)
    wrong = gap[found != expected]
    assert not len(wrong), wrong[:5].tolist()


def test_there_is_a_limit_below_each_bucket() -> None:
    limit = find_limits()
    assert len(limit) == NUM_TIME_BUCKETS
    assert torch.equal(limit, limit.sort().values)


def test_gaps_around_every_limit_have_the_bucket_of_the_rule() -> None:
    limit = find_limits().view(torch.float32).double().ceil().long()
    # Where float32 is coarser than a second, also its neighbours.
    spacing = (limit >> 24).clamp(min=1)
    for near in (limit[:, None] + torch.arange(-200, 201), limit[:, None] + spacing[:, None] * torch.arange(-4, 5)):
        assert_equal_buckets(near[(near >= 0) & (near <= 2**62)])


def test_small_and_random_gaps_have_the_bucket_of_the_rule() -> None:
    generator = torch.Generator().manual_seed(0)
    assert_equal_buckets(torch.arange(100_000))
    exponent = torch.rand(200_000, generator=generator, dtype=torch.float64) * 40
    assert_equal_buckets((2**exponent).long())
    assert_equal_buckets(torch.tensor([LARGEST_GAP, 2**62, 2**63 - 1]))


def test_a_gap_backwards_in_time_counts_as_one_forwards() -> None:
    gap = torch.tensor([0, 1, 59, 86_400, LARGEST_GAP])
    assert torch.equal(bucket_gaps(-gap), bucket_gaps(gap))


@pytest.mark.slow
def test_every_float_up_to_the_largest_gap_has_the_bucket_of_the_rule() -> None:
    """All 336 million of them: the rule rises with the gap, so that its limits say everything of it."""
    first, last = (int(torch.tensor(float(value)).view(torch.int32)) for value in (1, LARGEST_GAP))
    limit = find_limits()
    for start in range(first, last + 1, FLOATS_AT_ONCE):
        bits = torch.arange(start, min(start + FLOATS_AT_ONCE, last + 1), dtype=torch.int32)
        expected = torch.searchsorted(limit, bits, right=True)
        assert torch.equal(apply_rule(bits.view(torch.float32)), expected)
