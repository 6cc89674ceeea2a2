"""The settings of the foundations: what they need, and what they cannot have."""

import re
from pathlib import Path

import pytest

from hstu_preserve.records.recipe import BinaryCrossEntropySettings
from tests.gin_recipes.gin_texts import refuse, resolve_text

SASREC = "train_fn.main_module = 'SASRec-TF'\ntrain_fn.user_embedding_norm = 'none'\n"
TISASREC = SASREC.replace("SASRec-TF", "TiSASRec")
FPAREC = SASREC.replace("SASRec-TF", "FPARec")
CROSS_ENTROPY = "train_fn.loss_module = 'BinaryCrossEntropyLoss'\n"


def test_binary_cross_entropy_draws_what_is_unseen_unless_told_otherwise(tmp_path: Path) -> None:
    resolution = resolve_text(tmp_path, f"{SASREC}{CROSS_ENTROPY}training.embedding_l2 = 0.5\n")
    loss = resolution.recipe.loss
    assert isinstance(loss, BinaryCrossEntropySettings)
    assert loss.sampling_strategy == "unseen"
    assert resolution.warnings == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "train_fn.main_module = 'SASRec-TF'",
            "train_fn.user_embedding_norm .*SASRec-TF has user_embedding_norm none only",
        ),
        (f"{SASREC}train_fn.main_module_bf16 = True", "SASRec-TF has no main_module_bf16"),
        (f"{SASREC}sasrec_tf_encoder.num_heads = 7", "item_embedding_dim 240 is not divisible by num_heads 7"),
        (f"{SASREC}prism.variant = 'film'", r"model.kind SASRec-TF takes no component \(prism.variant\)"),
        (f"{CROSS_ENTROPY}train_fn.sampling_strategy = 'local'", "train_fn.sampling_strategy: .*'unseen'"),
        (f"{CROSS_ENTROPY}pop_debias.mode = 'ips'", "pop_debias.mode needs loss.loss_module"),
        (TISASREC.splitlines()[0], "train_fn.user_embedding_norm .*TiSASRec has user_embedding_norm none only"),
        (
            f"{TISASREC}tisasrec_encoder.num_heads = 2",
            "3: tisasrec_encoder.num_heads: TiSASRec has one head only, found num_heads 2; leave it out",
        ),
        (f"{TISASREC}tisasrec_encoder.time_span = 0", "tisasrec_encoder.time_span: .*greater than or equal to 1"),
        (f"{TISASREC}time_decay.mode = 'exp'", r"model.kind TiSASRec takes no component \(time_decay.mode\)"),
        (f"{FPAREC}train_fn.main_module_bf16 = True", "FPARec has no main_module_bf16"),
        (f"{FPAREC}fparec_encoder.num_heads = 7", "item_embedding_dim 240 is not divisible by num_heads 7"),
        (f"{FPAREC}fparec_encoder.attention = 'dot_product'", "fparec_encoder.attention: .*'factorized' or 'full'"),
        (
            f"{FPAREC}fparec_encoder.feed_forward = 'none'",
            "fparec_encoder.feed_forward: .*'after_blocks' or 'per_block'",
        ),
        (f"{FPAREC}fparec_encoder.ffn_activation_fn = 'silu'", "fparec_encoder.ffn_activation_fn: .*'relu' or 'gelu'"),
        ("training.embedding_l2 = 0.1", "training.embedding_l2 needs model.kind SASRec-TF, TiSASRec or FPARec"),
        ("training.embedding_l2 = 0", "training.embedding_l2: .*greater than 0"),
        (
            "training.epoch_batches = 'floor_all'",
            "training.epoch_batches needs training.user_sampling 'with_replacement'",
        ),
        ("data.short_histories = 'train'", "data.short_histories: .*needs dataset.protocol 'validated'"),
        ("train_fn.loss_module = 'BCELoss'", "train_fn.loss_module: .*BinaryCrossEntropyLoss"),
    ],
)
def test_what_the_foundations_cannot_have_is_refused_by_its_gin_name(text: str, message: str, tmp_path: Path) -> None:
    lines = refuse(tmp_path, text)
    assert re.search(message, "\n".join(lines)), lines


def test_factors_are_not_read_if_every_score_is_a_parameter(tmp_path: Path) -> None:
    full = resolve_text(tmp_path, f"{FPAREC}fparec_encoder.attention = 'full'\n")
    idle = resolve_text(tmp_path, f"{FPAREC}fparec_encoder.attention = 'full'\nfparec_encoder.factors = 3\n")
    assert idle.recipe == full.recipe
    assert [warning.message for warning in idle.warnings] == [
        "fparec_encoder.factors is not read by fparec_encoder.attention = 'full'"
    ]
