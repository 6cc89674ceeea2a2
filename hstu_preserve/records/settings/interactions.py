"""The settings of a learned similarity of user and item, under the names that bailuding/rails gives them in gin."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hstu_preserve.primitives.numbers import (
    SMALLEST_FLOOR,
    SMALLEST_SCALE,
    PositiveFloat,
    PositiveInt,
    Probability,
    require_at_least,
)
from hstu_preserve.records.record import Record

HiddenWidth = Annotated[int, Field(ge=-1)]
"""Of a gated layer; -1 or 0 is none, and leaves one linear map."""
Nonlinearity = Literal["swiglu", "geglu"]
MAX_COMPONENTS = 4_096
"""Component logits of a pair: each has a gate, and more would fit nowhere."""
MAX_SIDE_WIDTH = 2**53
"""Of all vectors of a side together, as of every width: a larger integer fits no tensor's shape."""
MAX_UID_TABLES = 64
"""Each is built by a step of Python, before any size is compared."""


class MolSettings(Record):
    """Mixture of Logits (Zhai et al., KDD 2023, arXiv:2306.04039; Ding and Zhai, arXiv:2407.15462), as rails has it.

    A score is the gated mean of the products of a few query vectors with a few item vectors.
    """

    query_dot_product_groups: PositiveInt
    """Vectors of a query, those of its user id included."""
    item_dot_product_groups: PositiveInt
    """Vectors of an item."""
    dot_product_dimension: PositiveInt
    """Width of each vector."""
    dot_product_l2_norm: bool
    """Whether each vector is divided by its norm."""
    temperature: PositiveFloat
    """Divides the products."""
    query_hidden_dim: HiddenWidth
    """Width of the gated layer between user embedding and query vectors; -1 or 0 is none."""
    query_nonlinearity: Nonlinearity
    query_dropout_rate: Probability
    uid_embedding_hash_sizes: Annotated[tuple[PositiveInt, ...], Field(max_length=MAX_UID_TABLES)]
    """Rows of each table of user ids; a user's row is its id modulo that."""
    uid_dropout_rate: Probability
    uid_embedding_level_dropout: bool
    """Whether dropout takes a user's whole vector rather than single values."""
    item_hidden_dim: HiddenWidth
    """Width of the gated layer between item embedding and item vectors; -1 or 0 is none."""
    item_nonlinearity: Nonlinearity
    item_dropout_rate: Probability
    softmax_dropout_rate: Probability
    """Of the mixture's weights, which are divided by their sum again."""
    gating_combination_type: Literal["glu_silu"]
    gating_query_hidden_dim: PositiveInt
    gating_item_hidden_dim: PositiveInt
    gating_item_dropout_rate: Probability
    gating_qi_hidden_dim: HiddenWidth
    """Width of the layer that reads the products; -1 or 0 is none."""
    gating_qi_dropout_rate: Probability
    eps: PositiveFloat
    """The least norm that a vector is divided by."""

    @property
    def num_logits(self) -> int:
        """Component logits of a pair of user and item."""
        return self.query_dot_product_groups * self.item_dot_product_groups

    @property
    def has_dropout(self) -> bool:
        """Whether training draws dropout masks."""
        rates = (
            self.query_dropout_rate,
            self.uid_dropout_rate if self.uid_embedding_hash_sizes else 0.0,
            self.item_dropout_rate,
            self.softmax_dropout_rate,
            self.gating_item_dropout_rate,
            self.gating_qi_dropout_rate,
        )
        return max(rates) > 0

    @property
    def auxiliary_losses(self) -> frozenset[str]:
        """The losses of its own that may be weighed."""
        return frozenset({"mi_loss", "uid_embedding_l2_norm"} if self.uid_embedding_hash_sizes else {"mi_loss"})

    @model_validator(mode="after")
    def require_query_vectors(self) -> Self:
        """One vector at least comes from the encoder; products are quotients."""
        if len(self.uid_embedding_hash_sizes) >= self.query_dot_product_groups:
            raise ValueError(
                f"mol.uid_embedding_hash_sizes names {len(self.uid_embedding_hash_sizes)} tables, which leaves none of "
                f"the {self.query_dot_product_groups} vectors of mol.query_dot_product_groups to the encoder"
            )
        if self.num_logits > MAX_COMPONENTS:
            raise ValueError(
                f"mol.query_dot_product_groups times mol.item_dot_product_groups is {self.num_logits}, more than "
                f"{MAX_COMPONENTS}"
            )
        most = max(self.query_dot_product_groups, self.item_dot_product_groups)
        if self.dot_product_dimension * most > MAX_SIDE_WIDTH:
            raise ValueError(f"mol.dot_product_dimension times the {most} vectors of a side exceeds {MAX_SIDE_WIDTH}")
        require_at_least(SMALLEST_SCALE, self.temperature, path="mol.temperature")
        require_at_least(SMALLEST_FLOOR, self.eps, path="mol.eps")
        return self
