"""Small valid records and run directories, for tests of whatever needs one."""

from pathlib import Path

from hstu_preserve.bundle.tree import record_files, seal
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.manifest import Manifest, RunRecord
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.record import SCHEMA_VERSION

GIN_FILE = "config/tiny.gin"
CHECKPOINT = "ckpts/tiny_ep1"
TINY_RUN = {
    GIN_FILE: b"train_fn.num_epochs = 2\n",
    CHECKPOINT: bytes(range(256)) * 5,
    "tb/events.out.tfevents.0000000000.tiny": b"not really events",
    "results/metrics.json": b'{"hr@10":0.5}',
    "results/empty.txt": b"",
    "environment.json": b"{}",
    "run.json": b"{}",
}
"""The files of a run, with a checkpoint that is not a multiple of tar's block."""


COMPONENTS: dict[str, dict[str, Json]] = {
    "prism": {
        "variant": "additive",
        "features": ["genres", "year"],
        "side_dim": 3,
        "hidden_dim": 5,
        "num_experts": 3,
        "expert_dim": 4,
        "top_k": 0,
        "router_temperature": 1.0,
        "film_scale": None,
        "load_balance_weight": 0.01,
        "apply_to": "input",
    },
    "input_compression": {
        "pooling": "chunk",
        "ratio": 2,
        "recent_len": 4,
        "num_tokens": 2,
        "decay": 1.0,
        "loss_on": "recent",
        "random_boundary": False,
    },
    "action_fusion": {"enabled": True},
    "time_decay": {
        "mode": "power",
        "rate": 0.1,
        "learnable": True,
        "tau_seconds": 86400.0,
        "beta": 0.5,
        "where": "attention",
        "per_layer": False,
    },
    "hard_negatives": {"fraction": 0.5, "pool_size": 8, "warmup_epochs": 1, "exclude_history": True},
    "pop_debias": {},
}
POP_DEBIAS: dict[str, dict[str, Json]] = {
    "logit_adjust": {"mode": "logit_adjust", "alpha": 0.1},
    "ips": {"mode": "ips", "alpha": 0.5, "clip_min": 0.1, "clip_max": 10.0},
    "pop_sampler": {"mode": "pop_sampler", "mix": 0.5, "power": 1.0, "correct": True},
}


def make_recipe(**changes: dict[str, Json]) -> Recipe:
    """Return a tiny HSTU recipe; `make_recipe(training={"num_epochs": 5})` changes single settings of a group.

    A component is off unless it is named: `make_recipe(prism={"variant": "film"})`.
    """
    value: dict[str, dict[str, Json] | None] = {
        "dataset": {
            "name": "tiny",
            "fingerprint": None,
            "protocol": "upstream",
            "max_sequence_length": 8,
            "positional_sampling_ratio": 1.0,
            "candidates": "all",
        },
        "model": {
            "kind": "HSTU",
            "item_embedding_dim": 8,
            "dropout_rate": 0.2,
            "user_embedding_norm": "l2_norm",
            "gr_output_length": 2,
            "main_module_bf16": False,
            "num_blocks": 2,
            "num_heads": 1,
            "dqk": 8,
            "dv": 8,
            "linear_dropout_rate": 0.2,
            "attn_dropout_rate": 0.0,
            "normalization": "rel_bias",
            "linear_config": "uvqk",
            "linear_activation": "silu",
            "concat_ua": False,
            "enable_relative_attention_bias": True,
            "attention_normalization": "padded_length",
        },
        "loss": {
            "loss_module": "SampledSoftmaxLoss",
            "sampling_strategy": "local",
            "num_negatives": 4,
            "temperature": 0.05,
            "item_l2_norm": True,
            "l2_norm_eps": 1e-6,
            "activation_checkpoint": False,
            "interaction_module_type": "DotProduct",
            "weights": {},
        },
        "training": {
            "random_seed": 42,
            "num_epochs": 2,
            "local_batch_size": 16,
            "learning_rate": 0.001,
            "weight_decay": 0.0,
            "num_warmup_steps": 0,
            "enable_tf32": False,
            "save_ckpt_every_n": 1,
            "eval_interval": 2,
            "optimizer": "AdamW",
            "user_sampling": "shuffled",
            "patience": None,
        },
        "evaluation": {
            "eval_batch_size": 16,
            "eval_user_max_batch_size": None,
            "top_k_method": "MIPSBruteForceTopK",
            "full_eval_every_n": 1,
            "partial_eval_num_iters": 1,
            "filter_all_seen": False,
        },
    }
    value |= dict.fromkeys(COMPONENTS)
    for group, settings in changes.items():
        value[group] = (value[group] or choose_defaults(group, settings)) | settings
    if changes.get("loss", {}).get("loss_module") == "FullSoftmaxLoss":
        unread = ("sampling_strategy", "num_negatives")
        value["loss"] = {"padding_row": False} | {
            name: setting for name, setting in (value["loss"] or {}).items() if name not in unread
        }
    recipe: Json = {group: None if settings is None else dict(settings) for group, settings in value.items()}
    return Recipe.from_json(canonical_dumps(recipe), source="test")


def choose_defaults(component: str, settings: dict[str, Json]) -> dict[str, Json]:
    """Return a component's default settings; those of popularity debiasing depend on its mode."""
    if component == "pop_debias":
        return POP_DEBIAS[str(settings["mode"])]
    return COMPONENTS[component]


def make_run_record(**changes: Json) -> RunRecord:
    """Return the run record of a tiny experiment, with whole fields replaced by `changes`."""
    recipe = make_recipe()
    policy: Json = {
        "name": "ndcg@10",
        "metric": "ndcg@10",
        "direction": "maximize",
        "protocol": "upstream",
        "selection_rule": "final-epoch",
        "margin": 0.01,
        "margin_derivation": "a test",
        "loss_tolerance": 0.001,
        "seeds": [42],
    }
    value: dict[str, Json] = {
        "bundle": {"id": "tiny", "title": "Tiny", "licence": "MIT", "citation": "nobody", "include_data": False},
        "recipe": recipe.to_json_value(),
        "recipe_sha256": recipe.digest(),
        "gin_file": GIN_FILE,
        "policies": [policy],
        "data": {
            "name": "tiny",
            "fingerprint": "0" * 64,
            "tie_policy": "stable",
            "redistributable": True,
            "included": False,
            "num_users": 10,
            "num_rated_items": 20,
            "num_candidates": 20,
            "num_ratings": 100,
            "source": "synthetic, seed 1",
        },
        "environment": {"python": "3.11", "platform": "Linux", "machine": "x86_64", "packages": {}, "numerics": None},
        "code": {"version": "0", "commit": None, "modified": None},
    }
    return RunRecord.from_json(canonical_dumps(value | changes), source="test")


def make_manifest(root: Path, *, run: RunRecord | None = None) -> Manifest:
    """Return the manifest of the run directory `root`, which holds at least `GIN_FILE` and `CHECKPOINT`."""
    run = run or make_run_record()
    value: dict[str, Json] = {
        "schema_version": SCHEMA_VERSION,
        "run": run.to_json_value(),
        "checkpoint": CHECKPOINT,
        "claims": [{"policy": run.policies[0].to_json_value(), "value": 0.25, "epoch": 1}],
        "contents": record_files(root).to_json_value(),
    }
    return Manifest.from_json(canonical_dumps(value), source="test")


def write_files(root: Path, files: dict[str, bytes]) -> None:
    """Write files below `root`, folders made as needed."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def make_sealed_run(root: Path, *, files: dict[str, bytes] | None = None) -> Manifest:
    """Write a tiny run directory with its manifest and checksums; `files` come in addition."""
    write_files(root, TINY_RUN | (files or {}))
    manifest = make_manifest(root)
    seal(root, manifest=manifest)
    return manifest
