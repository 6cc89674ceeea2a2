"""A batch of users' histories as tensors, and the tokens that an encoder reads of it."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Histories:
    """Left-aligned histories of B users, padded to N positions.

    Attributes:
        length_B: int64, events of history per user; the position of the target is `length`.
        item_BN: int64 item ids, 0 is padding. In training the target stands at position `length`; in evaluation 0.
        time_BN: int64 seconds, or units of `data.own_times` if the model reads these; the target's time stands at
            position `length` in both (the request time is known).
        half_star_BN: int64, rating × 2 of each past event; 0 is padding, and unknown for the target.
        user_B: int64 ids of the users, as the data has them; None of users without.
    """

    length_B: Tensor
    item_BN: Tensor
    time_BN: Tensor
    half_star_BN: Tensor
    user_B: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens that an encoder reads, left-aligned: one token per event, or fewer if old history is compressed.

    Attributes:
        embedding_BND: The tokens, before scaling and positions.
        is_filled_BN: bool, where a token or the target stands.
        item_BN: int64 item ids, 0 where padded and for a token that stands for several events. Position t is asked for
            the item at t + 1.
        time_BN: int64 seconds, non-decreasing up to the target's, which stands at position `length`.
        length_B: int64, tokens per user.
        num_unsupervised_B: int64, leading tokens that are asked for nothing; None if all are supervised.
        visible_BNM: bool, which tokens M a token N may see beside causality; None if causality is all.
    """

    embedding_BND: Tensor
    is_filled_BN: Tensor
    item_BN: Tensor
    time_BN: Tensor
    length_B: Tensor
    num_unsupervised_B: Tensor | None = None
    visible_BNM: Tensor | None = None
