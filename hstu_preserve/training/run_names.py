"""Name a run as upstream describes it; the name is part of its event files' and checkpoints' paths."""

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


def model_string(recipe: Recipe) -> str:
    """Return upstream's description of a run, without the date: the checkpoint's name up to `_ep`.

    Components that upstream does not have come last.
    """
    loss, training = recipe.loss, recipe.training
    temperature = f"-t{loss.temperature}" if loss.temperature != 1.0 else ""
    full_evaluation = recipe.evaluation.full_eval_every_n
    sampled = recipe.dataset.positional_sampling_ratio
    words = [
        f"{describe_encoder(recipe.model)}_{loss.interaction_module_type}",
        f"{describe_loss(recipe)}{temperature}{describe_negatives(recipe)}",
        "-ac" if loss.activation_checkpoint else "",
        f"-b{training.local_batch_size}-lr{training.learning_rate}-wu{training.num_warmup_steps}",
        f"-wd{format_whole(training.weight_decay)}{'' if training.enable_tf32 else '-notf32'}",
        f"-fe{full_evaluation}" if full_evaluation > 1 else "",
        f"-d{sampled}" if sampled < 1 else "",
        *describe_components(recipe),
    ]
    return "".join(words)


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
