"""Make the tokens that stand for a user's old history: three forms of input compression.

Shape suffixes: B batch, L position in the raw history, Z token slot, D model width, J item ids from 0 (padding),
G genres.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hstu_preserve.model.histories import Histories
from hstu_preserve.model.items import Items
from hstu_preserve.records.settings.components import InputCompressionSettings

EVENTS_PER_GENRE = 32
"""Newest events that a genre's token reads (CAUSE)."""


@dataclass(frozen=True, kw_only=True)
class OldTokens:
    """The tokens that stand for the events before the recent ones.

    Attributes:
        token_BZD: The tokens, oldest first, right-aligned: a user has the last `count` of the Z slots.
        time_BZ: int64 seconds, non-decreasing over the slots that a user has.
        count_B: int64, tokens per user; 0 where nothing is old.
        kept_B: int64, old events that stay, before the tokens.
    """

    token_BZD: Tensor
    time_BZ: Tensor
    count_B: Tensor
    kept_B: Tensor


class WeightedMean(nn.Module):
    """z = Σ a·e / Σ a over a token's events, with a = δ^rank, rank 0 being the newest: δ = 1 is the mean.

    Args:
        decay: δ.
        age_weight: Gives a by the age at the newest old event instead, if time decay pools.
    """

    def __init__(self, decay: float, age_weight: nn.Module | None) -> None:
        super().__init__()
        self.decay = decay
        self.age_weight = age_weight

    def forward(self, embedding_BLD: Tensor, member_BZL: Tensor, *, time_BL: Tensor, old_B: Tensor) -> Tensor:
        """Return token_BZD, zero for a token without events.

        Args:
            embedding_BLD: Of the events, which are averaged.
            member_BZL: bool, which events a token stands for.
            time_BL: int64 seconds.
            old_B: int64, events before the recent ones.
        """
        weight_BZL = self.weigh(member_BZL, time_BL=time_BL, old_B=old_B) * member_BZL
        has_events_BZ1 = member_BZL.any(2, keepdim=True)
        total_BZ1 = torch.where(has_events_BZ1, weight_BZL.sum(2, keepdim=True), 1.0)
        # A product, not a gather: its gradient is bitwise repeatable on any device.
        return torch.bmm((weight_BZL / total_BZ1).to(embedding_BLD.dtype), embedding_BLD)

    def weigh(self, member_BZL: Tensor, *, time_BL: Tensor, old_B: Tensor) -> Tensor:
        """Return a, (B, Z or 1, L), meaningful for members only."""
        if self.age_weight is None:
            return torch.pow(self.decay, find_ranks(member_BZL))
        boundary_B1 = time_BL.gather(1, (old_B - 1).clamp(min=0)[:, None])
        weight_BL: Tensor = self.age_weight((boundary_B1 - time_BL).clamp(min=0))
        return weight_BL[:, None]


class ChunkPooling(nn.Module):
    """Chunks of `ratio` events, cut backwards from the boundary.

    The oldest chunk may be shorter; events older than `num_tokens` chunks are dropped.
    """

    def __init__(self, settings: InputCompressionSettings, age_weight: nn.Module | None) -> None:
        super().__init__()
        self.ratio = settings.ratio
        self.num_tokens = settings.num_tokens
        self.mean = WeightedMean(settings.decay, age_weight)

    def forward(self, embedding_BLD: Tensor, histories: Histories, old_B: Tensor) -> OldTokens:
        """Return the tokens of the first `old_B` (int64) events, whose embeddings are embedding_BLD."""
        num_chunks_B = (old_B + self.ratio - 1) // self.ratio
        member_BZL = self.group(old_B, num_positions=embedding_BLD.shape[1])
        return OldTokens(
            token_BZD=self.mean(embedding_BLD, member_BZL, time_BL=histories.time_BN, old_B=old_B),
            time_BZ=take_newest(histories.time_BN, member_BZL),
            count_B=num_chunks_B.clamp(max=self.num_tokens),
            kept_B=torch.zeros_like(old_B),
        )

    def group(self, old_B: Tensor, *, num_positions: int) -> Tensor:
        """Return member_BZL (bool): the newest chunk is the last slot's; recent and dropped events have none."""
        position_L = torch.arange(num_positions, device=old_B.device)
        slot_Z = torch.arange(self.num_tokens, device=old_B.device)
        distance_BL = old_B[:, None] - 1 - position_L
        slot_BL = self.num_tokens - 1 - distance_BL // self.ratio
        return slot_BL[:, None] == slot_Z[:, None]


class CategoryPooling(nn.Module):
    """One token per genre of old events: its own embedding, zero at the start, plus its newest events' mean.

    The most recently seen genres count, the one last seen longest ago first; genres last seen in the same event stand
    in the vocabulary's order. An event counts in each of its genres, and nowhere if it has none (CAUSE,
    arXiv:2601.19158).
    """

    has_genre_JG: Tensor

    def __init__(
        self, settings: InputCompressionSettings, items: Items, *, width: int, age_weight: nn.Module | None
    ) -> None:
        super().__init__()
        self.num_genres = items.num_genres
        self.num_tokens = min(settings.num_tokens, self.num_genres)
        self.mean = WeightedMean(settings.decay, age_weight)
        self.genre_embedding = nn.Parameter(torch.empty(self.num_genres, width))
        self.register_buffer("has_genre_JG", items.genre_JG != 0, persistent=False)

    def forward(self, embedding_BLD: Tensor, histories: Histories, old_B: Tensor) -> OldTokens:
        """Return the tokens of the first `old_B` (int64) events, whose embeddings are embedding_BLD."""
        member_BGL = self.group(histories.item_BN, old_B)
        newest_BG = find_newest(member_BGL)
        genre_BZ = self.choose_genres(newest_BG)
        member_BZL = member_BGL.gather(1, genre_BZ[:, :, None].expand(-1, -1, member_BGL.shape[2]))
        mean_BZD = self.mean(embedding_BLD, member_BZL, time_BL=histories.time_BN, old_B=old_B)
        return OldTokens(
            token_BZD=mean_BZD + F.embedding(genre_BZ, self.genre_embedding),
            time_BZ=take_newest(histories.time_BN, member_BZL),
            count_B=(newest_BG >= 0).sum(1).clamp(max=self.num_tokens),
            kept_B=torch.zeros_like(old_B),
        )

    def group(self, item_BL: Tensor, old_B: Tensor) -> Tensor:
        """Return member_BGL (bool): the newest old events of each genre."""
        is_old_BL = torch.arange(item_BL.shape[1], device=old_B.device) < old_B[:, None]
        has_genre_BLG = self.has_genre_JG.index_select(0, item_BL.flatten()).view(*item_BL.shape, self.num_genres)
        member_BGL = has_genre_BLG.transpose(1, 2) & is_old_BL[:, None]
        return member_BGL & (find_ranks(member_BGL) < EVENTS_PER_GENRE)

    def choose_genres(self, newest_BG: Tensor) -> Tensor:
        """Return genre_BZ (int64) in the tokens' order, from the position where each was last seen, -1 for never."""
        # No two keys of a user are equal: genres last seen in one event keep the vocabulary's order.
        key_BG = newest_BG * self.num_genres + torch.arange(self.num_genres, device=newest_BG.device)
        return key_BG.argsort(dim=1)[:, self.num_genres - self.num_tokens :]


class LearnedTokens(nn.Module):
    """Tokens that every user shares, after the old events: attention fills them (PerSRec, arXiv:2601.03479)."""

    def __init__(self, settings: InputCompressionSettings, *, width: int) -> None:
        super().__init__()
        self.num_tokens = settings.num_tokens
        self.token = nn.Parameter(torch.empty(settings.num_tokens, width))

    def forward(self, embedding_BLD: Tensor, histories: Histories, old_B: Tensor) -> OldTokens:
        """Return the tokens, all at the time of the newest of the first `old_B` (int64) events, which stay."""
        boundary_B1 = histories.time_BN.gather(1, (old_B - 1).clamp(min=0)[:, None])
        return OldTokens(
            token_BZD=self.token.to(embedding_BLD.dtype).expand(len(old_B), -1, -1),
            time_BZ=boundary_B1.expand(-1, self.num_tokens),
            count_B=(old_B > 0) * self.num_tokens,
            kept_B=old_B,
        )


def find_ranks(member_BZL: Tensor) -> Tensor:
    """Return rank_BZL (int64), the members after each position: 0 for a token's newest event.

    Args:
        member_BZL: bool.
    """
    return member_BZL.flip(2).cumsum(2).flip(2) - member_BZL.long()


def find_newest(member_BZL: Tensor) -> Tensor:
    """Return newest_BZ (int64), the position of each token's newest event, -1 for a token without events.

    Args:
        member_BZL: bool.
    """
    position_L = torch.arange(member_BZL.shape[2], device=member_BZL.device)
    return torch.where(member_BZL, position_L, -1).amax(2)


def take_newest(time_BL: Tensor, member_BZL: Tensor) -> Tensor:
    """Return time_BZ, the time (int64) of each token's newest event."""
    return time_BL.gather(1, find_newest(member_BZL).clamp(min=0))
