"""A batch of users' histories as tensors, the input of every encoder."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Histories:
    """Left-aligned histories of B users, padded to N positions.

    Attributes:
        length_B: int64, events of history per user; the position of the target is `length`.
        item_BN: int64 item ids, 0 is padding. In training the target stands at position `length`; in evaluation 0.
        time_BN: int64 seconds; the target's time stands at position `length` in both (the request time is known).
    """

    length_B: Tensor
    item_BN: Tensor
    time_BN: Tensor
