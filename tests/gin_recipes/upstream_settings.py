"""What Meta's twelve shipped gin files say, as facts, and the recipes that they mean.

The files themselves are not here. `bindings()` lists what a file binds; `expected_recipe()` spells out the recipe with
upstream's defaults written out again, so that a wrong default in the package's own table is seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hstu_preserve.records.recipe import (
    DatasetSettings,
    EvaluationSettings,
    Protocol,
    Recipe,
    SampledSoftmaxSettings,
    TrainingSettings,
)
from hstu_preserve.records.settings.encoders import HstuSettings, SasrecSettings

Value: TypeAlias = "str | int | float | bool"


@dataclass(frozen=True, kw_only=True)
class Hstu:
    num_blocks: int
    num_heads: int
    width: int
    """`dqk` and `dv`, which are equal in every shipped file."""


@dataclass(frozen=True, kw_only=True)
class Sasrec:
    num_blocks: int
    num_heads: int
    ffn_hidden_dim: int


@dataclass(frozen=True, kw_only=True)
class UpstreamConfig:
    file: str
    encoder: Hstu | Sasrec
    item_embedding_dim: int
    dataset_name: str
    max_sequence_length: int
    batch_size: int
    binds_eval_batch_size: bool
    num_epochs: int
    dropout_rate: float
    num_negatives: int
    prefetch_factor: int
    extra: Mapping[str, int]
    """Further `train_fn` bindings that only some files have."""

    def bindings(self) -> dict[str, Value]:
        """Return what the file binds."""
        batch_sizes: dict[str, Value] = {"train_fn.local_batch_size": self.batch_size}
        if self.binds_eval_batch_size:
            batch_sizes["train_fn.eval_batch_size"] = self.batch_size
        return {
            "train_fn.dataset_name": self.dataset_name,
            "train_fn.max_sequence_length": self.max_sequence_length,
            **batch_sizes,
            "train_fn.main_module": "HSTU" if isinstance(self.encoder, Hstu) else "SASRec",
            "train_fn.dropout_rate": self.dropout_rate,
            "train_fn.user_embedding_norm": "l2_norm",
            "train_fn.num_epochs": self.num_epochs,
            "train_fn.item_embedding_dim": self.item_embedding_dim,
            **self.encoder_bindings(),
            "train_fn.learning_rate": 1e-3,
            "train_fn.weight_decay": 0,
            "train_fn.num_warmup_steps": 0,
            "train_fn.interaction_module_type": "DotProduct",
            "train_fn.top_k_method": "MIPSBruteForceTopK",
            "train_fn.loss_module": "SampledSoftmaxLoss",
            "train_fn.num_negatives": self.num_negatives,
            "train_fn.sampling_strategy": "local",
            "train_fn.temperature": 0.05,
            "train_fn.item_l2_norm": True,
            "train_fn.l2_norm_eps": 1e-6,
            "train_fn.enable_tf32": True,
            **{f"train_fn.{name}": value for name, value in self.extra.items()},
            "create_data_loader.prefetch_factor": self.prefetch_factor,
            "create_data_loader.num_workers": 8,
        }

    def encoder_bindings(self) -> dict[str, Value]:
        match self.encoder:
            case Hstu() as hstu:
                return {
                    "hstu_encoder.num_blocks": hstu.num_blocks,
                    "hstu_encoder.num_heads": hstu.num_heads,
                    "hstu_encoder.dqk": hstu.width,
                    "hstu_encoder.dv": hstu.width,
                    "hstu_encoder.linear_dropout_rate": self.dropout_rate,
                }
            case Sasrec() as sasrec:
                return {
                    "sasrec_encoder.num_blocks": sasrec.num_blocks,
                    "sasrec_encoder.num_heads": sasrec.num_heads,
                    "sasrec_encoder.ffn_dropout_rate": self.dropout_rate,
                    "sasrec_encoder.ffn_hidden_dim": sasrec.ffn_hidden_dim,
                    "sasrec_encoder.ffn_activation_fn": "relu",
                }

    def gin_text(self) -> str:
        """Return a file in upstream's style that binds the same."""
        lines = [f"{name} = {write_literal(value)}" for name, value in self.bindings().items()]
        return "\n".join(["# Run this as:", "# python3 main.py --gin_config_file=...", "", *lines, ""])

    def expected_recipe(self) -> Recipe:
        return Recipe(
            dataset=DatasetSettings(
                name=self.dataset_name,
                fingerprint=None,
                protocol=Protocol.UPSTREAM,
                max_sequence_length=self.max_sequence_length,
                positional_sampling_ratio=1.0,
                candidates="all",
            ),
            model=self.expected_model(),
            prism=None,
            input_compression=None,
            action_fusion=None,
            time_decay=None,
            loss=SampledSoftmaxSettings(
                loss_module="SampledSoftmaxLoss",
                sampling_strategy="local",
                num_negatives=self.num_negatives,
                temperature=0.05,
                item_l2_norm=True,
                l2_norm_eps=1e-6,
                activation_checkpoint=False,
                interaction_module_type="DotProduct",
                weights={},
            ),
            hard_negatives=None,
            pop_debias=None,
            training=TrainingSettings(
                random_seed=42,
                num_epochs=self.num_epochs,
                local_batch_size=self.batch_size,
                learning_rate=1e-3,
                weight_decay=0.0,
                num_warmup_steps=0,
                enable_tf32=True,
                save_ckpt_every_n=self.extra.get("save_ckpt_every_n", 1000),
                eval_interval=self.extra.get("eval_interval", 100),
                optimizer="AdamW",
                user_sampling="shuffled",
                patience=None,
            ),
            evaluation=EvaluationSettings(
                eval_batch_size=self.batch_size,
                eval_user_max_batch_size=None,
                top_k_method="MIPSBruteForceTopK",
                full_eval_every_n=self.extra.get("full_eval_every_n", 1),
                partial_eval_num_iters=self.extra.get("partial_eval_num_iters", 32),
                filter_all_seen=False,
            ),
        )

    def expected_model(self) -> HstuSettings | SasrecSettings:
        match self.encoder:
            case Hstu() as hstu:
                return HstuSettings(
                    item_embedding_dim=self.item_embedding_dim,
                    dropout_rate=self.dropout_rate,
                    user_embedding_norm="l2_norm",
                    gr_output_length=10,
                    main_module_bf16=False,
                    kind="HSTU",
                    num_blocks=hstu.num_blocks,
                    num_heads=hstu.num_heads,
                    dqk=hstu.width,
                    dv=hstu.width,
                    linear_dropout_rate=self.dropout_rate,
                    attn_dropout_rate=0.0,
                    normalization="rel_bias",
                    linear_config="uvqk",
                    linear_activation="silu",
                    concat_ua=False,
                    enable_relative_attention_bias=True,
                    attention_normalization="padded_length",
                )
            case Sasrec() as sasrec:
                return SasrecSettings(
                    item_embedding_dim=self.item_embedding_dim,
                    dropout_rate=self.dropout_rate,
                    user_embedding_norm="l2_norm",
                    gr_output_length=10,
                    main_module_bf16=False,
                    kind="SASRec",
                    num_blocks=sasrec.num_blocks,
                    num_heads=sasrec.num_heads,
                    ffn_hidden_dim=sasrec.ffn_hidden_dim,
                    ffn_activation_fn="relu",
                    ffn_dropout_rate=self.dropout_rate,
                )


def write_literal(value: Value) -> str:
    """Return the value as upstream writes it."""
    return f'"{value}"' if isinstance(value, str) else repr(value)


def ml_1m(file: str, encoder: Hstu | Sasrec) -> UpstreamConfig:
    return movielens(f"ml-1m/{file}", encoder, name="ml-1m", item_embedding_dim=50)


def ml_20m(file: str, encoder: Hstu | Sasrec) -> UpstreamConfig:
    return movielens(f"ml-20m/{file}", encoder, name="ml-20m", item_embedding_dim=256)


def movielens(file: str, encoder: Hstu | Sasrec, *, name: str, item_embedding_dim: int) -> UpstreamConfig:
    return UpstreamConfig(
        file=file,
        encoder=encoder,
        item_embedding_dim=item_embedding_dim,
        dataset_name=name,
        max_sequence_length=200,
        batch_size=128,
        binds_eval_batch_size=False,
        num_epochs=101,
        dropout_rate=0.2,
        num_negatives=128,
        prefetch_factor=128,
        extra={},
    )


def amzn_books(file: str, encoder: Hstu | Sasrec, **extra: int) -> UpstreamConfig:
    return UpstreamConfig(
        file=f"amzn-books/{file}",
        encoder=encoder,
        item_embedding_dim=64,
        dataset_name="amzn-books",
        max_sequence_length=50,
        batch_size=128,
        binds_eval_batch_size=True,
        num_epochs=201,
        dropout_rate=0.5,
        num_negatives=512,
        prefetch_factor=1024,
        extra={"eval_interval": 4000, "full_eval_every_n": 5, "partial_eval_num_iters": 64, **extra},
    )


def ml_3b(file: str, encoder: Hstu | Sasrec) -> UpstreamConfig:
    return UpstreamConfig(
        file=f"ml-3b/{file}",
        encoder=encoder,
        item_embedding_dim=256,
        dataset_name="ml-3b",
        max_sequence_length=500,
        batch_size=96,
        binds_eval_batch_size=True,
        num_epochs=100,
        dropout_rate=0.2,
        num_negatives=128,  # whatever the file's name says
        prefetch_factor=128,
        extra={},
    )


UPSTREAM_CONFIGS = (
    ml_1m("hstu-sampled-softmax-n128-final.gin", Hstu(num_blocks=2, num_heads=1, width=50)),
    ml_1m("hstu-sampled-softmax-n128-large-final.gin", Hstu(num_blocks=8, num_heads=2, width=25)),
    ml_1m("sasrec-sampled-softmax-n128-final.gin", Sasrec(num_blocks=2, num_heads=1, ffn_hidden_dim=50)),
    ml_20m("hstu-sampled-softmax-n128-final.gin", Hstu(num_blocks=4, num_heads=4, width=64)),
    ml_20m("hstu-sampled-softmax-n128-large-final.gin", Hstu(num_blocks=16, num_heads=8, width=32)),
    ml_20m("sasrec-sampled-softmax-n128-final.gin", Sasrec(num_blocks=4, num_heads=4, ffn_hidden_dim=256)),
    amzn_books("hstu-sampled-softmax-n512-final.gin", Hstu(num_blocks=4, num_heads=4, width=16)),
    amzn_books("hstu-sampled-softmax-n512-large-final.gin", Hstu(num_blocks=16, num_heads=8, width=8)),
    amzn_books(
        "sasrec-sampled-softmax-n512-final.gin",
        Sasrec(num_blocks=4, num_heads=4, ffn_hidden_dim=64),
        save_ckpt_every_n=10,
    ),
    ml_3b("hstu-sampled-softmax-n96-seqlen500-final.gin", Hstu(num_blocks=4, num_heads=4, width=64)),
    ml_3b("hstu-sampled-softmax-n96-seqlen500-large-final.gin", Hstu(num_blocks=16, num_heads=8, width=32)),
    ml_3b("sasrec-sampled-softmax-n96-seqlen500-final.gin", Sasrec(num_blocks=4, num_heads=4, ffn_hidden_dim=256)),
)

SIGNATURE_DEFAULTS: Mapping[str, object] = {
    "train_fn.dataset_name": "ml-20m",
    "train_fn.max_sequence_length": 200,
    "train_fn.positional_sampling_ratio": 1.0,
    "train_fn.local_batch_size": 128,
    "train_fn.eval_batch_size": 128,
    "train_fn.eval_user_max_batch_size": None,
    "train_fn.main_module": "SASRec",
    "train_fn.main_module_bf16": False,
    "train_fn.dropout_rate": 0.2,
    "train_fn.user_embedding_norm": "l2_norm",
    "train_fn.sampling_strategy": "in-batch",
    "train_fn.loss_module": "SampledSoftmaxLoss",
    "train_fn.loss_weights": {},
    "train_fn.num_negatives": 1,
    "train_fn.loss_activation_checkpoint": False,
    "train_fn.item_l2_norm": False,
    "train_fn.temperature": 0.05,
    "train_fn.num_epochs": 101,
    "train_fn.learning_rate": 1e-3,
    "train_fn.num_warmup_steps": 0,
    "train_fn.weight_decay": 1e-3,
    "train_fn.top_k_method": "MIPSBruteForceTopK",
    "train_fn.eval_interval": 100,
    "train_fn.full_eval_every_n": 1,
    "train_fn.save_ckpt_every_n": 1000,
    "train_fn.partial_eval_num_iters": 32,
    "train_fn.item_embedding_dim": 240,
    "train_fn.interaction_module_type": "DotProduct",  # upstream: "", which it cannot build
    "train_fn.gr_output_length": 10,
    "train_fn.l2_norm_eps": 1e-6,
    "train_fn.enable_tf32": False,
    "train_fn.random_seed": 42,
    "hstu_encoder.num_blocks": 2,
    "hstu_encoder.num_heads": 1,
    "hstu_encoder.dqk": 64,
    "hstu_encoder.dv": 64,
    "hstu_encoder.linear_dropout_rate": 0.0,
    "hstu_encoder.attn_dropout_rate": 0.0,
    "hstu_encoder.normalization": "rel_bias",
    "hstu_encoder.linear_config": "uvqk",
    "hstu_encoder.linear_activation": "silu",
    "hstu_encoder.concat_ua": False,
    "hstu_encoder.enable_relative_attention_bias": True,
    "sasrec_encoder.ffn_hidden_dim": 64,
    "sasrec_encoder.ffn_activation_fn": "relu",
    "sasrec_encoder.ffn_dropout_rate": 0.2,
    "sasrec_encoder.num_blocks": 2,
    "sasrec_encoder.num_heads": 1,
}
"""What upstream's signatures give an argument that no file binds."""
