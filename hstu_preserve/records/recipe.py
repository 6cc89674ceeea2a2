"""The recipe: every setting that decides a result, in one frozen record that the code runs on.

Field names follow upstream's gin names where upstream has one (`train_fn.learning_rate` is `training.learning_rate`).
The table of gin names is in `gin_recipes/bindings.py`. Nothing here has a default: upstream's live there.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.numbers import (
    SMALLEST_FLOOR,
    SMALLEST_SCALE,
    AnyFloat,
    LeastEvents,
    NaturalInt,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    PositiveShare,
    require_at_least,
)
from hstu_preserve.records.evaluation_kind import EvaluationKind, NamedKind, find_kind, require_one_filter
from hstu_preserve.records.record import Record
from hstu_preserve.records.settings.components import (
    ActionFusionSettings,
    HardNegativeSettings,
    InputCompressionSettings,
    PopularityDebiasing,
    PrismSettings,
    TimeDecaySettings,
)
from hstu_preserve.records.settings.encoders import FOUNDATIONS, WINDOWED, ModelSettings
from hstu_preserve.records.settings.interactions import MolSettings


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
    positional_sampling_ratio: PositiveShare
    """Share of training events kept, drawn once per run; 1 keeps all."""
    candidates: Literal["all", "rated"]
    """What is sampled and ranked: the whole movie table, as upstream does, or the movies that somebody rated."""
    short_histories: Literal["train"] | None = Field(default=None, exclude_if=lambda rule: rule is None)
    """Users with fewer events than validation and test need are trained on whole and never evaluated, as SASRec has it;
    absent: their last events are held out like everybody's."""
    min_user_events: LeastEvents | None = Field(default=None, exclude_if=lambda least: least is None)
    """Events that a user must have in the source, counted once over all of it; absent if nobody is left out."""
    min_item_events: LeastEvents | None = Field(default=None, exclude_if=lambda least: least is None)
    """The same of an item."""


class LossSettings(Record):
    """What every loss shares: scores are divided by the temperature."""

    temperature: PositiveFloat
    item_l2_norm: bool
    l2_norm_eps: PositiveFloat
    activation_checkpoint: bool
    interaction_module_type: Literal["DotProduct", "MoL"]
    """How user and item make a score: by their dot product, or by what the section `mol` says."""
    weights: dict[str, AnyFloat]
    """Weight of each auxiliary loss, by name."""

    @model_validator(mode="after")
    def require_finite_scores(self) -> Self:
        """Scores are quotients, and so are normalised embeddings: the padding row's is 0 by the smallest norm."""
        require_at_least(SMALLEST_SCALE, self.temperature, path="loss.temperature")
        require_at_least(SMALLEST_FLOOR, self.l2_norm_eps, path="loss.l2_norm_eps")
        return self


class SampledSoftmaxSettings(LossSettings):
    """Softmax over one positive and `num_negatives` negatives."""

    loss_module: Literal["SampledSoftmaxLoss"]
    sampling_strategy: Literal["local", "in-batch"]
    num_negatives: PositiveInt
    negative_draws: Literal["philox4x32-10"] | None = Field(default=None, exclude_if=lambda draws: draws is None)
    """The generator of the negatives: one that counts, and draws the same on the device itself; None is PyTorch's for
    the CPU."""


class FullSoftmaxSettings(LossSettings):
    """Softmax over all candidates."""

    loss_module: Literal["FullSoftmaxLoss"]
    padding_row: bool
    """Whether a logit of 0 joins the sum, as the padding row of HSTU-Tensorflow's table does."""


class BinaryCrossEntropySettings(LossSettings):
    """Binary cross-entropy of one positive and one negative, as SASRec was published.

    Not upstream's `BCELoss`, which halves the sum, drops positions whose negative is the positive and draws from all.
    """

    loss_module: Literal["BinaryCrossEntropyLoss"]
    sampling_strategy: Literal["unseen"]
    """Uniform, and drawn again while it is one of the user's training items."""


AnyLossSettings = Annotated[
    SampledSoftmaxSettings | FullSoftmaxSettings | BinaryCrossEntropySettings, Field(discriminator="loss_module")
]


class TrainingSettings(Record):
    """Optimisation."""

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
    optimizer: Literal["AdamW", "TensorFlowAdam"]
    """AdamW as upstream, or TensorFlow 1's Adam, whose ε is not bias-corrected; betas 0.9 and 0.98 for both."""
    user_sampling: Literal["shuffled", "with_replacement"]
    """Whether an epoch visits every user once, or fills as many batches with users drawn uniformly."""
    patience: PositiveInt | None
    """Epochs without a better validation metric after which training stops; None trains to the end."""
    embedding_l2: PositiveFloat | None = Field(default=None, exclude_if=lambda factor: factor is None)
    """λ of λ·Σw² over the tables of items, positions and intervals, which joins the loss; absent if nothing does."""
    epoch_batches: Literal["floor_all", "ceil_all"] | None = Field(default=None, exclude_if=lambda rule: rule is None)
    """Batches of an epoch: all users of the data by the batch, rounded; absent: the trained ones, rounded up."""

    @model_validator(mode="after")
    def require_known_decay(self) -> Self:
        """TensorFlow 1's Adam decays no weights."""
        if self.optimizer == "TensorFlowAdam" and self.weight_decay:
            raise ValueError(
                f"training.optimizer TensorFlowAdam needs training.weight_decay 0, found {self.weight_decay}"
            )
        return self


class EvaluationSettings(Record):
    """How ranks are made: of every user, among the items that the kind of evaluation says."""

    eval_batch_size: PositiveInt
    eval_user_max_batch_size: PositiveInt | None
    """Users scored at once, where smaller than the batch."""
    top_k_method: Literal["MIPSBruteForceTopK", "MoLBruteForceTopK"]
    """All candidates are scored, by the interaction."""
    full_eval_every_n: PositiveInt
    partial_eval_num_iters: PositiveInt
    """Batches evaluated in an epoch that is not evaluated fully."""
    filter_all_seen: bool
    """Filter the user's whole history rather than the part the model reads (upstream's False)."""
    kind: NamedKind | None = Field(default=None, exclude_if=lambda kind: kind is None)
    """The kind of evaluation, if it is none of the two filters; absent otherwise."""
    max_users: PositiveInt | None = Field(default=None, exclude_if=lambda users: users is None)
    """Users that are evaluated at the most, drawn by (seed, part); absent if all are."""

    @property
    def effective_kind(self) -> EvaluationKind:
        """Which items a target is ranked among."""
        return find_kind(self.kind, filter_all_seen=self.filter_all_seen)

    def under(self, kind: EvaluationKind) -> Self:
        """Return the settings with another kind of evaluation."""
        is_filtered = kind is EvaluationKind.ALL_SEEN
        return self.model_copy(update={"filter_all_seen": is_filtered, "kind": kind.beyond_filter})

    @model_validator(mode="after")
    def require_one_filter(self) -> Self:
        """A kind without a filter has none of its own."""
        require_one_filter(self.kind, filter_all_seen=self.filter_all_seen, section="evaluation.")
        return self


class Recipe(Record):
    """Everything that decides a result."""

    dataset: DatasetSettings
    model: ModelSettings
    prism: PrismSettings | None
    input_compression: InputCompressionSettings | None
    action_fusion: ActionFusionSettings | None
    time_decay: TimeDecaySettings | None
    loss: AnyLossSettings
    hard_negatives: HardNegativeSettings | None
    pop_debias: PopularityDebiasing | None
    training: TrainingSettings
    evaluation: EvaluationSettings
    mol: MolSettings | None = Field(default=None, exclude_if=lambda mol: mol is None)
    """Mixture of Logits; absent if scores are dot products."""

    @property
    def has_dropout(self) -> bool:
        """Whether training draws dropout masks."""
        return self.model.has_dropout or (self.mol is not None and self.mol.has_dropout)

    @property
    def padded_length(self) -> int:
        """Positions of the padded form, which divide HSTU's attention: 211 for a history of 200."""
        return self.encoded_length + self.model.gr_output_length + 1

    @property
    def encoded_length(self) -> int:
        """Positions of history that the encoder reads, at the most."""
        compression = self.input_compression
        if compression is None or not self.is_compressed:
            return self.dataset.max_sequence_length
        if compression.pooling == "learned":
            return self.dataset.max_sequence_length + compression.num_tokens
        return compression.num_tokens + compression.recent_len

    @property
    def is_compressed(self) -> bool:
        """Whether a long history is compressed at all: one event per token is none."""
        return self.input_compression is not None and self.input_compression.ratio > 1

    @model_validator(mode="after")
    def require_fitting_compression(self) -> Self:
        """Something is left to compress, and by an encoder that can."""
        settings = self.input_compression
        if settings is None or not self.is_compressed:
            return self
        if settings.recent_len >= self.dataset.max_sequence_length:
            raise ValueError(
                f"input_compression.recent_len {settings.recent_len} leaves nothing to compress of "
                f"dataset.max_sequence_length {self.dataset.max_sequence_length}"
            )
        if settings.pooling == "learned" and self.model.kind != "HSTU":
            raise ValueError("input_compression.pooling 'learned' needs model.kind HSTU")
        return self

    @model_validator(mode="after")
    def require_components_of_the_model(self) -> Self:
        """Encoders of a window are taken as they are; decay in attention is HSTU's."""
        if isinstance(self.model, WINDOWED):
            names = {
                "prism.variant": self.prism,
                "input_compression.pooling": self.input_compression,
                "action_fusion.enabled": self.action_fusion,
                "time_decay.mode": self.time_decay,
            }
            found = [name for name, component in names.items() if component is not None]
            if found:
                raise ValueError(f"model.kind {self.model.kind} takes no component ({', '.join(found)})")
        decay = self.time_decay
        if decay and decay.where == "attention" and self.model.kind != "HSTU":
            raise ValueError("time_decay.where 'attention' needs model.kind HSTU")
        if decay and decay.where == "pool" and (not self.is_compressed):
            raise ValueError(
                "time_decay.where 'pool' needs input_compression.pooling with an input_compression.ratio above 1"
            )
        if decay and decay.where == "pool" and self.input_compression and self.input_compression.pooling == "learned":
            raise ValueError("time_decay.where 'pool' has no meaning with input_compression.pooling 'learned'")
        return self

    @model_validator(mode="after")
    def require_the_sampler(self) -> Self:
        """What changes the negatives needs negatives, drawn from all candidates."""
        is_local = isinstance(self.loss, SampledSoftmaxSettings) and self.loss.sampling_strategy == "local"
        if self.hard_negatives and not is_local:
            raise ValueError(
                "hard_negatives.fraction needs loss.loss_module SampledSoftmaxLoss and loss.sampling_strategy 'local'"
            )
        if self.pop_debias and self.pop_debias.mode == "pop_sampler" and not is_local:
            raise ValueError(
                "pop_debias.mode 'pop_sampler' needs loss.loss_module SampledSoftmaxLoss and "
                "loss.sampling_strategy 'local'"
            )
        return self

    @model_validator(mode="after")
    def require_some_hard_negatives(self) -> Self:
        """Asked for, they are there: a recipe that has none of them is another recipe's model under its own name."""
        hard, loss = self.hard_negatives, self.loss
        if hard is None or not isinstance(loss, SampledSoftmaxSettings):
            return self
        num_hard = round(hard.fraction * loss.num_negatives)
        if num_hard == 0:
            raise ValueError(
                f"hard_negatives.fraction {hard.fraction} of loss.num_negatives {loss.num_negatives} rounds to none"
            )
        if hard.pool_size < num_hard:
            raise ValueError(
                f"hard_negatives.pool_size {hard.pool_size} is less than the {num_hard} hard ones that "
                f"hard_negatives.fraction {hard.fraction} of loss.num_negatives {loss.num_negatives} asks for"
            )
        if hard.warmup_epochs >= self.training.num_epochs:
            raise ValueError(
                f"hard_negatives.warmup_epochs {hard.warmup_epochs} leaves no epoch with hard negatives: "
                f"training.num_epochs is {self.training.num_epochs}"
            )
        return self

    @model_validator(mode="after")
    def require_a_draw_to_correct(self) -> Self:
        """The correction is for the frequency of a draw; hard negatives are chosen, not drawn."""
        debias = self.pop_debias
        if not self.hard_negatives or debias is None or debias.mode != "pop_sampler":
            return self
        if debias.correct and debias.mix > 0:
            raise ValueError(
                "hard_negatives.fraction with pop_debias.mode 'pop_sampler' needs pop_debias.correct False: hard "
                "negatives are not drawn with the probability q that log q corrects"
            )
        return self

    @model_validator(mode="after")
    def require_what_the_foundations_need(self) -> Self:
        """Tables are penalised by name; batches are counted by all users if users are drawn again."""
        training = self.training
        if training.embedding_l2 is not None and not isinstance(self.model, FOUNDATIONS):
            raise ValueError("training.embedding_l2 needs model.kind SASRec-TF, TiSASRec or FPARec")
        if training.epoch_batches is not None and training.user_sampling != "with_replacement":
            raise ValueError("training.epoch_batches needs training.user_sampling 'with_replacement'")
        if self.dataset.short_histories and self.dataset.protocol is not Protocol.VALIDATED:
            raise ValueError("dataset.short_histories needs dataset.protocol 'validated'")
        if self.dataset.short_histories and self.pop_debias:
            raise ValueError("dataset.short_histories and pop_debias.mode exclude each other")
        if self.pop_debias and isinstance(self.loss, BinaryCrossEntropySettings):
            raise ValueError("pop_debias.mode needs loss.loss_module SampledSoftmaxLoss or FullSoftmaxLoss")
        return self

    @model_validator(mode="after")
    def require_one_interaction(self) -> Self:
        """What is trained is what ranks; what is made for dot products takes no other score."""
        kind, method = self.loss.interaction_module_type, self.evaluation.top_k_method
        if (self.mol is None) != (kind == "DotProduct"):
            raise ValueError("the section mol belongs to loss.interaction_module_type 'MoL', and to no other")
        if (method == "MoLBruteForceTopK") != (kind == "MoL"):
            needed = "MoLBruteForceTopK" if kind == "MoL" else "MIPSBruteForceTopK"
            raise ValueError(
                f"evaluation.top_k_method {method} does not rank by the scores that are trained: "
                f"loss.interaction_module_type '{kind}' needs '{needed}'"
            )
        if self.mol is None:
            return self
        if self.loss.loss_module != "SampledSoftmaxLoss":
            raise ValueError("loss.interaction_module_type 'MoL' needs loss.loss_module SampledSoftmaxLoss")
        if self.hard_negatives:
            raise ValueError("hard_negatives.fraction needs loss.interaction_module_type 'DotProduct'")
        unknown = sorted(self.loss.weights.keys() - self.mol.auxiliary_losses)
        if unknown:
            known = ", ".join(sorted(self.mol.auxiliary_losses))
            raise ValueError(f"loss.weights names {unknown[0]!r}, which is no loss of this mixture (there are {known})")
        return self

    @model_validator(mode="after")
    def require_a_validation_part(self) -> Self:
        """Only a protocol with a validation part can stop early."""
        if self.training.patience is not None and self.dataset.protocol is not Protocol.VALIDATED:
            raise ValueError("training.patience needs dataset.protocol 'validated'")
        return self
