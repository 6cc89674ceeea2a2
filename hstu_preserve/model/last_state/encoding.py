"""Encode users for an evaluation: in groups of similar length, each user's last position alone in the last layer.

Shape suffixes: B users of a batch, L position of the history, N position that the encoder reads, D width, J item ids.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from hstu_preserve.model.embeddings import normalize_user
from hstu_preserve.model.histories import Histories, Tokens
from hstu_preserve.model.hstu import HstuEncoder, HstuLayer
from hstu_preserve.model.last_state.layers import encode_last
from hstu_preserve.model.last_state.pairs import QUERIES_PER_TILE, tell_time
from hstu_preserve.model.recommender import Recommender

VALUES_PER_TILE = 2**18
"""Scores of a group's tile, all heads together: a megabyte."""


class LastStateEncoder:
    """Encodes users with one model, whose weights may not change meanwhile.

    Args:
        model: In evaluation mode.
    """

    def __init__(self, model: Recommender) -> None:
        self.model = model
        self.has_groups = is_grouped(model)
        # Side information of items is the same for every batch.
        self.conditioned_JD: Tensor | None = None
        if self.has_groups and model.prism is not None and model.prism.settings.apply_to == "shared":
            table_JD = model.item_embedding.weight
            self.conditioned_JD = model.prism(table_JD, item=model.item_id_J, half_star=None).embedding

    def encode(self, histories: Histories) -> Tensor:
        """Return user_BD, the state after each user's last event; every length must be at least 1."""
        encoder = self.model.encoder
        if not self.has_groups or not isinstance(encoder, HstuEncoder):
            return self.model.encode_users(histories)
        if self.model.compression is None:
            histories = trim(histories)
        tokens = self.model.make_tokens(self.embed(histories), histories)
        assert self.model.input_embedding is not None
        x_BND = self.model.input_embedding(tokens.is_filled_BN, tokens.embedding_BND)
        encoded_BD = encode_in_groups(encoder, x_BND, tokens=tokens)
        return normalize_user(encoded_BD, self.model.recipe.model.user_embedding_norm)

    def embed(self, histories: Histories) -> Tensor:
        """Return event_BLD; see `Recommender.embed`."""
        if self.conditioned_JD is None:
            return self.model.embed(histories).event_BLD
        event_BLD = F.embedding(histories.item_BN, self.conditioned_JD, padding_idx=0)
        fusion = self.model.action_fusion
        fused_BLD: Tensor = event_BLD if fusion is None else fusion(event_BLD, histories.half_star_BN)
        return fused_BLD


def is_grouped(model: Recommender) -> bool:
    """Whether users of this model are encoded in groups: others are encoded as the model does by itself.

    Learned tokens hide keys in a way of their own, and lower precision has its own kernels.
    """
    weight = model.item_embedding.weight
    settings = model.recipe.input_compression
    hides_keys = model.compression is not None and settings is not None and settings.pooling == "learned"
    is_plain = weight.dtype == torch.float32 and weight.device.type == "cpu"
    return isinstance(model.encoder, HstuEncoder) and is_plain and not hides_keys


def trim(histories: Histories) -> Histories:
    """Return the histories without positions behind the longest one's target."""
    end = int(histories.length_B.max()) + 1
    return replace(
        histories,
        item_BN=histories.item_BN[:, :end],
        time_BN=histories.time_BN[:, :end],
        half_star_BN=histories.half_star_BN[:, :end],
    )


def encode_in_groups(encoder: HstuEncoder, x_BND: Tensor, *, tokens: Tokens) -> Tensor:
    """Return encoded_BD after each user's last token.

    Args:
        encoder: In evaluation mode.
        x_BND: Its input.
        tokens: What the input is of.
    """
    length_B, order_B = tokens.length_B.sort(stable=True)
    time_BN = tell_time(tokens.time_BN, tokens.length_B)
    heads = max(layer.heads for layer in encoder.layers if isinstance(layer, HstuLayer))
    encoded_BD = x_BND.new_empty(len(x_BND), x_BND.shape[2])
    start = 0
    while start < len(order_B):
        end = start + count_users(length_B[start:], heads=heads)
        group, longest = order_B[start:end], int(length_B[end - 1])
        encoded_BD[group] = encode_last(
            encoder,
            x_BND[group, :longest],
            time_BN=time_BN[group, : longest + 1],
            length_B=length_B[start:end],
        )
        start = end
    return encoded_BD


def count_users(length_B: Tensor, *, heads: int) -> int:
    """Return how many of the users, at least one, are encoded at once: as many as fill a tile.

    Args:
        length_B: int64, tokens per user, ascending.
        heads: Of the encoder.
    """
    per_user_B = length_B.clamp(max=QUERIES_PER_TILE) * length_B * heads
    num_B = torch.arange(1, len(length_B) + 1)
    return max(1, int((per_user_B * num_B <= VALUES_PER_TILE).sum()))
