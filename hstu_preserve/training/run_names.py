"""Name a run as upstream describes it; the name is part of its event files' and checkpoints' paths."""

import hashlib
from collections.abc import Iterator

from hstu_preserve.records.recipe import (
    BinaryCrossEntropySettings,
    Recipe,
    SampledSoftmaxSettings,
)
from hstu_preserve.records.settings.encoders import (
    FparecSettings,
    HstuSettings,
    HstuTfSettings,
    ModelSettings,
    SasrecSettings,
    SasrecTfSettings,
    TisasrecSettings,
)
from hstu_preserve.records.settings.interactions import MolSettings

MAX_MIXTURE_CHARACTERS = 130
"""Of a mixture's description: a file name holds 255 bytes, and encoder, loss and optimiser are in it, too."""


def model_string(recipe: Recipe) -> str:
    """Return upstream's description of a run, without the date: the checkpoint's name up to `_ep`.

    Components that upstream does not have come last.
    """
    loss, training = recipe.loss, recipe.training
    temperature = f"-t{loss.temperature}" if loss.temperature != 1.0 else ""
    full_evaluation = recipe.evaluation.full_eval_every_n
    sampled = recipe.dataset.positional_sampling_ratio
    words = [
        f"{describe_encoder(recipe.model)}_{describe_interaction(recipe.mol)}",
        f"{describe_loss(recipe)}{temperature}{describe_negatives(recipe)}",
        "-ac" if loss.activation_checkpoint else "",
        f"-b{training.local_batch_size}-lr{training.learning_rate}-wu{training.num_warmup_steps}",
        f"-wd{format_whole(training.weight_decay)}{'' if training.enable_tf32 else '-notf32'}",
        f"-fe{full_evaluation}" if full_evaluation > 1 else "",
        f"-d{sampled}" if sampled < 1 else "",
        *describe_components(recipe),
    ]
    return "".join(words)


def describe_interaction(mol: MolSettings | None) -> str:
    """Return rails' description of the interaction; a digest takes the place of a long one's end.

    rails names the weights of the mixture's own losses, too, with colons, which no portable file name holds.
    """
    if mol is None:
        return "DotProduct"
    start = f"MoL-{mol.query_dot_product_groups}x{mol.item_dot_product_groups}x{mol.dot_product_dimension}"
    query = f"-q{mol.query_hidden_dim}d{mol.query_dropout_rate}{mol.query_nonlinearity}"
    item = f"-{mol.item_hidden_dim}d{mol.item_dropout_rate}{mol.item_nonlinearity}"
    words = [
        f"-t{mol.temperature}-d{mol.softmax_dropout_rate}{'-l2' if mol.dot_product_l2_norm else ''}",
        query if mol.query_hidden_dim > 0 else f"-cd{mol.query_dropout_rate}",
        item if mol.item_hidden_dim > 0 else f"-id{mol.item_dropout_rate}",
        f"-gq{mol.gating_query_hidden_dim}-gi{mol.gating_item_hidden_dim}d{mol.gating_item_dropout_rate}",
        f"-gqi{mol.gating_qi_hidden_dim}d{mol.gating_qi_dropout_rate}-x-{mol.gating_combination_type}",
        *describe_uid_tables(mol),
    ]
    text = "".join((start, *words))
    return text if len(text) <= MAX_MIXTURE_CHARACTERS else f"{start}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def describe_uid_tables(mol: MolSettings) -> Iterator[str]:
    """Yield rails' words for the tables of user ids, nothing without any."""
    if mol.uid_embedding_hash_sizes:
        yield f"-uids{'-'.join(map(str, mol.uid_embedding_hash_sizes))}"
        yield f"d{mol.uid_dropout_rate}" if mol.uid_dropout_rate > 0 else ""
        yield "-el" if mol.uid_embedding_level_dropout else ""


def describe_loss(recipe: Recipe) -> str:
    """Return the part of the description that names the loss and, if it samples, the sampler."""
    norm = f"-l2-eps{recipe.loss.l2_norm_eps}" if recipe.loss.item_l2_norm else ""
    if isinstance(recipe.loss, BinaryCrossEntropySettings):
        return f"_{recipe.loss.sampling_strategy}{norm}_bce"
    if not isinstance(recipe.loss, SampledSoftmaxSettings):
        return f"_full{norm}_fs"
    strategy = recipe.loss.sampling_strategy
    return f"_{strategy}{norm}{'' if strategy == 'local' else '-dedup'}_ssl"


def describe_negatives(recipe: Recipe) -> str:
    """Return how many negatives there are, nothing if the loss takes all candidates."""
    return f"-n{recipe.loss.num_negatives}" if isinstance(recipe.loss, SampledSoftmaxSettings) else ""


def describe_components(recipe: Recipe) -> Iterator[str]:
    """Yield a word for each component that upstream does not have."""
    if recipe.prism:
        yield f"-prism_{recipe.prism.variant}"
    if recipe.input_compression:
        yield f"-ic_{recipe.input_compression.pooling}{recipe.input_compression.ratio}"
    if recipe.action_fusion:
        yield "-af"
    if recipe.time_decay:
        yield f"-td_{recipe.time_decay.where}_{recipe.time_decay.mode}"
    if recipe.hard_negatives:
        yield f"-hn{recipe.hard_negatives.fraction}"
    if recipe.pop_debias:
        yield f"-pd_{recipe.pop_debias.mode}"
    if isinstance(recipe.model, HstuSettings) and recipe.model.attention_normalization == "real_length":
        yield "-real"


def describe_encoder(settings: ModelSettings) -> str:
    """Return upstream's `debug_str` of the encoder, and one in its manner for encoders that upstream does not have."""
    if isinstance(settings, HstuSettings):
        return (
            f"HSTU-b{settings.num_blocks}-h{settings.num_heads}-dqk{settings.dqk}-dv{settings.dv}"
            f"-l{settings.linear_activation}d{settings.linear_dropout_rate}-ad{settings.attn_dropout_rate}"
        )
    if isinstance(settings, SasrecSettings):
        norm = "l2" if settings.user_embedding_norm == "l2_norm" else "ln"
        return (
            f"SASRec-d{settings.item_embedding_dim}-b{settings.num_blocks}-h{settings.num_heads}"
            f"-posi_d{settings.dropout_rate}-{norm}"
            f"-ffn{settings.ffn_hidden_dim}-{settings.ffn_activation_fn}-d{settings.ffn_dropout_rate}"
        )
    return (
        f"{settings.kind}-d{settings.item_embedding_dim}-b{settings.num_blocks}-h{settings.num_heads}"
        f"-d{settings.dropout_rate}{describe_own_settings(settings)}"
    )


def describe_own_settings(settings: HstuTfSettings | SasrecTfSettings | TisasrecSettings | FparecSettings) -> str:
    """Return what one encoder of a window has and the others have not."""
    match settings:
        case HstuTfSettings():
            return f"-{settings.padding_from}"
        case SasrecTfSettings():
            return ""
        case TisasrecSettings():
            return f"-ts{settings.time_span}"
        case FparecSettings():
            factors = settings.factors if settings.attention == "factorized" else ""
            net = f"ffn{settings.ffn_hidden_dim}-{settings.ffn_activation_fn}-{settings.feed_forward}"
            return f"-{settings.attention}{factors}-{net}"


def format_whole(value: float) -> str:
    """Return a whole float without its fraction, as the gin files write it."""
    return str(int(value)) if value == int(value) else str(value)
