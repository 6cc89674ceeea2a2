"""The recommender: item table, components, input embedding and encoder, composed as the recipe says.

Shape suffixes: B batch, L position of the history, N position that the encoder reads (the same unless old history is
compressed), D model width, I candidates, J item ids from 0 (padding) to the largest, G experts.
"""

from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hstu_preserve.model.action_fusion import ActionFusion
from hstu_preserve.model.embeddings import InputEmbedding, l2_normalize, normalize_user
from hstu_preserve.model.histories import Histories, Tokens
from hstu_preserve.model.hstu import HstuEncoder
from hstu_preserve.model.input_compression import InputCompression
from hstu_preserve.model.interactions.mol import MixtureOfLogits
from hstu_preserve.model.items import Items
from hstu_preserve.model.jagged import JaggedOperators, load_operators
from hstu_preserve.model.popularity import Popularity
from hstu_preserve.model.prism import Prism
from hstu_preserve.model.sasrec import SasrecEncoder
from hstu_preserve.model.time_decay import AgeWeight, TimeDecay
from hstu_preserve.model.windowed import building
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.settings.encoders import WINDOWED, HstuSettings, SasrecSettings

Encoder = HstuEncoder | SasrecEncoder | building.WindowEncoder


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A batch as the model encoded it.

    Attributes:
        user_BND: The user after each token, normalised; items are scored by their dot product with it, or by a mixture.
        tokens: The tokens that the encoder read.
        table_JD: Item embeddings that scores are made with.
        router_weight_BLG: PRISM's gates, None without experts.
    """

    user_BND: Tensor
    tokens: Tokens
    table_JD: Tensor
    router_weight_BLG: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Embeddings of a batch's items, and of all items.

    Attributes:
        event_BLD: Of each event, before scaling and positions.
        table_JD: Of all items, which users are scored against; not normalised.
        router_weight_BLG: PRISM's gates, None without experts.
    """

    event_BLD: Tensor
    table_JD: Tensor
    router_weight_BLG: Tensor | None


class Recommender(nn.Module):
    """A sequential recommender that scores items by the dot product of user and item embedding, or by a mixture.

    Args:
        recipe: Decides every layer.
        items: Genres, decades, counts and candidates; the table has a row for each id from 0 (padding) to the largest.
        operators: Jagged operators; fbgemm's if they load, by default.
    """

    candidate_I: Tensor
    item_id_J: Tensor

    def __init__(self, recipe: Recipe, items: Items, *, operators: JaggedOperators | None = None) -> None:
        super().__init__()
        self.recipe = recipe
        self.operators = operators or load_operators()
        settings, width = recipe.model, recipe.model.item_embedding_dim
        self.register_buffer("candidate_I", items.candidate_I, persistent=False)
        self.register_buffer("item_id_J", torch.arange(items.max_item_id + 1), persistent=False)
        self.item_embedding = nn.Embedding(items.max_item_id + 1, width, padding_idx=0)
        self.prism = Prism(recipe.prism, items, width=width) if recipe.prism else None
        self.action_fusion = ActionFusion(width) if recipe.action_fusion else None
        self.compression = build_compression(recipe, items)
        self.popularity = Popularity(recipe.pop_debias, items) if recipe.pop_debias else None
        self.mixture = MixtureOfLogits(recipe.mol, width=width) if recipe.mol else None
        self.input_embedding = (
            None
            if isinstance(settings, WINDOWED)  # they have positions of their own
            else InputEmbedding(padded_length=recipe.padded_length, width=width, dropout_rate=settings.dropout_rate)
        )
        self.encoder = build_encoder(recipe, operators=self.operators)
        if settings.main_module_bf16:
            self.to(torch.bfloat16)

    def forward(self, histories: Histories) -> Tensor:
        """Return user_BND, normalised: the user after each token."""
        return self.encode(histories).user_BND

    def encode(self, histories: Histories) -> Encoded:
        """Return the user after each token, together with the tokens and the item table."""
        embedded = self.embed(histories)
        tokens = self.make_tokens(embedded.event_BLD, histories)
        return Encoded(
            user_BND=normalize_user(self.run_encoder(tokens), self.recipe.model.user_embedding_norm),
            tokens=tokens,
            table_JD=self.normalize_items(embedded.table_JD),
            router_weight_BLG=embedded.router_weight_BLG,
        )

    def encode_users(self, histories: Histories) -> Tensor:
        """Return user_BD, the state after each user's last event; every length must be at least 1."""
        encoded = self.encode(histories)
        length_B, positions = encoded.tokens.length_B, encoded.user_BND.shape[1]
        row_B = torch.arange(len(length_B), device=length_B.device) * positions
        return encoded.user_BND.flatten(0, 1).index_select(0, row_B + length_B - 1)

    def item_table(self) -> Tensor:
        """Return the item embeddings table_JD that scores are made with."""
        table_JD = self.item_embedding.weight
        if self.prism and self.prism.settings.apply_to == "shared":
            table_JD = self.prism(table_JD, item=self.item_id_J, half_star=None).embedding
        return self.normalize_items(table_JD)

    def normalize_items(self, table: Tensor) -> Tensor:
        """Return the item embeddings with the recipe's normalisation."""
        loss = self.recipe.loss
        return l2_normalize(table, eps=loss.l2_norm_eps) if loss.item_l2_norm else table

    def embed(self, histories: Histories) -> Embedded:
        """Return the events' embeddings, conditioned by side information and ratings if the recipe says so."""
        item_BL, table_JD = histories.item_BN, self.item_embedding.weight
        router_weight_BLG: Tensor | None = None
        if self.prism is None:
            event_BLD: Tensor = self.item_embedding(item_BL)
        elif self.prism.settings.apply_to == "shared":
            # Targets and negatives, too: a positive could be told by its side information alone otherwise.
            conditioned = self.prism(table_JD, item=self.item_id_J, half_star=None)
            table_JD = conditioned.embedding
            event_BLD = F.embedding(item_BL, table_JD, padding_idx=0)
            if conditioned.router_weight is not None:
                router_weight_BLG = F.embedding(item_BL, conditioned.router_weight)
        else:
            conditioned = self.prism(self.item_embedding(item_BL), item=item_BL, half_star=histories.half_star_BN)
            event_BLD, router_weight_BLG = conditioned.embedding, conditioned.router_weight
        if self.action_fusion is not None:
            event_BLD = self.action_fusion(event_BLD, histories.half_star_BN)
        return Embedded(event_BLD=event_BLD, table_JD=table_JD, router_weight_BLG=router_weight_BLG)

    def make_tokens(self, event_BLD: Tensor, histories: Histories) -> Tokens:
        """Return one token per event, or fewer if the recipe compresses."""
        if self.compression is not None:
            tokens: Tokens = self.compression(event_BLD, histories)
            return tokens
        return Tokens(
            embedding_BND=event_BLD,
            is_filled_BN=histories.item_BN != 0,
            item_BN=histories.item_BN,
            time_BN=histories.time_BN,
            length_B=histories.length_B,
        )

    def run_encoder(self, tokens: Tokens) -> Tensor:
        """Return encoded_BND, not yet normalised."""
        if self.input_embedding is None:
            encoded_BND: Tensor = self.encoder(tokens.embedding_BND, tokens.length_B, tokens.item_BN, tokens.time_BN)
            return encoded_BND
        x_BND = self.input_embedding(tokens.is_filled_BN, tokens.embedding_BND)
        if isinstance(self.encoder, HstuEncoder):
            encoded_BND = self.encoder(x_BND, tokens.length_B, tokens.time_BN, tokens.visible_BNM)
        else:
            encoded_BND = self.encoder(x_BND, tokens.is_filled_BN)
        return encoded_BND


def build_encoder(recipe: Recipe, *, operators: JaggedOperators) -> Encoder:
    """Return the recipe's encoder."""
    settings, decay = recipe.model, recipe.time_decay
    if isinstance(settings, SasrecSettings):
        return SasrecEncoder(settings, padded_length=recipe.padded_length)
    if not isinstance(settings, HstuSettings):
        return building.build_window_encoder(settings, length=recipe.dataset.max_sequence_length)
    return HstuEncoder(
        settings,
        padded_length=recipe.padded_length,
        operators=operators,
        decay=TimeDecay(decay, heads=settings.num_heads, layers=settings.num_blocks)
        if decay and decay.where == "attention"
        else None,
    )


def build_compression(recipe: Recipe, items: Items) -> InputCompression | None:
    """Return the recipe's input compression, None if one token stands for one event."""
    settings, decay = recipe.input_compression, recipe.time_decay
    if settings is None or not recipe.is_compressed:
        return None
    return InputCompression(
        settings,
        items,
        width=recipe.model.item_embedding_dim,
        padded_length=recipe.padded_length,
        age_weight=AgeWeight(decay) if decay and decay.where == "pool" else None,
    )


class Undrawn(TorchFunctionMode):
    """Gives no values to tensors of the meta device; torch would import its compiler for it, which takes seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        is_drawn = func in {nn.init.normal_, Tensor.normal_, Tensor.uniform_, Tensor.tril, Tensor.triu}
        return (*args, *(kwargs or {}).values())[0] if is_drawn else func(*args, **(kwargs or {}))


def sketch(recipe: Recipe, items: Items) -> Recommender:
    """Return the model without memory: the names and shapes of its weights alone.

    Raises:
        MemoryError: A size is beyond what 64 bits count.
    """
    tensors = {field.name: getattr(items, field.name).to("meta") for field in fields(items)}
    try:
        with torch.device("meta"), Undrawn():
            return Recommender(recipe, Items(**tensors))
    except RuntimeError as error:
        if "overflow" not in str(error):
            raise
        raise MemoryError(str(error)) from None


def measure_bytes(recipe: Recipe, items: Items) -> int:
    """Return the bytes of a model's weights and buffers, without taking the memory for them."""
    model = sketch(recipe, items)
    return sum(value.nbytes for value in (*model.parameters(), *model.buffers()))
