"""The gin names that this program knows: where each goes, its default, and which model reads it.

Names and defaults of `train_fn`, `hstu_encoder` and `sasrec_encoder` are those of Meta's signatures
(`generative_recommenders/research/trainer/train.py` and `.../modeling/sequential/encoder_utils.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from hstu_preserve.primitives.json_values import Json

MODEL = "train_fn.main_module"
LOSS = "train_fn.loss_module"
MODELS = ("HSTU", "HSTU-TF", "SASRec", "SASRec-TF", "TiSASRec", "FPARec")
UNION_TAGS = frozenset(
    {*MODELS, "SampledSoftmaxLoss", "FullSoftmaxLoss", "BinaryCrossEntropyLoss", "logit_adjust", "ips", "pop_sampler"}
)
"""The values that decide which fields a section of the recipe has."""

INTERACTION = "train_fn.interaction_module_type"
DOT_PRODUCT = "DotProduct"
MIXTURE = "MoL"

AUXILIARY_LOSSES: frozenset[str] = frozenset({"mi_loss", "uid_embedding_l2_norm"})
"""The losses that `train_fn.loss_weights` may weigh, MoL's. PRISM's load balance has a weight of its own."""


@dataclass(frozen=True)
class Condition:
    """That another setting has one of some values."""

    name: str
    """The other setting's gin name."""
    values: tuple[Json, ...]


HSTU = Condition(MODEL, ("HSTU",))
SASREC = Condition(MODEL, ("SASRec",))
HSTU_TF = Condition(MODEL, ("HSTU-TF",))
SASREC_TF = Condition(MODEL, ("SASRec-TF",))
TISASREC = Condition(MODEL, ("TiSASRec",))
FPAREC = Condition(MODEL, ("FPARec",))
SAMPLED = Condition(LOSS, ("SampledSoftmaxLoss",))
FULL = Condition(LOSS, ("FullSoftmaxLoss",))
CROSS_ENTROPY = Condition(LOSS, ("BinaryCrossEntropyLoss",))
MOL = Condition(INTERACTION, (MIXTURE,))


@dataclass(frozen=True)
class RecipeBinding:
    """A gin name that becomes a field of the recipe; two rows of one name are never read together."""

    name: str
    _: KW_ONLY
    path: str
    """The field, from the recipe's root."""
    default: Json
    read_if: Condition | None = None
    """Without it the recipe has no such field; None if it always has."""
    idle_if: tuple[Condition, ...] = ()
    """With any of these, nothing reads the field: the recipe holds the default, whatever is bound."""
    never_idle: tuple[Json, ...] = ()
    """Values that are read even so."""
    note: str = ""
    """Added to the message when the default is refused: nothing is bound, and something must be."""


@dataclass(frozen=True, kw_only=True)
class Switch:
    """A setting that turns a section of the recipe on: turned off, the recipe holds None in the section's place."""

    name: str
    section: str
    off: Json
    on: tuple[Json, ...]
    """Every other value, or none where any value but `off` turns the section on."""

    def is_off(self, value: Json) -> bool:
        """Return whether the value turns the section off; False is not 0, nor 0 False."""
        return value == self.off and isinstance(value, bool) == isinstance(self.off, bool)


SWITCHES = (
    Switch(name="prism.variant", section="prism", off="none", on=("additive", "film", "moe")),
    Switch(
        name="input_compression.pooling", section="input_compression", off="none", on=("chunk", "category", "learned")
    ),
    Switch(name="action_fusion.enabled", section="action_fusion", off=False, on=(True,)),
    Switch(name="time_decay.mode", section="time_decay", off="none", on=("power", "exp", "exp_power")),
    Switch(name="hard_negatives.fraction", section="hard_negatives", off=0, on=()),
    Switch(name="pop_debias.mode", section="pop_debias", off="none", on=("logit_adjust", "ips", "pop_sampler")),
)

LOGIT_ADJUST = Condition("pop_debias.mode", ("logit_adjust",))
IPS = Condition("pop_debias.mode", ("ips",))
POP_SAMPLER = Condition("pop_debias.mode", ("pop_sampler",))

NOT_FILM = Condition("prism.variant", ("additive", "moe"))
NOT_MOE = Condition("prism.variant", ("additive", "film"))
NOT_CHUNKS = Condition("input_compression.pooling", ("category", "learned"))
NO_MEANS = Condition("input_compression.pooling", ("learned",))
NOTHING_COMPRESSED = Condition("input_compression.ratio", (1,))
MEANS_BY_AGE = Condition("time_decay.where", ("pool",))
NO_EXPONENT = Condition("time_decay.mode", ("power", "exp"))
NONE_BY_POPULARITY = Condition("pop_debias.mix", (0,))
NOT_FACTORIZED = Condition("fparec_encoder.attention", ("full",))

MOL_SELECTOR = "create_mol_interaction_module"
UID_TABLES = f"{MOL_SELECTOR}.uid_embedding_hash_sizes"
HIDDEN_WIDTHS = tuple(f"{MOL_SELECTOR}.{side}_hidden_dim" for side in ("query", "item"))
NO_QUERY_LAYER, NO_ITEM_LAYER = (Condition(name, (-1, 0)) for name in HIDDEN_WIDTHS)
NO_UID_TABLES = Condition(UID_TABLES, ([], None))
NO_UID_DROPOUT = Condition(f"{MOL_SELECTOR}.uid_dropout_rate", (0,))
NOT_BOUND = "rails has no default for it"


def mol(argument: str, *, default: Json = None, idle_if: tuple[Condition, ...] = ()) -> RecipeBinding:
    """Return the row of one of MoL's settings, of which rails leaves those without a default to the gin file."""
    name, note = f"{MOL_SELECTOR}.{argument}", NOT_BOUND if default is None else ""
    return RecipeBinding(name, path=f"mol.{argument}", default=default, read_if=MOL, idle_if=idle_if, note=note)


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
    RecipeBinding("train_fn.sampling_strategy", path="loss.sampling_strategy", default="unseen", read_if=CROSS_ENTROPY),
    RecipeBinding("train_fn.sampling_strategy", path="loss.sampling_strategy", default="in-batch", read_if=SAMPLED),
    RecipeBinding("train_fn.num_negatives", path="loss.num_negatives", default=1, read_if=SAMPLED),
    RecipeBinding("full_softmax.padding_row", path="loss.padding_row", default=False, read_if=FULL),
    RecipeBinding("train_fn.temperature", path="loss.temperature", default=0.05),
    RecipeBinding("train_fn.item_l2_norm", path="loss.item_l2_norm", default=False),
    RecipeBinding("train_fn.l2_norm_eps", path="loss.l2_norm_eps", default=1e-6),
    RecipeBinding("train_fn.loss_activation_checkpoint", path="loss.activation_checkpoint", default=False),
    # Upstream's default is "", which upstream itself cannot build; a chain that leaves it out means the dot product.
    RecipeBinding(INTERACTION, path="loss.interaction_module_type", default=DOT_PRODUCT),
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
    RecipeBinding("hstu_encoder.num_blocks", path="model.num_blocks", default=2, read_if=HSTU),
    RecipeBinding("hstu_encoder.num_heads", path="model.num_heads", default=1, read_if=HSTU),
    RecipeBinding("hstu_encoder.dqk", path="model.dqk", default=64, read_if=HSTU),
    RecipeBinding("hstu_encoder.dv", path="model.dv", default=64, read_if=HSTU),
    RecipeBinding("hstu_encoder.linear_dropout_rate", path="model.linear_dropout_rate", default=0.0, read_if=HSTU),
    RecipeBinding("hstu_encoder.attn_dropout_rate", path="model.attn_dropout_rate", default=0.0, read_if=HSTU),
    RecipeBinding("hstu_encoder.normalization", path="model.normalization", default="rel_bias", read_if=HSTU),
    RecipeBinding("hstu_encoder.linear_config", path="model.linear_config", default="uvqk", read_if=HSTU),
    RecipeBinding("hstu_encoder.linear_activation", path="model.linear_activation", default="silu", read_if=HSTU),
    RecipeBinding("hstu_encoder.concat_ua", path="model.concat_ua", default=False, read_if=HSTU),
    RecipeBinding(
        "hstu_encoder.enable_relative_attention_bias",
        path="model.enable_relative_attention_bias",
        default=True,
        read_if=HSTU,
    ),
    RecipeBinding(
        "hstu_encoder.attention_normalization",
        path="model.attention_normalization",
        default="padded_length",
        read_if=HSTU,
    ),
    RecipeBinding("sasrec_encoder.num_blocks", path="model.num_blocks", default=2, read_if=SASREC),
    RecipeBinding("sasrec_encoder.num_heads", path="model.num_heads", default=1, read_if=SASREC),
    RecipeBinding("sasrec_encoder.ffn_hidden_dim", path="model.ffn_hidden_dim", default=64, read_if=SASREC),
    RecipeBinding("sasrec_encoder.ffn_activation_fn", path="model.ffn_activation_fn", default="relu", read_if=SASREC),
    RecipeBinding("sasrec_encoder.ffn_dropout_rate", path="model.ffn_dropout_rate", default=0.2, read_if=SASREC),
    # Ours.
    RecipeBinding("data.protocol", path="dataset.protocol", default="upstream"),
    RecipeBinding("data.fingerprint", path="dataset.fingerprint", default=None),
    RecipeBinding("data.candidates", path="dataset.candidates", default="all"),
    RecipeBinding("data.short_histories", path="dataset.short_histories", default=None),
    RecipeBinding("data.min_user_events", path="dataset.min_user_events", default=None),
    RecipeBinding("data.min_item_events", path="dataset.min_item_events", default=None),
    RecipeBinding("training.optimizer", path="training.optimizer", default="AdamW"),
    RecipeBinding("training.user_sampling", path="training.user_sampling", default="shuffled"),
    RecipeBinding("training.patience", path="training.patience", default=None),
    RecipeBinding("training.embedding_l2", path="training.embedding_l2", default=None),
    RecipeBinding("training.epoch_batches", path="training.epoch_batches", default=None),
    RecipeBinding("training.negative_draws", path="loss.negative_draws", default=None, read_if=SAMPLED),
    RecipeBinding("eval.filter_all_seen", path="evaluation.filter_all_seen", default=False),
    RecipeBinding("eval.kind", path="evaluation.kind", default=None),
    RecipeBinding("eval.max_users", path="evaluation.max_users", default=None),
    RecipeBinding("hstu_tf_encoder.num_blocks", path="model.num_blocks", default=8, read_if=HSTU_TF),
    RecipeBinding("hstu_tf_encoder.num_heads", path="model.num_heads", default=2, read_if=HSTU_TF),
    RecipeBinding("hstu_tf_encoder.padding_from", path="model.padding_from", default="sequence", read_if=HSTU_TF),
    RecipeBinding("sasrec_tf_encoder.num_blocks", path="model.num_blocks", default=2, read_if=SASREC_TF),
    RecipeBinding("sasrec_tf_encoder.num_heads", path="model.num_heads", default=1, read_if=SASREC_TF),
    RecipeBinding("tisasrec_encoder.num_blocks", path="model.num_blocks", default=2, read_if=TISASREC),
    RecipeBinding("tisasrec_encoder.num_heads", path="model.num_heads", default=1, read_if=TISASREC),
    RecipeBinding("tisasrec_encoder.time_span", path="model.time_span", default=256, read_if=TISASREC),
    RecipeBinding("fparec_encoder.num_blocks", path="model.num_blocks", default=2, read_if=FPAREC),
    RecipeBinding("fparec_encoder.num_heads", path="model.num_heads", default=1, read_if=FPAREC),
    RecipeBinding("fparec_encoder.attention", path="model.attention", default="factorized", read_if=FPAREC),
    RecipeBinding(
        "fparec_encoder.factors", path="model.factors", default=40, read_if=FPAREC, idle_if=(NOT_FACTORIZED,)
    ),
    RecipeBinding("fparec_encoder.ffn_hidden_dim", path="model.ffn_hidden_dim", default=50, read_if=FPAREC),
    RecipeBinding("fparec_encoder.ffn_activation_fn", path="model.ffn_activation_fn", default="relu", read_if=FPAREC),
    RecipeBinding("fparec_encoder.feed_forward", path="model.feed_forward", default="after_blocks", read_if=FPAREC),
    RecipeBinding("prism.variant", path="prism.variant", default="none"),
    RecipeBinding("prism.features", path="prism.features", default=["genres", "year"]),
    RecipeBinding("prism.side_dim", path="prism.side_dim", default=32),
    RecipeBinding("prism.hidden_dim", path="prism.hidden_dim", default=64),
    RecipeBinding("prism.num_experts", path="prism.num_experts", default=4, idle_if=(NOT_MOE,)),
    RecipeBinding("prism.expert_dim", path="prism.expert_dim", default=64, idle_if=(NOT_MOE,)),
    RecipeBinding("prism.top_k", path="prism.top_k", default=0, idle_if=(NOT_MOE,)),
    RecipeBinding("prism.router_temperature", path="prism.router_temperature", default=1.0, idle_if=(NOT_MOE,)),
    RecipeBinding("prism.film_scale", path="prism.film_scale", default=None, idle_if=(NOT_FILM,)),
    RecipeBinding("prism.load_balance_weight", path="prism.load_balance_weight", default=0.01, idle_if=(NOT_MOE,)),
    RecipeBinding("prism.apply_to", path="prism.apply_to", default="input"),
    RecipeBinding("input_compression.pooling", path="input_compression.pooling", default="none"),
    RecipeBinding(
        "input_compression.ratio", path="input_compression.ratio", default=4, idle_if=(NOT_CHUNKS,), never_idle=(1,)
    ),
    RecipeBinding(
        "input_compression.recent_len", path="input_compression.recent_len", default=150, idle_if=(NOTHING_COMPRESSED,)
    ),
    RecipeBinding(
        "input_compression.num_tokens", path="input_compression.num_tokens", default=50, idle_if=(NOTHING_COMPRESSED,)
    ),
    RecipeBinding(
        "input_compression.decay",
        path="input_compression.decay",
        default=1.0,
        idle_if=(NOTHING_COMPRESSED, NO_MEANS, MEANS_BY_AGE),
    ),
    RecipeBinding(
        "input_compression.loss_on", path="input_compression.loss_on", default="recent", idle_if=(NOTHING_COMPRESSED,)
    ),
    RecipeBinding(
        "input_compression.random_boundary",
        path="input_compression.random_boundary",
        default=False,
        idle_if=(NOTHING_COMPRESSED,),
    ),
    RecipeBinding("action_fusion.enabled", path="action_fusion.enabled", default=False),
    RecipeBinding("time_decay.mode", path="time_decay.mode", default="none"),
    RecipeBinding("time_decay.rate", path="time_decay.rate", default=0.1),
    RecipeBinding("time_decay.learnable", path="time_decay.learnable", default=True),
    RecipeBinding("time_decay.tau_seconds", path="time_decay.tau_seconds", default=86400.0),
    RecipeBinding("time_decay.beta", path="time_decay.beta", default=0.5, idle_if=(NO_EXPONENT,)),
    RecipeBinding("time_decay.where", path="time_decay.where", default="attention"),
    RecipeBinding("time_decay.per_layer", path="time_decay.per_layer", default=False),
    RecipeBinding("hard_negatives.fraction", path="hard_negatives.fraction", default=0),
    RecipeBinding("hard_negatives.pool_size", path="hard_negatives.pool_size", default=2048),
    RecipeBinding("hard_negatives.warmup_epochs", path="hard_negatives.warmup_epochs", default=1),
    RecipeBinding("hard_negatives.exclude_history", path="hard_negatives.exclude_history", default=True),
    RecipeBinding("pop_debias.mode", path="pop_debias.mode", default="none"),
    RecipeBinding("pop_debias.alpha", path="pop_debias.alpha", default=0.1, read_if=LOGIT_ADJUST),
    RecipeBinding("pop_debias.alpha", path="pop_debias.alpha", default=0.5, read_if=IPS),
    RecipeBinding("pop_debias.clip_min", path="pop_debias.clip_min", default=0.1, read_if=IPS),
    RecipeBinding("pop_debias.clip_max", path="pop_debias.clip_max", default=10.0, read_if=IPS),
    RecipeBinding("pop_debias.mix", path="pop_debias.mix", default=0.5, read_if=POP_SAMPLER),
    RecipeBinding(
        "pop_debias.power", path="pop_debias.power", default=1.0, read_if=POP_SAMPLER, idle_if=(NONE_BY_POPULARITY,)
    ),
    RecipeBinding(
        "pop_debias.correct",
        path="pop_debias.correct",
        default=True,
        read_if=POP_SAMPLER,
        idle_if=(NONE_BY_POPULARITY,),
    ),
    # bailuding/rails' signature (modeling/similarity_utils.py at 30b1da9).
    mol("query_dot_product_groups"),
    mol("item_dot_product_groups"),
    mol("dot_product_dimension"),
    mol("dot_product_l2_norm", default=True),
    mol("temperature"),
    mol("query_hidden_dim"),
    mol("query_nonlinearity", default="geglu", idle_if=(NO_QUERY_LAYER,)),
    mol("query_dropout_rate"),
    # rails' None means the same as [].
    mol("uid_embedding_hash_sizes", default=[]),
    mol("uid_dropout_rate", default=0.5, idle_if=(NO_UID_TABLES,)),
    mol("uid_embedding_level_dropout", default=False, idle_if=(NO_UID_TABLES, NO_UID_DROPOUT)),
    mol("item_hidden_dim"),
    mol("item_nonlinearity", default="geglu", idle_if=(NO_ITEM_LAYER,)),
    mol("item_dropout_rate"),
    mol("softmax_dropout_rate"),
    mol("gating_combination_type", default="glu_silu"),
    mol("gating_query_hidden_dim"),
    mol("gating_item_hidden_dim"),
    mol("gating_item_dropout_rate", default=0.0),
    mol("gating_qi_hidden_dim"),
    mol("gating_qi_dropout_rate", default=0.0),
    mol("eps", default=1e-6),
)

CLAIM_SELECTOR = "claim"
CLAIM_ARGUMENTS = (
    "name",
    "metric",
    "direction",
    "evaluation",
    "selection_rule",
    "margin",
    "margin_derivation",
    "spread",
    "spread_degrees",
    "spread_derivation",
    "loss_tolerance",
    "seeds",
)
OPTIONAL_CLAIM_ARGUMENTS = ("margin", "margin_derivation", "spread", "spread_degrees", "spread_derivation")
"""None unless they are bound."""
DEFAULT_METRIC = "ndcg@10"
DEFAULT_LOSS_TOLERANCE = 1e-3
"""Ten steps with other thread counts or vector instructions differ by some 1e-6, with TF32 or bfloat16 by some 1e-4."""

BUNDLE_SELECTOR = "bundle"
BUNDLE_ARGUMENTS = ("id", "title", "licence", "citation", "include_data")

ANY = object
"""The type of a module object, which gin text can only name."""

FIXED_BINDINGS: Mapping[str, object] = {
    "train_fn.embedding_module_type": Literal["local"],
    # A gate left out is None in the product, which rails cannot multiply.
    f"{MOL_SELECTOR}.gating_query_fn": Literal[True],
    f"{MOL_SELECTOR}.gating_item_fn": Literal[True],
    # Autocast exists on one kind of device only, and no other would give the same numbers.
    "get_similarity_function.bf16_training": Literal[False],
}
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
    f"{MOL_SELECTOR}.bf16_training": bool,
    "get_similarity_function.module_type": str,
    "get_similarity_function.activation_checkpoint": bool,
    **{
        f"{selector}.{argument}": int
        for selector in ("get_similarity_function", MOL_SELECTOR)
        for argument in ("query_embedding_dim", "item_embedding_dim")
    },
}
"""Names whose argument upstream's own code passes, which in gin wins over the binding, by type."""

LEARNED_SIMILARITY = frozenset({"get_similarity_function", MOL_SELECTOR})
"""The selectors of learned similarities (Mixture of Logits), which nothing reads under the dot product."""

RECIPE_BINDINGS_BY_NAME: Mapping[str, RecipeBinding] = {row.name: row for row in RECIPE_BINDINGS}
SWITCHES_BY_SECTION: Mapping[str, Switch] = {switch.section: switch for switch in SWITCHES}


def find_unmet(row: RecipeBinding, value_of: Callable[[str], Json]) -> Condition | None:
    """Return the condition without which the row is not read, or None if it is read.

    Args:
        row: The row.
        value_of: Gives the value of a setting by its gin name, a switch's `off` included.
    """
    switch = SWITCHES_BY_SECTION.get(row.path.split(".")[0])
    if switch and row.name != switch.name and switch.is_off(value_of(switch.name)):
        return Condition(switch.name, switch.on)
    if row.read_if and value_of(row.read_if.name) not in row.read_if.values:
        return row.read_if
    return None


def find_idle(row: RecipeBinding, value_of: Callable[[str], Json]) -> Condition | None:
    """Return the condition under which nothing reads the row's field, or None if it is read.

    Args:
        row: A row whose field the recipe has.
        value_of: Gives the value of a setting by its gin name, a switch's `off` included.
    """
    if value_of(row.name) in row.never_idle:
        return None
    return next((one for one in row.idle_if if find_read_value(one.name, value_of) in one.values), None)


def find_read_value(name: str, value_of: Callable[[str], Json]) -> Json:
    """Return the value that a setting has in the recipe: the default where what is bound is not read."""
    row = RECIPE_BINDINGS_BY_NAME[name]
    is_read = find_unmet(row, value_of) is None and find_idle(row, value_of) is None
    return value_of(name) if is_read else row.default


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
RECONSTRUCTED_SECTIONS = frozenset(switch.section for switch in SWITCHES)
"""Components whose code was never published: the archive's names, and our reading of them."""


def is_reconstructed(name: str) -> bool:
    """Whether only our reconstruction reads a gin name, which may be another thing in its author's code."""
    return name in KNOWN_NAMES and name.partition(".")[0] in RECONSTRUCTED_SECTIONS
