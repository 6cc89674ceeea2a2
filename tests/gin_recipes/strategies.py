"""Hypothesis strategies for what gin text resolves to."""

from typing import Literal

from hypothesis import reject
from hypothesis import strategies as st
from pydantic import ValidationError

from hstu_preserve.primitives.metric_names import METRIC_NAMES
from hstu_preserve.records.claim import ClaimPolicy, Direction, SelectionRule
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.manifest import BundleSettings
from hstu_preserve.records.recipe import (
    BinaryCrossEntropySettings,
    DatasetSettings,
    EvaluationSettings,
    FullSoftmaxSettings,
    Protocol,
    Recipe,
    SampledSoftmaxSettings,
    TrainingSettings,
)
from hstu_preserve.records.settings.components import (
    ActionFusionSettings,
    HardNegativeSettings,
    InputCompressionSettings,
    InversePropensity,
    LogitAdjustment,
    PopularitySampler,
    PrismSettings,
    SideFeature,
    TimeDecaySettings,
)
from hstu_preserve.records.settings.encoders import (
    FOUNDATIONS,
    WINDOWED,
    FparecSettings,
    HstuSettings,
    HstuTfSettings,
    ModelSettings,
    SasrecSettings,
    SasrecTfSettings,
    TisasrecSettings,
)
from hstu_preserve.records.settings.interactions import MolSettings, Nonlinearity

MAX_JSON_INTEGER = 2**53 - 1

positive_ints = st.integers(min_value=1, max_value=MAX_JSON_INTEGER)
block_counts = st.integers(min_value=1, max_value=1_024)
natural_ints = st.integers(min_value=0, max_value=MAX_JSON_INTEGER)
probabilities = st.floats(min_value=0.0, max_value=1.0, exclude_max=True)
divisors = st.floats(min_value=1e-6, max_value=2.0**52)
positive_floats = st.floats(min_value=0.0, max_value=2.0**52, exclude_min=True)
natural_floats = st.floats(min_value=0.0, max_value=2.0**52)


def datasets() -> st.SearchStrategy[DatasetSettings]:
    return st.builds(
        DatasetSettings,
        name=st.text(),
        fingerprint=st.none() | st.text(alphabet="0123456789abcdef", min_size=64, max_size=64),
        protocol=st.sampled_from(Protocol),
        max_sequence_length=positive_ints,
        positional_sampling_ratio=st.floats(min_value=0.0, max_value=1.0, exclude_min=True),
        candidates=st.sampled_from(("all", "rated")),
    )


def hstu_models() -> st.SearchStrategy[HstuSettings]:
    return st.builds(
        HstuSettings,
        item_embedding_dim=positive_ints,
        dropout_rate=probabilities,
        user_embedding_norm=st.sampled_from(("l2_norm", "layer_norm")),
        gr_output_length=natural_ints,
        main_module_bf16=st.booleans(),
        kind=st.just("HSTU"),
        num_blocks=block_counts,
        num_heads=positive_ints,
        dqk=positive_ints,
        dv=positive_ints,
        linear_dropout_rate=probabilities,
        attn_dropout_rate=probabilities,
        normalization=st.sampled_from(("rel_bias", "hstu_rel_bias")),
        linear_config=st.just("uvqk"),
        linear_activation=st.sampled_from(("silu", "none")),
        concat_ua=st.booleans(),
        enable_relative_attention_bias=st.just(True),
        attention_normalization=st.sampled_from(("padded_length", "real_length")),
    )


@st.composite
def sasrec_models(draw: st.DrawFn) -> SasrecSettings:
    num_heads = draw(st.integers(min_value=1, max_value=64))
    return SasrecSettings(
        item_embedding_dim=num_heads * draw(st.integers(min_value=1, max_value=4096)),
        dropout_rate=draw(probabilities),
        user_embedding_norm=draw(st.sampled_from(("l2_norm", "layer_norm"))),
        gr_output_length=draw(natural_ints),
        main_module_bf16=draw(st.booleans()),
        kind="SASRec",
        num_blocks=draw(block_counts),
        num_heads=num_heads,
        ffn_hidden_dim=draw(positive_ints),
        ffn_activation_fn=draw(st.sampled_from(("relu", "gelu"))),
        ffn_dropout_rate=draw(probabilities),
    )


@st.composite
def hstu_tf_models(draw: st.DrawFn) -> HstuTfSettings:
    num_heads = draw(st.integers(min_value=1, max_value=64))
    return HstuTfSettings(
        item_embedding_dim=num_heads * draw(st.integers(min_value=1, max_value=4096)),
        dropout_rate=draw(probabilities),
        user_embedding_norm="l2_norm",
        gr_output_length=draw(natural_ints),
        main_module_bf16=False,
        kind="HSTU-TF",
        num_blocks=draw(block_counts),
        num_heads=num_heads,
        padding_from=draw(st.sampled_from(("sequence", "normalized_query"))),
    )


@st.composite
def sasrec_tf_models(draw: st.DrawFn) -> SasrecTfSettings:
    num_heads = draw(st.integers(min_value=1, max_value=64))
    return SasrecTfSettings(
        item_embedding_dim=num_heads * draw(st.integers(min_value=1, max_value=4096)),
        dropout_rate=draw(probabilities),
        user_embedding_norm="none",
        gr_output_length=draw(natural_ints),
        main_module_bf16=False,
        kind="SASRec-TF",
        num_blocks=draw(block_counts),
        num_heads=num_heads,
    )


@st.composite
def tisasrec_models(draw: st.DrawFn) -> TisasrecSettings:
    return TisasrecSettings(
        item_embedding_dim=draw(positive_ints),
        dropout_rate=draw(probabilities),
        user_embedding_norm="none",
        gr_output_length=draw(natural_ints),
        main_module_bf16=False,
        kind="TiSASRec",
        num_blocks=draw(block_counts),
        num_heads=1,
        time_span=draw(positive_ints),
    )


@st.composite
def fparec_models(draw: st.DrawFn) -> FparecSettings:
    num_heads = draw(st.integers(min_value=1, max_value=64))
    attention: Literal["factorized", "full"] = draw(st.sampled_from(("factorized", "full")))
    return FparecSettings(
        item_embedding_dim=num_heads * draw(st.integers(min_value=1, max_value=4096)),
        dropout_rate=draw(probabilities),
        user_embedding_norm="none",
        gr_output_length=draw(natural_ints),
        main_module_bf16=False,
        kind="FPARec",
        num_blocks=draw(block_counts),
        num_heads=num_heads,
        attention=attention,
        factors=draw(positive_ints) if attention == "factorized" else 40,  # else not read: the default
        ffn_hidden_dim=draw(positive_ints),
        ffn_activation_fn=draw(st.sampled_from(("relu", "gelu"))),
        feed_forward=draw(st.sampled_from(("after_blocks", "per_block"))),
    )


def models() -> st.SearchStrategy[ModelSettings]:
    upstreams = hstu_models() | sasrec_models()
    return upstreams | hstu_tf_models() | sasrec_tf_models() | tisasrec_models() | fparec_models()


def cross_entropies() -> st.SearchStrategy[BinaryCrossEntropySettings]:
    return st.builds(
        BinaryCrossEntropySettings,
        loss_module=st.just("BinaryCrossEntropyLoss"),
        sampling_strategy=st.just("unseen"),
        temperature=divisors,
        item_l2_norm=st.booleans(),
        l2_norm_eps=divisors | st.just(1e-30),
        activation_checkpoint=st.booleans(),
        interaction_module_type=st.just("DotProduct"),
        weights=st.just({}),
    )


def sampled_losses() -> st.SearchStrategy[SampledSoftmaxSettings]:
    return st.builds(
        SampledSoftmaxSettings,
        loss_module=st.just("SampledSoftmaxLoss"),
        sampling_strategy=st.sampled_from(("local", "in-batch")),
        num_negatives=positive_ints,
        negative_draws=st.sampled_from((None, "philox4x32-10")),
        temperature=divisors,
        item_l2_norm=st.booleans(),
        l2_norm_eps=divisors | st.just(1e-30),
        activation_checkpoint=st.booleans(),
        interaction_module_type=st.just("DotProduct"),
        weights=st.just({}),
    )


def full_losses() -> st.SearchStrategy[FullSoftmaxSettings]:
    return st.builds(
        FullSoftmaxSettings,
        loss_module=st.just("FullSoftmaxLoss"),
        padding_row=st.booleans(),
        temperature=divisors,
        item_l2_norm=st.booleans(),
        l2_norm_eps=divisors | st.just(1e-30),
        activation_checkpoint=st.booleans(),
        interaction_module_type=st.just("DotProduct"),
        weights=st.just({}),
    )


@st.composite
def prisms(draw: st.DrawFn) -> PrismSettings:
    """What a variant does not read has its default."""
    variant: Literal["additive", "film", "moe"] = draw(st.sampled_from(("additive", "film", "moe")))
    has_experts = variant == "moe"
    return PrismSettings(
        variant=variant,
        features=draw(st.lists(st.sampled_from(SideFeature), min_size=1, unique=True).map(tuple)),
        side_dim=draw(positive_ints),
        hidden_dim=draw(positive_ints),
        num_experts=draw(st.integers(min_value=8, max_value=MAX_JSON_INTEGER)) if has_experts else 4,
        expert_dim=draw(positive_ints) if has_experts else 64,
        top_k=draw(st.integers(min_value=0, max_value=8)) if has_experts else 0,
        router_temperature=draw(divisors) if has_experts else 1.0,
        film_scale=draw(st.none() | divisors) if variant == "film" else None,
        load_balance_weight=draw(natural_floats) if has_experts else 0.01,
        apply_to="input",
    )


@st.composite
def compressions(draw: st.DrawFn, *, pools_by_age: bool) -> InputCompressionSettings:
    """What a pooling does not read has its default, and so has all the rest where one token stands for one event."""
    pooling: Literal["chunk", "category", "learned"] = draw(st.sampled_from(("chunk", "category", "learned")))
    ratio = draw(positive_ints) if pooling == "chunk" else draw(st.sampled_from((1, 4)))
    has_means = ratio > 1 and pooling != "learned" and not pools_by_age
    return InputCompressionSettings(
        pooling=pooling,
        ratio=ratio,
        recent_len=draw(st.integers(min_value=1, max_value=64)) if ratio > 1 else 150,
        num_tokens=draw(positive_ints) if ratio > 1 else 50,
        decay=draw(st.floats(min_value=0.0, max_value=1.0, exclude_min=True)) if has_means else 1.0,
        loss_on="recent",
        random_boundary=ratio > 1 and draw(st.booleans()),
    )


@st.composite
def time_decays(draw: st.DrawFn) -> TimeDecaySettings:
    where: Literal["attention", "pool", "loss"] = draw(st.sampled_from(("attention", "pool", "loss")))
    mode: Literal["power", "exp", "exp_power"] = draw(st.sampled_from(("power", "exp", "exp_power")))
    learnable = where != "loss" and draw(st.booleans())
    return TimeDecaySettings(
        mode=mode,
        rate=draw(natural_floats),
        learnable=learnable,
        tau_seconds=draw(st.floats(min_value=1.0, max_value=2.0**52)),
        beta=draw(st.floats(min_value=0.0, max_value=2.0, exclude_min=True)) if mode == "exp_power" else 0.5,
        where=where,
        per_layer=where == "attention" and learnable and draw(st.booleans()),
    )


@st.composite
def hard_negatives(draw: st.DrawFn, *, num_negatives: int, num_epochs: int) -> HardNegativeSettings:
    """At least one is hard, at least in the last epoch."""
    fraction = draw(st.floats(min_value=0.75, max_value=1.0) | st.just(1.0))
    return HardNegativeSettings(
        fraction=fraction,
        pool_size=draw(st.integers(min_value=num_negatives, max_value=MAX_JSON_INTEGER)),
        warmup_epochs=draw(st.integers(min_value=0, max_value=num_epochs - 1)),
        exclude_history=draw(st.booleans()),
    )


@st.composite
def mixtures(draw: st.DrawFn) -> MolSettings:
    """What a layer that is not there would read has its default."""
    rates = probabilities
    widths = st.sampled_from((-1, 0)) | positive_ints
    nonlinearities: st.SearchStrategy[Nonlinearity] = st.sampled_from(("swiglu", "geglu"))
    query_hidden_dim, item_hidden_dim = draw(widths), draw(widths)
    uid_embedding_hash_sizes = draw(st.lists(positive_ints, max_size=3).map(tuple))
    uid_dropout_rate = draw(rates) if uid_embedding_hash_sizes else 0.5
    return MolSettings(
        query_dot_product_groups=draw(st.integers(min_value=4, max_value=64)),
        item_dot_product_groups=draw(st.integers(min_value=1, max_value=64)),
        dot_product_dimension=draw(st.integers(min_value=1, max_value=2**47)),  # times 64 vectors at the most
        dot_product_l2_norm=draw(st.booleans()),
        temperature=draw(divisors),
        query_hidden_dim=query_hidden_dim,
        query_nonlinearity=draw(nonlinearities) if query_hidden_dim > 0 else "geglu",
        query_dropout_rate=draw(rates),
        uid_embedding_hash_sizes=uid_embedding_hash_sizes,
        uid_dropout_rate=uid_dropout_rate,
        uid_embedding_level_dropout=bool(uid_embedding_hash_sizes and uid_dropout_rate) and draw(st.booleans()),
        item_hidden_dim=item_hidden_dim,
        item_nonlinearity=draw(nonlinearities) if item_hidden_dim > 0 else "geglu",
        item_dropout_rate=draw(rates),
        softmax_dropout_rate=draw(rates),
        gating_combination_type="glu_silu",
        gating_query_hidden_dim=draw(positive_ints),
        gating_item_hidden_dim=draw(positive_ints),
        gating_item_dropout_rate=draw(rates),
        gating_qi_hidden_dim=draw(widths),
        gating_qi_dropout_rate=draw(rates),
        eps=draw(divisors | st.just(1e-30)),
    )


def give_mixture(draw: st.DrawFn, recipe: Recipe) -> Recipe:
    """Return the recipe with a mixture in place of the dot product, if it can have one."""
    mol = draw(st.none() | mixtures())
    if mol is None or not isinstance(recipe.loss, SampledSoftmaxSettings) or recipe.hard_negatives:
        return recipe
    losses = st.dictionaries(st.sampled_from(sorted(mol.auxiliary_losses)), natural_floats)
    changes = {
        "mol": mol,
        "loss": recipe.loss.model_copy(update={"interaction_module_type": "MoL", "weights": draw(losses)}),
        "evaluation": recipe.evaluation.model_copy(update={"top_k_method": "MoLBruteForceTopK"}),
    }
    return Recipe.model_validate({**dict(recipe), **changes})


def pop_debiasings() -> st.SearchStrategy[LogitAdjustment | InversePropensity | PopularitySampler]:
    return (
        st.builds(LogitAdjustment, mode=st.just("logit_adjust"), alpha=natural_floats)
        | st.builds(
            InversePropensity,
            mode=st.just("ips"),
            alpha=natural_floats,
            clip_min=st.floats(min_value=1e-30, max_value=1.0),
            clip_max=st.floats(min_value=1.0, max_value=2.0**52),
        )
        | st.builds(
            PopularitySampler,
            mode=st.just("pop_sampler"),
            mix=st.floats(min_value=0.0, max_value=1.0, exclude_min=True),
            power=natural_floats,
            correct=st.booleans(),
        )
        | st.just(PopularitySampler(mode="pop_sampler", mix=0.0, power=1.0, correct=True))
    )


def trainings(*, patience: st.SearchStrategy[int | None]) -> st.SearchStrategy[TrainingSettings]:
    return st.builds(
        TrainingSettings,
        random_seed=natural_ints,
        num_epochs=positive_ints,
        local_batch_size=positive_ints,
        learning_rate=positive_floats,
        weight_decay=natural_floats,
        num_warmup_steps=natural_ints,
        enable_tf32=st.booleans(),
        save_ckpt_every_n=positive_ints,
        eval_interval=positive_ints,
        optimizer=st.just("AdamW"),
        user_sampling=st.sampled_from(("shuffled", "with_replacement")),
        patience=patience,
    )


def evaluations() -> st.SearchStrategy[EvaluationSettings]:
    return st.builds(
        EvaluationSettings,
        eval_batch_size=positive_ints,
        eval_user_max_batch_size=st.none() | positive_ints,
        top_k_method=st.just("MIPSBruteForceTopK"),
        full_eval_every_n=positive_ints,
        partial_eval_num_iters=positive_ints,
        filter_all_seen=st.booleans(),
        max_users=st.none() | positive_ints,
    ).flatmap(lambda settings: st.sampled_from(EvaluationKind).map(settings.under))


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Recipes of every component; what contradicts itself is left out, most of it before it is made."""
    dataset, model = draw(datasets()), draw(models())
    loss = draw(sampled_losses() | full_losses() | cross_entropies())
    is_composable = not isinstance(model, WINDOWED)
    is_local = isinstance(loss, SampledSoftmaxSettings) and loss.sampling_strategy == "local"
    is_validated = dataset.protocol is Protocol.VALIDATED
    decay = draw(st.none() | time_decays()) if is_composable else None
    pools_by_age = decay is not None and decay.where == "pool"
    training = draw(trainings(patience=st.none() | positive_ints if is_validated else st.none()))
    if isinstance(model, FOUNDATIONS):
        training = training.model_copy(update={"embedding_l2": draw(st.none() | positive_floats)})
    if training.user_sampling == "with_replacement":
        rule = draw(st.none() | st.sampled_from(("floor_all", "ceil_all")))
        training = training.model_copy(update={"epoch_batches": rule})
    try:
        recipe = Recipe(
            dataset=dataset,
            model=model,
            prism=draw(st.none() | prisms()) if is_composable else None,
            input_compression=draw(st.none() | compressions(pools_by_age=pools_by_age)) if is_composable else None,
            action_fusion=draw(st.none() | st.just(ActionFusionSettings(enabled=True))) if is_composable else None,
            time_decay=decay,
            loss=loss,
            hard_negatives=draw(
                st.none() | hard_negatives(num_negatives=loss.num_negatives, num_epochs=training.num_epochs)
            )
            if isinstance(loss, SampledSoftmaxSettings) and is_local
            else None,
            pop_debias=draw(st.none() | pop_debiasings()) if is_local else None,
            training=training,
            evaluation=draw(evaluations()),
        )
    except ValidationError:
        reject()
    return give_mixture(draw, recipe)


@st.composite
def policies(
    draw: st.DrawFn, protocol: Protocol, *, kind: EvaluationKind = EvaluationKind.WINDOW, seed: int = 42
) -> ClaimPolicy:
    other = SelectionRule.FINAL_EPOCH if protocol is Protocol.VALIDATED else SelectionRule.BEST_ON_VALIDATION
    rules = [rule for rule in SelectionRule if rule is not other]
    has_margin, has_spread = draw(st.booleans()), draw(st.booleans())
    return ClaimPolicy(
        name=draw(st.text()),
        metric=draw(st.sampled_from(METRIC_NAMES)),
        direction=draw(st.sampled_from(Direction)),
        protocol=protocol,
        evaluation=kind.beyond_filter,
        selection_rule=draw(st.sampled_from(rules)),
        margin=draw(st.floats(min_value=0, max_value=1, exclude_max=True)) if has_margin else None,
        margin_derivation=draw(st.text().filter(str.strip)) if has_margin else None,
        spread=draw(positive_floats) if has_spread else None,
        spread_degrees=draw(st.integers(min_value=1, max_value=2**31)) if has_spread else None,
        spread_derivation=draw(st.text().filter(str.strip)) if has_spread else None,
        loss_tolerance=draw(st.floats(min_value=0.0, max_value=0.1)),
        seeds=(seed, *draw(st.sets(natural_ints.filter(lambda other: other != seed), max_size=4))),
    )


def bundles() -> st.SearchStrategy[BundleSettings]:
    return st.builds(
        BundleSettings,
        id=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,119}\Z"),
        title=st.text(),
        licence=st.text(),
        citation=st.text(),
        include_data=st.booleans(),
    )
