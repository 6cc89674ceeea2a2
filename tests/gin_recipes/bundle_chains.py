"""What each recipe folder of `bundles/` is meant to say, spelled out again."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import Resolution, resolve
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.settings.components import (
    HardNegativeSettings,
    InputCompressionSettings,
    LogitAdjustment,
    PrismSettings,
    SideFeature,
    TimeDecaySettings,
)

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"
SHARED = BUNDLES / "shared"
SAMPLE = "sample-hstu-synthetic"


def entry_of(name: str) -> Path:
    """Return the gin file that `train NAME` takes."""
    return BUNDLES / name / "config" / f"{name}.gin"


@cache
def resolve_folder(name: str) -> Resolution:
    return resolve(read_chain(entry_of(name), root=None))


def flatten(value: Json, prefix: str = "") -> dict[str, Json]:
    """Return every leaf of a recipe by its path; an absent section is a leaf."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    return {
        path: leaf
        for name, inner in value.items()
        for path, leaf in flatten(inner, f"{prefix}.{name}" if prefix else name).items()
    }


def list_differences(first: Recipe, second: Recipe) -> set[str]:
    """Return the paths at which two recipes differ; the section's name where only one has the section."""
    one, other = flatten(first.to_json_value()), flatten(second.to_json_value())
    absent = {path for path in one.keys() ^ other.keys() if "." not in path}
    paths = {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}
    return {path if path.split(".")[0] not in absent else path.split(".")[0] for path in paths}


def prism(variant: str) -> PrismSettings:
    return PrismSettings.model_validate(
        {
            "variant": variant,
            "features": (SideFeature.GENRES, SideFeature.YEAR),
            "side_dim": 32,
            "hidden_dim": 64,
            "num_experts": 4,
            "expert_dim": 64,
            "top_k": 0,
            "router_temperature": 1.0,
            "film_scale": None,
            "load_balance_weight": 0.01,
            "apply_to": "input",
        }
    )


ADDITIVE, FILM, MOE = prism("additive"), prism("film"), prism("moe")
IC_L200 = InputCompressionSettings(
    pooling="chunk", ratio=4, recent_len=150, num_tokens=50, decay=1.0, loss_on="recent", random_boundary=False
)
IC_L700 = InputCompressionSettings(
    pooling="chunk", ratio=5, recent_len=200, num_tokens=100, decay=1.0, loss_on="recent", random_boundary=False
)
TD = TimeDecaySettings(
    mode="power", rate=0.1, learnable=True, tau_seconds=86_400.0, beta=0.5, where="attention", per_layer=False
)
HARD_NEG = HardNegativeSettings(fraction=0.25, pool_size=2048, warmup_epochs=1, exclude_history=True)
POP_DEBIAS = LogitAdjustment(mode="logit_adjust", alpha=0.1)


@dataclass(frozen=True, kw_only=True)
class Extension:
    """A row of the table: HSTU-base and what is added to it or changed."""

    linear_dropout_rate: float = 0.2
    prism: PrismSettings | None = None
    compression: InputCompressionSettings | None = None
    decay: TimeDecaySettings | None = None
    hard_negatives: HardNegativeSettings | None = None
    pop_debias: LogitAdjustment | None = None
    max_sequence_length: int = 200
    dataset: str = "ml-20m"

    def extend(self, base: Recipe) -> Recipe:
        """Return the base with this row's settings."""
        changes = {
            "dataset": base.dataset.model_copy(
                update={"name": self.dataset, "max_sequence_length": self.max_sequence_length}
            ),
            "model": base.model.model_copy(update={"linear_dropout_rate": self.linear_dropout_rate}),
            "prism": self.prism,
            "input_compression": self.compression,
            "time_decay": self.decay,
            "hard_negatives": self.hard_negatives,
            "pop_debias": self.pop_debias,
        }
        return base.model_copy(update=changes)


ADDITIVE_IC_TD = Extension(prism=ADDITIVE, compression=IC_L200, decay=TD)
FILM_IC_TD = replace(ADDITIVE_IC_TD, prism=FILM)
EXP4 = replace(ADDITIVE_IC_TD, linear_dropout_rate=0.1)

EXPERIMENTS: Mapping[str, Extension] = {
    "iter7-exp0-PRISM-FILM-HardNeg": replace(FILM_IC_TD, hard_negatives=HARD_NEG),
    "iter7-exp1-PRISM-FILM-PopDebias-SOTA": replace(FILM_IC_TD, pop_debias=POP_DEBIAS),
    "iter7-exp2-PRISM-MoE": replace(ADDITIVE_IC_TD, prism=MOE),
    "iter7-exp5-l700": replace(FILM_IC_TD, compression=IC_L700, max_sequence_length=700),
    "iter7-exp6-ml32m-base": replace(ADDITIVE_IC_TD, dataset="ml-32m"),
    "iter8-exp0-PopDebias": replace(ADDITIVE_IC_TD, pop_debias=POP_DEBIAS),
    "iter8-exp1-HardNeg": replace(ADDITIVE_IC_TD, hard_negatives=HARD_NEG),
    "iter8-exp4-SOTA": EXP4,
}
"""The archive's eight."""

CONTROLS: Mapping[str, Extension] = {
    "control-additive-ic-td": ADDITIVE_IC_TD,
    "control-film-ic-td": FILM_IC_TD,
    "control-exp4-without-prism": replace(EXP4, prism=None),
    "control-exp4-without-ic": replace(EXP4, compression=None),
    "control-exp4-without-td": replace(EXP4, decay=None),
    "control-base-dropout-0.1": Extension(linear_dropout_rate=0.1),
    "control-base-ic": Extension(compression=IC_L200),
    "control-base-td": Extension(decay=TD),
    "control-base-additive": Extension(prism=ADDITIVE),
    "control-base-film": Extension(prism=FILM),
    "control-base-moe": Extension(prism=MOE),
    "control-base-ml-32m": Extension(dataset="ml-32m"),
}

BASE = "paper-hstu-ml-20m"

META_ROWS: Mapping[str, str] = {
    "paper-hstu-ml-1m": "ml-1m/hstu-sampled-softmax-n128-final.gin",
    "paper-hstu-large-ml-1m": "ml-1m/hstu-sampled-softmax-n128-large-final.gin",
    "paper-sasrec-ml-1m": "ml-1m/sasrec-sampled-softmax-n128-final.gin",
    BASE: "ml-20m/hstu-sampled-softmax-n128-final.gin",
    "paper-hstu-large-ml-20m": "ml-20m/hstu-sampled-softmax-n128-large-final.gin",
    "paper-sasrec-ml-20m": "ml-20m/sasrec-sampled-softmax-n128-final.gin",
}
"""Meta's rows, and the file of Meta's that each one is."""

TENSORFLOW = "hstu-tensorflow-ml-1m"
RAILS = ("rails-hstu-mol-ml-1m", "rails-hstu-mol-ml-20m")
"""HSTU-large with Mixture of Logits."""

EXTENSIONS: Mapping[str, Extension] = {**EXPERIMENTS, **CONTROLS}
FOUNDATIONS: Mapping[str, EvaluationKind] = {
    "foundations-sasrec-ml-1m": EvaluationKind.SAMPLED_UNSEEN,
    "foundations-sasrec-amzn-games": EvaluationKind.SAMPLED_UNSEEN,
    "foundations-sasrec-amzn-beauty": EvaluationKind.SAMPLED_UNSEEN,
    "foundations-sasrec-steam": EvaluationKind.SAMPLED_UNSEEN,
    "foundations-tisasrec-ml-1m": EvaluationKind.SAMPLED_UNKNOWN,
    "foundations-fparec-ml-1m": EvaluationKind.UNFILTERED,
    "foundations-parec-ml-1m": EvaluationKind.UNFILTERED,
}
"""What HSTU-Tensorflow stands on, under evaluations of their own."""
FOUNDATION_ROWS: Mapping[str, str] = {
    "foundations-sasrec-ml-1m": "icdm-sasrec-ml-1m",
    "foundations-sasrec-amzn-games": "icdm-sasrec-amzn-games",
    "foundations-sasrec-amzn-beauty": "icdm-sasrec-amzn-beauty",
}
"""Those that claim a margin around a published number, and its row of the catalog."""
ALL_FOLDERS = (*EXPERIMENTS, *CONTROLS, *META_ROWS, TENSORFLOW, *RAILS)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two recipes that isolate something: what they differ in, by path or by whole section."""

    experiment: str
    control: str
    differences: frozenset[str]


def isolates(experiment: str, control: str, *differences: str) -> Comparison:
    return Comparison(experiment=experiment, control=control, differences=frozenset(differences))


LINEAR_DROPOUT = "model.linear_dropout_rate"
L700_DIFFERENCES = (
    "dataset.max_sequence_length",
    "input_compression.recent_len",
    "input_compression.ratio",
    "input_compression.num_tokens",
)

COMPARISONS = (
    isolates("iter8-exp4-SOTA", "control-additive-ic-td", LINEAR_DROPOUT),
    isolates("iter8-exp4-SOTA", "control-exp4-without-prism", "prism"),
    isolates("iter8-exp4-SOTA", "control-exp4-without-ic", "input_compression"),
    isolates("iter8-exp4-SOTA", "control-exp4-without-td", "time_decay"),
    isolates("iter8-exp0-PopDebias", "control-additive-ic-td", "pop_debias"),
    isolates("iter8-exp1-HardNeg", "control-additive-ic-td", "hard_negatives"),
    isolates("iter7-exp0-PRISM-FILM-HardNeg", "control-film-ic-td", "hard_negatives"),
    isolates("iter7-exp1-PRISM-FILM-PopDebias-SOTA", "control-film-ic-td", "pop_debias"),
    isolates("iter7-exp5-l700", "control-film-ic-td", *L700_DIFFERENCES),
    isolates("iter7-exp2-PRISM-MoE", "control-additive-ic-td", "prism.variant"),
    isolates("iter7-exp6-ml32m-base", "control-base-ml-32m", "prism", "input_compression", "time_decay"),
    isolates("iter7-exp6-ml32m-base", "control-additive-ic-td", "dataset.name"),
    isolates("control-film-ic-td", "control-additive-ic-td", "prism.variant"),
    isolates("control-base-dropout-0.1", BASE, LINEAR_DROPOUT),
    isolates("control-base-ic", BASE, "input_compression"),
    isolates("control-base-td", BASE, "time_decay"),
    isolates("control-base-additive", BASE, "prism"),
    isolates("control-base-film", BASE, "prism"),
    isolates("control-base-moe", BASE, "prism"),
    isolates("control-base-ml-32m", BASE, "dataset.name"),
)
