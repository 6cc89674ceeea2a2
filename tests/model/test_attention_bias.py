"""HSTU's attention bias: by position and by time."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.model.hstu import NUM_TIME_BUCKETS, RelativeBias, bucket_time_gaps

DAY_SECONDS = 86_400
NOW_SECONDS = 1_700_000_000


@pytest.mark.parametrize("start", [0, NOW_SECONDS])
@pytest.mark.parametrize(
    ("gap", "bucket"),
    [(0, 0), (1, 0), (2, 2), (3, 3), (60, 13), (3600, 27), (DAY_SECONDS, 37), (365 * DAY_SECONDS, 57), (2**62, 128)],
)
def test_a_gap_falls_into_the_bucket_of_its_logarithm(start: int, gap: int, bucket: int) -> None:
    time_BN = torch.tensor([[start, start + gap], [start + gap, start]])
    assert bucket_time_gaps(time_BN)[:, 0, 0].tolist() == [bucket, bucket]


def test_the_gap_to_padding_is_the_age_of_the_epoch() -> None:
    assert bucket_time_gaps(torch.tensor([[NOW_SECONDS, 0]]))[0, 0, 0] == 70


@given(st.lists(st.integers(0, 2 * NOW_SECONDS), min_size=1, max_size=6))
def test_buckets_are_of_the_next_events_time(times: list[int]) -> None:
    bucket_NM = bucket_time_gaps(torch.tensor([times]))[0]
    following = [*times[1:], times[-1]]
    for n, later in enumerate(following):
        for m, earlier in enumerate(times):
            exact = math.log(max(1, abs(later - earlier))) / 0.301
            assert 0 <= bucket_NM[n, m] <= NUM_TIME_BUCKETS
            assert exact - 1 - 1e-4 <= bucket_NM[n, m] <= exact + 1e-4


def test_the_bias_is_the_weight_of_the_distance_plus_the_weight_of_the_bucket() -> None:
    length = 5
    bias = RelativeBias(length)
    torch.nn.init.normal_(bias.position_weight)
    torch.nn.init.normal_(bias.time_weight)
    bucket_BNM = torch.randint(0, NUM_TIME_BUCKETS + 1, (2, length, length), generator=torch.Generator().manual_seed(1))
    found = bias(bucket_BNM)
    for b in range(2):
        for n in range(length):
            for m in range(length):
                expected = bias.position_weight[length - 1 - (n - m)] + bias.time_weight[bucket_BNM[b, n, m]]
                assert found[b, n, m] == expected
