"""The training loss on the fast path, equal to `model.objective.training_losses` but for the rounding of float32.

Shape suffixes: B batch, N position that the encoder reads, T supervised positions in row order, V valid positions in
row order, J item ids from 0 (padding) to the largest, D model width.
"""

from dataclasses import replace

import torch
from torch import Tensor

from hstu_preserve.model.embeddings import normalize_user
from hstu_preserve.model.fast.encoder import encode
from hstu_preserve.model.fast.sampled_softmax import sampled_softmax
from hstu_preserve.model.histories import Tokens
from hstu_preserve.model.hstu import HstuEncoder
from hstu_preserve.model.objective import (
    Draws,
    Losses,
    Supervised,
    add_own_terms,
    balance_experts,
    locate_supervised,
    mix_in_hard,
    select_supervised,
    weigh,
)
from hstu_preserve.model.recommender import Embedded, Recommender
from hstu_preserve.model.shares import WHOLE, Share


def training_losses(model: Recommender, draws: Draws, *, share: Share = WHOLE) -> Losses:
    """Return the weighted mean of the positions' losses, and its sum with the components' own losses.

    Args:
        model: Whose recipe has a sampled softmax.
        draws: The batch, or a part of it.
        share: How means over the whole batch are made of it.
    """
    embedded = model.embed(draws.histories)
    tokens = model.make_tokens(embedded.event_BLD, draws.histories)
    embedded = replace(embedded, table_JD=model.normalize_items(embedded.table_JD))
    supervised = encode_supervised(model, tokens)
    loss_T = losses_of_positions(model, embedded, supervised, draws)
    weight_T = weigh(model, tokens, supervised, share=share)
    main = share.contribute(loss_T if weight_T is None else loss_T * weight_T)
    return add_own_terms(model, main, balance_experts(model, embedded, draws.histories, share=share))


def losses_of_positions(model: Recommender, embedded: Embedded, supervised: Supervised, draws: Draws) -> Tensor:
    """Return loss_T, unweighted; `embedded` has the table that scores are made with."""
    return sampled_softmax(
        supervised.user_TD,
        item_table=embedded.table_JD,
        positive_T=supervised.positive_T,
        negative_TK=mix_in_hard(model, embedded, supervised, draws),
        temperature=model.recipe.loss.temperature,
        adjustment_J=model.popularity.adjustment_J if model.popularity else None,
    )


def encode_supervised(model: Recommender, tokens: Tokens) -> Supervised:
    """Return the supervised positions in row order, with their users."""
    norm = model.recipe.model.user_embedding_norm
    if not has_fast_attention(model) or tokens.visible_BNM is not None:
        return select_supervised(model, tokens, normalize_user(model.run_encoder(tokens), norm))
    assert isinstance(model.encoder, HstuEncoder)
    assert model.input_embedding is not None
    positions = tokens.item_BN.shape[1]
    position_N = torch.arange(positions)
    place_V = torch.nonzero((position_N < tokens.length_B[:, None]).flatten()).squeeze(1)
    encoded = encode(model.encoder, model.input_embedding, tokens, place_V)
    if tokens.num_unsupervised_B is not None:
        is_supervised_BN = position_N >= tokens.num_unsupervised_B[:, None]
        encoded = encoded[is_supervised_BN.flatten().index_select(0, place_V)]
    place_T = locate_supervised(tokens, positions=positions - 1)
    return Supervised(
        user_TD=normalize_user(encoded, norm),
        positive_T=tokens.item_BN[:, 1:].flatten().index_select(0, place_T),
        place_T=place_T,
    )


def has_fast_attention(model: Recommender) -> bool:
    """Whether the encoder is one that `model.fast.encoder` computes; others are computed as they are written."""
    encoder = model.encoder
    return isinstance(encoder, HstuEncoder) and encoder.normalization == "padded_length"
