"""The recipe: every setting that decides a result, in one frozen record that the code runs on.

Field names follow upstream's gin names where upstream has one (`train_fn.learning_rate` is `training.learning_rate`).
The table of gin names is in `gin_recipes/bindings.py`. Nothing here has a default: upstream's live there.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.records.record import Record

Probability = Annotated[float, Field(ge=0.0, lt=1.0, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(ge=1)]
NaturalInt = Annotated[int, Field(ge=0)]
# RFC 8785 writes larger floats with the digits of an integer that JSON readers do not keep.
LARGEST_FLOAT = 2.0**53
PositiveFloat = Annotated[float, Field(gt=0.0, lt=LARGEST_FLOAT, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0.0, lt=LARGEST_FLOAT, allow_inf_nan=False)]
AnyFloat = Annotated[float, Field(gt=-LARGEST_FLOAT, lt=LARGEST_FLOAT, allow_inf_nan=False)]


class Protocol(StrEnum):
    """How a user's events are split; numbers of different protocols are never compared."""

    UPSTREAM = "upstream"
    """Train on all but the last event, test on the last, report a fixed final epoch."""
    VALIDATED = "validated"
    """Train on all but the last two, select the epoch on the last but one, test on the last without retraining."""


class DatasetSettings(Record):
    """Which data, and which part of a user's history the model sees."""

    name: str
    """`ml-1m`, `ml-20m`, …: the name that the store must carry."""
    fingerprint: Sha256 | None
    """The store's fingerprint, where the author pinned it."""
    protocol: Protocol
    max_sequence_length: PositiveInt
    """Events of history that the model reads, the last ones."""
    positional_sampling_ratio: Annotated[float, Field(gt=0.0, le=1.0)]
    """Share of training events kept, drawn once per run; 1 keeps all."""


class EncoderSettings(Record):
    """What HSTU and SASRec share: the embedding below the encoder and the head above it."""

    item_embedding_dim: PositiveInt
    dropout_rate: Probability
    """Of the input embeddings."""
    user_embedding_norm: Literal["l2_norm", "layer_norm"]
    gr_output_length: NaturalInt
    """Padded length is `max_sequence_length + gr_output_length + 1`."""
    main_module_bf16: bool


class HstuSettings(EncoderSettings):
    """HSTU (Zhai et al., ICML 2024, arXiv:2402.17152), upstream's `hstu_encoder`."""

    kind: Literal["HSTU"]
    num_blocks: PositiveInt
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
    enable_relative_attention_bias: Literal[True]


class SasrecSettings(EncoderSettings):
    """SASRec (Kang and McAuley, ICDM 2018, arXiv:1808.09781), upstream's `sasrec_encoder`."""

    kind: Literal["SASRec"]
    num_blocks: PositiveInt
    num_heads: PositiveInt
    ffn_hidden_dim: PositiveInt
    ffn_activation_fn: Literal["relu", "gelu"]
    ffn_dropout_rate: Probability

    @model_validator(mode="after")
    def require_divisible_width(self) -> Self:
        """Multi-head attention splits the width evenly over its heads."""
        if self.item_embedding_dim % self.num_heads:
            raise ValueError(
                f"item_embedding_dim {self.item_embedding_dim} is not divisible by num_heads {self.num_heads}"
            )
        return self


ModelSettings = Annotated[HstuSettings | SasrecSettings, Field(discriminator="kind")]


class LossSettings(Record):
    """Sampled softmax over one positive and `num_negatives` negatives."""

    loss_module: Literal["SampledSoftmaxLoss"]
    sampling_strategy: Literal["local", "in-batch"]
    num_negatives: PositiveInt
    temperature: PositiveFloat
    item_l2_norm: bool
    l2_norm_eps: PositiveFloat
    activation_checkpoint: bool
    interaction_module_type: Literal["DotProduct"]
    weights: dict[str, AnyFloat]
    """Weight of each auxiliary loss, by name."""


class TrainingSettings(Record):
    """Optimisation: AdamW with betas 0.9 and 0.98, as upstream."""

    random_seed: NaturalInt
    num_epochs: PositiveInt
    local_batch_size: PositiveInt
    """Users per step."""
    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat
    num_warmup_steps: NaturalInt
    enable_tf32: bool
    save_ckpt_every_n: PositiveInt
    """Epochs between checkpoints; the last epoch is always kept."""
    eval_interval: PositiveInt
    """Steps between the `loss/train` and `lr` points of the event file."""


class EvaluationSettings(Record):
    """How ranks are made: every user, every candidate, the last items of the history filtered out."""

    eval_batch_size: PositiveInt
    eval_user_max_batch_size: PositiveInt | None
    """Users scored at once, where smaller than the batch."""
    top_k_method: Literal["MIPSBruteForceTopK"]
    full_eval_every_n: PositiveInt
    partial_eval_num_iters: PositiveInt
    """Batches evaluated in an epoch that is not evaluated fully."""
    filter_all_seen: bool
    """Filter the user's whole history rather than the part the model reads (upstream's False)."""


class Recipe(Record):
    """Everything that decides a result."""

    dataset: DatasetSettings
    model: ModelSettings
    loss: LossSettings
    training: TrainingSettings
    evaluation: EvaluationSettings

    @property
    def padded_length(self) -> int:
        """Positions of the padded form, which divide HSTU's attention: 211 for a history of 200."""
        return self.dataset.max_sequence_length + self.model.gr_output_length + 1
