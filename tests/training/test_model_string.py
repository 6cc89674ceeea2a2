"""Runs are named as upstream names them."""

import json

import pytest

from hstu_preserve.primitives.json_values import Json
from hstu_preserve.training.run_names import describe_interaction, model_string
from tests.model.foundation_models import make_foundation_recipe
from tests.model.foundations_golden import FOLDER, load_golden
from tests.model.interactions.tiny_mixtures import load_rails, make_mol_recipe
from tests.training.tiny_runs import make_training_recipe

HSTU = "HSTU-b2-h1-dqk50-dv50-lsilud0.2-ad0.0"
SASREC = "SASRec-d50-b2-h1-posi_d0.2-l2-ffn50-relu-d0.2"
LOCAL = "_DotProduct_local-l2-eps1e-06_ssl-t0.05-n128"
IN_BATCH = "_DotProduct_in-batch-l2-eps1e-06-dedup_ssl-t0.05-n128"
END = "-b128-lr0.001-wu0-wd0"

MODELS: dict[str, dict[str, Json]] = {
    "HSTU": {"item_embedding_dim": 50, "dqk": 50, "dv": 50},
    "SASRec": {"item_embedding_dim": 50, "ffn_hidden_dim": 50, "num_heads": 1},
}


def name_run(kind: str, /, **changes: dict[str, Json]) -> str:
    """Name upstream's ml-1m recipe, with single settings changed."""
    settings: dict[str, dict[str, Json]] = {
        "model": MODELS[kind],
        "loss": {"num_negatives": 128},
        "training": {"local_batch_size": 128, "enable_tf32": True},
    }
    for group, change in changes.items():
        settings[group] = settings.get(group, {}) | change
    return model_string(make_training_recipe(kind, **settings))


@pytest.mark.parametrize(
    ("kind", "strategy", "expected"),
    [
        ("HSTU", "local", HSTU + LOCAL + END),
        ("HSTU", "in-batch", HSTU + IN_BATCH + END),
        ("SASRec", "local", SASREC + LOCAL + END),
        ("SASRec", "in-batch", SASREC + IN_BATCH + END),
    ],
)
def test_the_name_is_upstreams(kind: str, strategy: str, expected: str) -> None:
    assert name_run(kind, loss={"sampling_strategy": strategy}) == expected


@pytest.mark.parametrize(
    ("group", "change", "expected"),
    [
        ("training", {"enable_tf32": False}, HSTU + LOCAL + END + "-notf32"),
        ("training", {"weight_decay": 0.001}, HSTU + LOCAL + "-b128-lr0.001-wu0-wd0.001"),
        ("training", {"num_warmup_steps": 40, "learning_rate": 2e-5}, HSTU + LOCAL + "-b128-lr2e-05-wu40-wd0"),
        ("loss", {"item_l2_norm": False}, HSTU + "_DotProduct_local_ssl-t0.05-n128" + END),
        ("loss", {"temperature": 1.0}, HSTU + "_DotProduct_local-l2-eps1e-06_ssl-n128" + END),
        ("loss", {"activation_checkpoint": True}, HSTU + LOCAL + "-ac" + END),
        ("evaluation", {"full_eval_every_n": 5}, HSTU + LOCAL + END + "-fe5"),
        ("dataset", {"positional_sampling_ratio": 0.5}, HSTU + LOCAL + END + "-d0.5"),
        ("model", {"linear_dropout_rate": 0.1}, HSTU.replace("silud0.2", "silud0.1") + LOCAL + END),
        ("model", {"linear_activation": "none"}, HSTU.replace("silu", "none") + LOCAL + END),
        ("model", {"num_blocks": 8, "num_heads": 2}, HSTU.replace("b2-h1", "b8-h2") + LOCAL + END),
    ],
)
def test_the_name_says_what_differs(group: str, change: dict[str, Json], expected: str) -> None:
    assert name_run("HSTU", **{group: change}) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"user_embedding_norm": "layer_norm"}, SASREC.replace("-l2-", "-ln-")),
        ({"ffn_activation_fn": "gelu", "ffn_dropout_rate": 0.5}, SASREC.replace("relu-d0.2", "gelu-d0.5")),
    ],
)
def test_the_name_of_a_sasrec_says_what_differs(change: dict[str, Json], expected: str) -> None:
    assert name_run("SASRec", model=change) == expected + LOCAL + END


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("sasrec_tiny", "SASRec-TF-d12-b2-h2-d0.5_DotProduct_unseen_bce-b"),
        ("tisasrec_tiny", "TiSASRec-d12-b2-h1-d0.5-ts40_DotProduct_unseen_bce-b"),
        ("fparec_tiny", "FPARec-d12-b2-h2-d0.5-factorized4-ffn14-relu-after_blocks_DotProduct_full_fs-b"),
        ("parec_tiny", "FPARec-d12-b2-h2-d0.5-full-ffn14-relu-after_blocks_DotProduct_full_fs-b"),
    ],
)
def test_the_name_of_a_foundation_says_what_its_encoder_is(file: str, expected: str) -> None:
    assert model_string(make_foundation_recipe(load_golden(file), dropout_rate=0.5)).startswith(expected)


def test_the_name_of_a_mixture_is_rails() -> None:
    rails = json.loads((FOLDER / "mol_tiny.json").read_text())
    assert describe_interaction(load_rails().recipe(with_dropout=True).mol) == rails["name"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"query_hidden_dim": -1}, "MoL-4x2x6-t0.05-d0.0-l2-cd0.0-id0.0-gq7-gi5d0.0-gqi9d0.0-x-glu_silu-uids11"),
        ({"dot_product_l2_norm": False, "item_hidden_dim": 8}, "MoL-4x2x6-t0.05-d0.0-q10d0.0swiglu-8d0.0geglu-gq7"),
        ({"uid_embedding_hash_sizes": []}, "-x-glu_silu_local"),
        (
            {"uid_embedding_hash_sizes": [11, 3], "uid_dropout_rate": 0.5, "uid_embedding_level_dropout": True},
            "-x-glu_silu-uids11-3d0.5-el_local",
        ),
    ],
)
def test_the_name_of_a_mixture_says_what_differs(change: dict[str, Json], expected: str) -> None:
    assert expected in model_string(make_mol_recipe(change, loss={"weights": {}}))


def test_a_mixture_of_many_tables_still_fits_a_file_name() -> None:
    names = {
        model_string(make_mol_recipe({"query_dot_product_groups": 65, "uid_embedding_hash_sizes": [size] * 64}))
        for size in (2**53 - 1, 2**53 - 2)
    }
    assert len(names) == 2
    assert max(len(name) for name in names) < 240
