"""Hypothesis strategies for what gin text resolves to."""

from hypothesis import strategies as st

from hstu_preserve.records.claim import METRIC_NAMES, ClaimPolicy, Direction, SelectionRule
from hstu_preserve.records.manifest import BundleSettings
from hstu_preserve.records.recipe import (
    DatasetSettings,
    EvaluationSettings,
    HstuSettings,
    LossSettings,
    Protocol,
    Recipe,
    SasrecSettings,
    TrainingSettings,
)

MAX_JSON_INTEGER = 2**53 - 1

positive_ints = st.integers(min_value=1, max_value=MAX_JSON_INTEGER)
natural_ints = st.integers(min_value=0, max_value=MAX_JSON_INTEGER)
probabilities = st.floats(min_value=0.0, max_value=1.0, exclude_max=True)
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
        num_blocks=positive_ints,
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
        num_blocks=draw(positive_ints),
        num_heads=num_heads,
        ffn_hidden_dim=draw(positive_ints),
        ffn_activation_fn=draw(st.sampled_from(("relu", "gelu"))),
        ffn_dropout_rate=draw(probabilities),
    )


def losses() -> st.SearchStrategy[LossSettings]:
    return st.builds(
        LossSettings,
        loss_module=st.just("SampledSoftmaxLoss"),
        sampling_strategy=st.sampled_from(("local", "in-batch")),
        num_negatives=positive_ints,
        temperature=positive_floats,
        item_l2_norm=st.booleans(),
        l2_norm_eps=positive_floats,
        activation_checkpoint=st.booleans(),
        interaction_module_type=st.just("DotProduct"),
        weights=st.just({}),
    )


def trainings() -> st.SearchStrategy[TrainingSettings]:
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
    )


def recipes() -> st.SearchStrategy[Recipe]:
    return st.builds(
        Recipe,
        dataset=datasets(),
        model=hstu_models() | sasrec_models(),
        loss=losses(),
        training=trainings(),
        evaluation=evaluations(),
    )


@st.composite
def policies(draw: st.DrawFn, protocol: Protocol) -> ClaimPolicy:
    rules = [rule for rule in SelectionRule if rule is not SelectionRule.BEST_ON_VALIDATION]
    has_margin = draw(st.booleans())
    return ClaimPolicy(
        name=draw(st.text()),
        metric=draw(st.sampled_from(METRIC_NAMES)),
        direction=draw(st.sampled_from(Direction)),
        protocol=protocol,
        selection_rule=draw(st.sampled_from(SelectionRule if protocol is Protocol.VALIDATED else rules)),
        margin=draw(natural_floats) if has_margin else None,
        margin_derivation=draw(st.text()) if has_margin else None,
        seeds=tuple(draw(st.lists(natural_ints, max_size=4))),
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
