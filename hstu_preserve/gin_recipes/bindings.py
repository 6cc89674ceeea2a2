"""The gin names that this program knows: where each goes, its default, and which model reads it.

Names and defaults of `train_fn`, `hstu_encoder` and `sasrec_encoder` are those of Meta's signatures
(`generative_recommenders/research/trainer/train.py` and `.../modeling/sequential/encoder_utils.py`).
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from hstu_preserve.primitives.strict_json import Json

BOTH_MODELS = frozenset({"HSTU", "SASRec"})
HSTU = frozenset({"HSTU"})
SASREC = frozenset({"SASRec"})

NO_LEARNED_SIMILARITY = "learned similarities (MoL) are not supported"

AUXILIARY_LOSSES: frozenset[str] = frozenset()
"""What `train_fn.loss_weights` may weigh: the losses that components add to the main one. None does so far."""


@dataclass(frozen=True)
class RecipeBinding:
    """A gin name that becomes a field of the recipe."""

    name: str
    _: KW_ONLY
    path: str
    """The field, from the recipe's root."""
    default: Json
    models: frozenset[str] = BOTH_MODELS
    note: str = ""
    """Added to the message when the value is refused."""


RECIPE_BINDINGS = (
    RecipeBinding("train_fn.dataset_name", path="dataset.name", default="ml-20m"),
    RecipeBinding("train_fn.max_sequence_length", path="dataset.max_sequence_length", default=200),
    RecipeBinding("train_fn.positional_sampling_ratio", path="dataset.positional_sampling_ratio", default=1.0),
    RecipeBinding("train_fn.main_module", path="model.kind", default="SASRec"),
    RecipeBinding("train_fn.main_module_bf16", path="model.main_module_bf16", default=False),
    RecipeBinding("train_fn.dropout_rate", path="model.dropout_rate", default=0.2),
    RecipeBinding("train_fn.user_embedding_norm", path="model.user_embedding_norm", default="l2_norm"),
    RecipeBinding("train_fn.item_embedding_dim", path="model.item_embedding_dim", default=240),
    RecipeBinding("train_fn.gr_output_length", path="model.gr_output_length", default=10),
    RecipeBinding("train_fn.loss_module", path="loss.loss_module", default="SampledSoftmaxLoss"),
    RecipeBinding("train_fn.sampling_strategy", path="loss.sampling_strategy", default="in-batch"),
    RecipeBinding("train_fn.num_negatives", path="loss.num_negatives", default=1),
    RecipeBinding("train_fn.temperature", path="loss.temperature", default=0.05),
    RecipeBinding("train_fn.item_l2_norm", path="loss.item_l2_norm", default=False),
    RecipeBinding("train_fn.l2_norm_eps", path="loss.l2_norm_eps", default=1e-6),
    RecipeBinding("train_fn.loss_activation_checkpoint", path="loss.activation_checkpoint", default=False),
    # Upstream's default is "", which upstream itself cannot build; a chain that leaves it out means the dot product.
    RecipeBinding(
        "train_fn.interaction_module_type",
        path="loss.interaction_module_type",
        default="DotProduct",
        note=NO_LEARNED_SIMILARITY,
    ),
    # Upstream's None means the same as {}.
    RecipeBinding("train_fn.loss_weights", path="loss.weights", default={}),
    RecipeBinding("train_fn.random_seed", path="training.random_seed", default=42),
    RecipeBinding("train_fn.num_epochs", path="training.num_epochs", default=101),
    RecipeBinding("train_fn.local_batch_size", path="training.local_batch_size", default=128),
    RecipeBinding("train_fn.learning_rate", path="training.learning_rate", default=1e-3),
    RecipeBinding("train_fn.weight_decay", path="training.weight_decay", default=1e-3),
    RecipeBinding("train_fn.num_warmup_steps", path="training.num_warmup_steps", default=0),
    RecipeBinding("train_fn.enable_tf32", path="training.enable_tf32", default=False),
    RecipeBinding("train_fn.save_ckpt_every_n", path="training.save_ckpt_every_n", default=1000),
    RecipeBinding("train_fn.eval_interval", path="training.eval_interval", default=100),
    RecipeBinding("train_fn.eval_batch_size", path="evaluation.eval_batch_size", default=128),
    RecipeBinding("train_fn.eval_user_max_batch_size", path="evaluation.eval_user_max_batch_size", default=None),
    RecipeBinding("train_fn.top_k_method", path="evaluation.top_k_method", default="MIPSBruteForceTopK"),
    RecipeBinding("train_fn.full_eval_every_n", path="evaluation.full_eval_every_n", default=1),
    RecipeBinding("train_fn.partial_eval_num_iters", path="evaluation.partial_eval_num_iters", default=32),
    RecipeBinding("hstu_encoder.num_blocks", path="model.num_blocks", default=2, models=HSTU),
    RecipeBinding("hstu_encoder.num_heads", path="model.num_heads", default=1, models=HSTU),
    RecipeBinding("hstu_encoder.dqk", path="model.dqk", default=64, models=HSTU),
    RecipeBinding("hstu_encoder.dv", path="model.dv", default=64, models=HSTU),
    RecipeBinding("hstu_encoder.linear_dropout_rate", path="model.linear_dropout_rate", default=0.0, models=HSTU),
    RecipeBinding("hstu_encoder.attn_dropout_rate", path="model.attn_dropout_rate", default=0.0, models=HSTU),
    RecipeBinding("hstu_encoder.normalization", path="model.normalization", default="rel_bias", models=HSTU),
    RecipeBinding("hstu_encoder.linear_config", path="model.linear_config", default="uvqk", models=HSTU),
    RecipeBinding("hstu_encoder.linear_activation", path="model.linear_activation", default="silu", models=HSTU),
    RecipeBinding("hstu_encoder.concat_ua", path="model.concat_ua", default=False, models=HSTU),
    RecipeBinding(
        "hstu_encoder.enable_relative_attention_bias",
        path="model.enable_relative_attention_bias",
        default=True,
        models=HSTU,
    ),
    RecipeBinding("sasrec_encoder.num_blocks", path="model.num_blocks", default=2, models=SASREC),
    RecipeBinding("sasrec_encoder.num_heads", path="model.num_heads", default=1, models=SASREC),
    RecipeBinding("sasrec_encoder.ffn_hidden_dim", path="model.ffn_hidden_dim", default=64, models=SASREC),
    RecipeBinding("sasrec_encoder.ffn_activation_fn", path="model.ffn_activation_fn", default="relu", models=SASREC),
    RecipeBinding("sasrec_encoder.ffn_dropout_rate", path="model.ffn_dropout_rate", default=0.2, models=SASREC),
    # Ours.
    RecipeBinding("data.protocol", path="dataset.protocol", default="upstream"),
    RecipeBinding("data.fingerprint", path="dataset.fingerprint", default=None),
    RecipeBinding("eval.filter_all_seen", path="evaluation.filter_all_seen", default=False),
)

CLAIM_SELECTOR = "claim"
CLAIM_ARGUMENTS = ("name", "metric", "direction", "selection_rule", "margin", "margin_derivation", "seeds")
DEFAULT_METRIC = "ndcg@10"

BUNDLE_SELECTOR = "bundle"
BUNDLE_ARGUMENTS = ("id", "title", "licence", "citation", "include_data")

ANY = object
"""The type of a module object, which gin text can only name."""

FIXED_BINDINGS: Mapping[str, object] = {"train_fn.embedding_module_type": Literal["local"]}
"""Names with one accepted value, by type; nothing to record."""

INERT_BINDINGS: Mapping[str, object] = {
    "create_data_loader.prefetch_factor": int | None,
    "create_data_loader.num_workers": int | None,
    "get_sequential_encoder.activation_checkpoint": bool,
}
"""Names that upstream reads and that decide no result here (batches are assembled in memory), by type."""

_ENCODER_ARGUMENTS: Mapping[str, object] = {
    "max_sequence_length": int,
    "max_output_length": int,
    "embedding_module": ANY,
    "input_preproc_module": ANY,
    "output_postproc_module": ANY,
    "verbose": bool,
}

UNREAD_BINDINGS: Mapping[str, object] = {
    **dict.fromkeys(("train_fn.rank", "train_fn.world_size", "train_fn.master_port"), int),
    **{
        f"{encoder}.{argument}": kind
        for encoder in ("hstu_encoder", "sasrec_encoder", "get_sequential_encoder")
        for argument, kind in _ENCODER_ARGUMENTS.items()
    },
    **{
        f"{encoder}.{argument}": kind
        for encoder in ("hstu_encoder", "sasrec_encoder")
        for argument, kind in {"similarity_module": ANY, "activation_checkpoint": bool}.items()
    },
    "get_sequential_encoder.module_type": str,
    "get_sequential_encoder.interaction_module": ANY,
    "create_data_loader.dataset": ANY,
    "create_data_loader.batch_size": int,
    "create_data_loader.world_size": int,
    "create_data_loader.rank": int,
    "create_data_loader.shuffle": bool,
    "create_data_loader.drop_last": bool,
    "get_weighted_loss.main_loss": ANY,
    "get_weighted_loss.aux_losses": ANY,
    "get_weighted_loss.weights": dict[str, float],
}
"""Names whose argument upstream's own code passes, which in gin wins over the binding, by type."""

UNSUPPORTED_SELECTORS = frozenset({"get_similarity_function", "create_mol_interaction_module"})
"""Upstream's learned similarities (Mixture of Logits)."""

RECIPE_BINDINGS_BY_NAME: Mapping[str, RecipeBinding] = {row.name: row for row in RECIPE_BINDINGS}
CLAIM_NAMES = tuple(f"{CLAIM_SELECTOR}.{argument}" for argument in CLAIM_ARGUMENTS)
BUNDLE_NAMES = tuple(f"{BUNDLE_SELECTOR}.{argument}" for argument in BUNDLE_ARGUMENTS)
KNOWN_NAMES = (
    *RECIPE_BINDINGS_BY_NAME,
    *CLAIM_NAMES,
    *BUNDLE_NAMES,
    *FIXED_BINDINGS,
    *INERT_BINDINGS,
    *UNREAD_BINDINGS,
)
