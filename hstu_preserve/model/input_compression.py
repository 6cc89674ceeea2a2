"""Input compression: a long history's old events become a few tokens, its recent ones stay as they are.

The archive's own definition was never published; this is a reconstruction after CAUSE (arXiv:2601.19158) and PerSRec
(arXiv:2601.03479). A history of n events ends in `recent_len` events that stay; `pooling.py` makes tokens of the
others. Only the events that stay are supervised, and each is newer than every token: the causal mask suffices.

Shape suffixes: B batch, L position in the raw history, R row among token slots and then raw positions, N and M position
in what the encoder reads, D model width.
"""

import torch
from torch import Generator, Tensor, nn

from hstu_preserve.model.histories import Histories, Tokens
from hstu_preserve.model.items import Items
from hstu_preserve.model.pooling import CategoryPooling, ChunkPooling, LearnedTokens, OldTokens
from hstu_preserve.model.time_decay import AgeWeight
from hstu_preserve.records.settings.components import InputCompressionSettings

DRAW_LIMIT = 2**62
"""Of the integer that a boundary is drawn with: so large that its remainders are as good as uniform."""


class InputCompression(nn.Module):
    """Turns the embedded events of a batch into fewer tokens; a user without old events keeps every value.

    Args:
        settings: The recipe's.
        items: Knows the genres.
        width: D.
        padded_length: N.
        age_weight: Weighs events by their age rather than their rank, if time decay pools; a submodule of this one.
    """

    def __init__(
        self,
        settings: InputCompressionSettings,
        items: Items,
        *,
        width: int,
        padded_length: int,
        age_weight: AgeWeight | None,
    ) -> None:
        super().__init__()
        self.recent_len = settings.recent_len
        self.padded_length = padded_length
        self.pooling = choose_pooling(settings, items, width=width, age_weight=age_weight)

    def forward(self, embedding_BLD: Tensor, histories: Histories) -> Tokens:
        """Return the tokens of histories and their embeddings, before scaling and positions."""
        old_B = (histories.length_B - self.recent_len).clamp(min=0)
        old: OldTokens = self.pooling(embedding_BLD, histories, old_B)
        first_recent_B = old.kept_B + old.count_B
        length_B = histories.length_B - old_B + first_recent_B

        position_N = torch.arange(self.padded_length, device=old_B.device)
        is_present_BN = position_N <= length_B[:, None]  # the target stands at `length`
        row_BN = self.locate(old, old_B, num_positions=embedding_BLD.shape[1])
        is_token_BN = row_BN < old.token_BZD.shape[1]
        item_BR = torch.cat([torch.zeros_like(old.time_BZ), histories.item_BN], dim=1)
        time_BR = torch.cat([old.time_BZ, histories.time_BN], dim=1)
        item_BN = item_BR.gather(1, row_BN).masked_fill(~is_present_BN, 0)
        is_filled_BN = is_token_BN | (item_BN != 0)
        embedding_BND = take_rows(torch.cat([old.token_BZD, embedding_BLD], dim=1), row_BN)
        return Tokens(
            embedding_BND=embedding_BND.masked_fill(~is_filled_BN[:, :, None], 0.0),
            is_filled_BN=is_filled_BN,
            item_BN=item_BN,
            time_BN=time_BR.gather(1, row_BN).masked_fill(~is_present_BN, 0),
            length_B=length_B,
            num_unsupervised_B=first_recent_B,
            visible_BNM=self.hide_old_events(old) if isinstance(self.pooling, LearnedTokens) else None,
        )

    def locate(self, old: OldTokens, old_B: Tensor, *, num_positions: int) -> Tensor:
        """Return row_BN (int64): the row that stands at each position.

        The order is: old events that are kept, tokens, recent events, target.
        """
        num_slots = old.token_BZD.shape[1]
        position_N = torch.arange(self.padded_length, device=old_B.device)
        from_recent_BN = position_N - (old.kept_B + old.count_B)[:, None]
        is_kept_BN = position_N < old.kept_B[:, None]
        event_BN = torch.where(is_kept_BN, position_N, old_B[:, None] + from_recent_BN).clamp(max=num_positions - 1)
        is_token_BN = (from_recent_BN < 0) & ~is_kept_BN
        return num_slots + torch.where(is_token_BN, from_recent_BN, event_BN)

    def hide_old_events(self, old: OldTokens) -> Tensor:
        """Return visible_BNM (bool): positions after the tokens do not see the old events, only the tokens."""
        position_N = torch.arange(self.padded_length, device=old.kept_B.device)
        is_recent_BN = position_N >= (old.kept_B + old.count_B)[:, None]
        is_old_BM = position_N < old.kept_B[:, None]
        return ~(is_recent_BN[:, :, None] & is_old_BM[:, None, :])


def choose_pooling(
    settings: InputCompressionSettings, items: Items, *, width: int, age_weight: AgeWeight | None
) -> ChunkPooling | CategoryPooling | LearnedTokens:
    """Return the module that makes the tokens."""
    match settings.pooling:
        case "chunk":
            return ChunkPooling(settings, age_weight)
        case "category":
            return CategoryPooling(settings, items, width=width, age_weight=age_weight)
        case "learned":
            return LearnedTokens(settings, width=width)


def take_rows(x_BRD: Tensor, row_BN: Tensor) -> Tensor:
    """Return x_BND, rows of each user's x_BRD (`row_BN` int64), by one index_select: its gradient adds in order."""
    first_B1 = torch.arange(len(x_BRD), device=x_BRD.device)[:, None] * x_BRD.shape[1]
    return x_BRD.flatten(0, 1).index_select(0, (first_B1 + row_BN).flatten()).view(*row_BN.shape, x_BRD.shape[2])


def shorten(histories: Histories, *, recent_len: int, generator: Generator) -> Histories:
    """End each history of more than `recent_len` events at a random event: training only.

    The new length is uniform over recent_len…length, so that older events are supervised, too. The event at it becomes
    the target, and later events are padded away.

    Args:
        histories: With their targets.
        recent_len: Events that stay; also the shortest that a history becomes.
        generator: Decides the draw; may live on another device than the histories.
    """
    spare_B = (histories.length_B - recent_len).clamp(min=0)
    drawn_B = torch.randint(DRAW_LIMIT, spare_B.shape, generator=generator, device=generator.device)
    length_B = histories.length_B - drawn_B.to(spare_B.device) % (spare_B + 1)
    position_N = torch.arange(histories.item_BN.shape[1], device=length_B.device)
    is_later_BN = position_N > length_B[:, None]
    return Histories(
        length_B=length_B,
        item_BN=histories.item_BN.masked_fill(is_later_BN, 0),
        time_BN=histories.time_BN.masked_fill(is_later_BN, 0),
        half_star_BN=histories.half_star_BN.masked_fill(position_N >= length_B[:, None], 0),
        user_B=histories.user_B,
    )
