"""The settings of the sequence encoders, under upstream's names where upstream has the encoder."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hstu_preserve.primitives.numbers import NaturalInt, NumBlocks, PositiveInt, Probability
from hstu_preserve.records.record import AlwaysTrue, Record


class EncoderSettings(Record):
    """What HSTU and SASRec share: the embedding below the encoder and the head above it."""

    item_embedding_dim: PositiveInt
    dropout_rate: Probability
    """Of the input embeddings."""
    user_embedding_norm: Literal["l2_norm", "layer_norm", "none"]
    """Of the encoder's output; upstream has the first two."""
    gr_output_length: NaturalInt
    """Padded length is `max_sequence_length + gr_output_length + 1`."""
    main_module_bf16: bool

    @property
    def dtype(self) -> str:
        """The type of the model's weights, as the environment's record names it."""
        return "bfloat16" if self.main_module_bf16 else "float32"

    @property
    def has_dropout(self) -> bool:
        """Whether training draws dropout masks."""
        return self.dropout_rate > 0


def require_divisible(width: int, heads: int) -> None:
    """Raise ValueError where the width cannot be split evenly over the heads."""
    if width % heads:
        raise ValueError(f"item_embedding_dim {width} is not divisible by num_heads {heads}")


class HstuSettings(EncoderSettings):
    """HSTU (Zhai et al., ICML 2024, arXiv:2402.17152), upstream's `hstu_encoder`."""

    kind: Literal["HSTU"]
    num_blocks: NumBlocks
    num_heads: PositiveInt
    dqk: PositiveInt
    """Query and key width per head."""
    dv: PositiveInt
    """Value width per head."""
    linear_dropout_rate: Probability
    """Of the gated attention output, before the output projection."""
    attn_dropout_rate: Probability
    """Upstream names it in the model string and applies it nowhere; so do we."""
    normalization: Literal["rel_bias", "hstu_rel_bias"]
    linear_config: Literal["uvqk"]
    linear_activation: Literal["silu", "none"]
    concat_ua: bool
    enable_relative_attention_bias: AlwaysTrue
    attention_normalization: Literal["padded_length", "real_length"]
    """Attention is divided by the padded length, as upstream does, or by the keys that the query sees."""

    @property
    def has_dropout(self) -> bool:
        """Whether training draws dropout masks."""
        return super().has_dropout or self.linear_dropout_rate > 0


class SasrecSettings(EncoderSettings):
    """SASRec (Kang and McAuley, ICDM 2018, arXiv:1808.09781), upstream's `sasrec_encoder`."""

    kind: Literal["SASRec"]
    num_blocks: NumBlocks
    num_heads: PositiveInt
    ffn_hidden_dim: PositiveInt
    ffn_activation_fn: Literal["relu", "gelu"]
    ffn_dropout_rate: Probability

    @property
    def has_dropout(self) -> bool:
        """Whether training draws dropout masks."""
        return super().has_dropout or self.ffn_dropout_rate > 0

    @model_validator(mode="after")
    def require_divisible_width(self) -> Self:
        """Multi-head attention splits the width evenly over its heads."""
        require_divisible(self.item_embedding_dim, self.num_heads)
        return self


class HstuTfSettings(EncoderSettings):
    """HSTU as NetEase-Media/HSTU-Tensorflow has it: learned norms, residual from the normalised input, left padding."""

    kind: Literal["HSTU-TF"]
    num_blocks: NumBlocks
    num_heads: PositiveInt
    padding_from: Literal["sequence", "normalized_query"]
    """Where padding is seen: in the ids, the stated intent, or in the normalised input, as its code does."""

    @model_validator(mode="after")
    def require_divisible_width(self) -> Self:
        """The width is split evenly over the heads."""
        require_divisible(self.item_embedding_dim, self.num_heads)
        if self.user_embedding_norm != "l2_norm":
            raise ValueError("HSTU-TF has user_embedding_norm l2_norm only")
        if self.main_module_bf16:
            raise ValueError("HSTU-TF has no main_module_bf16")
        return self


class SasrecTfSettings(EncoderSettings):
    """SASRec as published (Kang and McAuley, ICDM 2018), by kang205/SASRec: learned norms, left padding."""

    kind: Literal["SASRec-TF"]
    num_blocks: NumBlocks
    num_heads: PositiveInt

    @model_validator(mode="after")
    def require_divisible_width(self) -> Self:
        """The width is split evenly over the heads, and the last norm is the encoder's own."""
        require_own_norm(self)
        require_divisible(self.item_embedding_dim, self.num_heads)
        return self


class TisasrecSettings(EncoderSettings):
    """TiSASRec (Li, Wang and McAuley, WSDM 2020), by JiachengLi1995/TiSASRec: SASRec with intervals of time."""

    kind: Literal["TiSASRec"]
    num_blocks: NumBlocks
    num_heads: PositiveInt
    """1: the authors' code reshapes what it attends to as if there were one head."""
    time_span: PositiveInt
    """The longest interval that has an embedding of its own, in the user's unit of time; longer ones share the last."""

    @model_validator(mode="after")
    def require_one_head(self) -> Self:
        """More heads have no meaning that anybody published."""
        require_own_norm(self)
        if self.num_heads != 1:
            raise ValueError(f"TiSASRec has one head only, found num_heads {self.num_heads}; leave it out")
        return self


class FparecSettings(EncoderSettings):
    """FPARec and PARec (Luo et al., arXiv:2407.02793), by NetEase-Media/FPARec: attention to positions alone."""

    kind: Literal["FPARec"]
    num_blocks: NumBlocks
    num_heads: PositiveInt
    attention: Literal["factorized", "full"]
    """Whether the score of two positions is a product of two vectors (FPARec) or a parameter of its own (PARec)."""
    factors: PositiveInt
    """Width of those vectors; a full table of scores has none."""
    ffn_hidden_dim: PositiveInt
    ffn_activation_fn: Literal["relu", "gelu"]
    """GELU is the exact one."""
    feed_forward: Literal["after_blocks", "per_block"]
    """One feed-forward net after all blocks, as the code was released, or one in each block, as in SASRec. With several
    blocks the former lets a training state depend on later events, its label among them."""

    @model_validator(mode="after")
    def require_divisible_width(self) -> Self:
        """The width is split evenly over the heads, and the last norm is the encoder's own."""
        require_own_norm(self)
        require_divisible(self.item_embedding_dim, self.num_heads)
        return self


Foundation = SasrecTfSettings | TisasrecSettings | FparecSettings


def require_own_norm(settings: Foundation) -> None:
    """Raise ValueError unless the encoder's own norm is the last one, in single precision."""
    if settings.user_embedding_norm != "none":
        raise ValueError(f"{settings.kind} has user_embedding_norm none only")
    if settings.main_module_bf16:
        raise ValueError(f"{settings.kind} has no main_module_bf16")


FOUNDATIONS = (SasrecTfSettings, TisasrecSettings, FparecSettings)
"""What HSTU-Tensorflow stands on: encoders whose tables may be penalised, and whose last norm is their own."""
WINDOWED = (HstuTfSettings, *FOUNDATIONS)
"""The encoders that read a window with positions of its own, and take no component."""
ModelSettings = Annotated[HstuSettings | SasrecSettings | HstuTfSettings | Foundation, Field(discriminator="kind")]
