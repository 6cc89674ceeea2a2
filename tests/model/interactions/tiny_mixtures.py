"""Tiny recipes with Mixture of Logits, and what rails' own code computed on one (see golden/README.md)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hstu_preserve.model.histories import Histories
from hstu_preserve.model.jagged import PLAIN_OPERATORS
from hstu_preserve.model.objective import Draws
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import load_state
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.settings.interactions import MolSettings
from tests.model.foundations_golden import FOLDER
from tests.model.tiny_models import make_items, make_model_recipe

NO_DROPOUT: dict[str, Json] = {
    "query_dropout_rate": 0.0,
    "uid_dropout_rate": 0.0,
    "item_dropout_rate": 0.0,
    "softmax_dropout_rate": 0.0,
    "gating_item_dropout_rate": 0.0,
    "gating_qi_dropout_rate": 0.0,
}
MOL: dict[str, Json] = {
    "query_dot_product_groups": 4,
    "item_dot_product_groups": 2,
    "dot_product_dimension": 6,
    "dot_product_l2_norm": True,
    "temperature": 0.05,
    "query_hidden_dim": 10,
    "query_nonlinearity": "swiglu",
    "uid_embedding_hash_sizes": [11],
    "uid_embedding_level_dropout": False,
    "item_hidden_dim": -1,
    "item_nonlinearity": "geglu",
    "gating_combination_type": "glu_silu",
    "gating_query_hidden_dim": 7,
    "gating_item_hidden_dim": 5,
    "gating_qi_hidden_dim": 9,
    "eps": 1e-6,
    **NO_DROPOUT,
}
LOSS: dict[str, Json] = {"interaction_module_type": "MoL", "item_l2_norm": False, "temperature": 1.0}
WEIGHTS: dict[str, Json] = {"uid_embedding_l2_norm": 0.1, "mi_loss": 0.001}


def make_mol_recipe(mol: dict[str, Json] | None = None, *, kind: str = "HSTU", **changes: dict[str, Json]) -> Recipe:
    """Return a tiny recipe with a mixture; its own losses are weighed unless `loss` says otherwise."""
    loss = LOSS | {"weights": WEIGHTS} | changes.pop("loss", {})
    base = make_model_recipe(kind, **changes)
    value = base.to_json_value()
    assert isinstance(value, dict)
    assert isinstance(value["loss"], dict)
    assert isinstance(value["evaluation"], dict)
    value["loss"] |= loss
    value["evaluation"]["top_k_method"] = "MoLBruteForceTopK"
    value["mol"] = MOL | (mol or {})
    return Recipe.from_json(canonical_dumps(value), source="test")


@dataclass(frozen=True, kw_only=True)
class RailsGolden:
    """The golden file, its arrays as tensors under their own names, and the arguments of the code that made it."""

    tensors: dict[str, Tensor]
    config: dict[str, Any]

    def recipe(self, *, with_dropout: bool = False) -> Recipe:
        """Return the recipe of the file's arguments; the encoder has no dropout in either form."""
        settings = {name: self.config.get(name, MOL[name]) for name in MolSettings.model_fields}
        return make_mol_recipe(
            settings if with_dropout else settings | NO_DROPOUT | {"softmax_dropout_rate": self.softmax_rate},
            dataset={"max_sequence_length": self.config["max_sequence_length"]},
            model={
                "item_embedding_dim": self.config["D"],
                "num_blocks": self.config["num_blocks"],
                "num_heads": self.config["num_heads"],
                "dqk": self.config["dqk"],
                "dv": self.config["dv"],
                "gr_output_length": self.config["gr_output_length"],
                "user_embedding_norm": "layer_norm",
                "dropout_rate": 0.0,
                "linear_dropout_rate": 0.0,
            },
            loss={"num_negatives": self.config["num_negatives"], "weights": self.config["loss_weights"]},
            training={"learning_rate": self.config["learning_rate"], "weight_decay": self.config["weight_decay"]},
        )

    @property
    def softmax_rate(self) -> float:
        """That of the mixture's weights: above 0 they are divided by their sum, in evaluation, too."""
        return float(self.config["softmax_dropout_rate"])

    def group(self, tag: str, kind: str = "w") -> dict[str, Tensor]:
        """Return the weights or gradients of a tag by rails' names."""
        prefix = f"{tag}/{kind}/"
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}

    def histories(self, *, with_target: bool) -> Histories:
        """Return the five users, with their targets or without."""
        length_B = self.tensors["history_lengths"].long()
        padding = self.config["gr_output_length"] + 1
        item_BN, time_BN = (
            torch.nn.functional.pad(self.tensors[key].long(), (0, padding))
            for key in ("history_ids", "history_timestamps")
        )
        time_BN.scatter_(1, length_B[:, None], self.tensors["target_timestamps"].long()[:, None])
        if with_target:
            item_BN.scatter_(1, length_B[:, None], self.tensors["target_ids"].long()[:, None])
        return Histories(
            length_B=length_B,
            item_BN=item_BN,
            time_BN=time_BN,
            half_star_BN=torch.zeros_like(item_BN),
            user_B=self.tensors["user_ids"].long(),
        )

    def draws(self) -> Draws:
        """Return the training batch."""
        negative_TK = self.tensors["negative_ids_TK"].long()
        histories = self.histories(with_target=True)
        return Draws(histories=histories, negative_TK=negative_TK, pool_P=None, own_BH=None)

    def make_model(self, tag: str, *, with_dropout: bool = False) -> Recommender:
        """Return our model with rails' weights, loaded under rails' names."""
        items = make_items(self.config["items"])
        model = Recommender(self.recipe(with_dropout=with_dropout), items, operators=PLAIN_OPERATORS).eval()
        load_state(model, self.group("random" if tag == "dropout" else tag), source="golden")
        return model

    def give_masks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have dropout use the golden masks in their order; a rate of 0 takes none."""
        masks: Iterator[Tensor] = (self.tensors[f"dropout/mask/{k}"] for k in range(6))

        def drop(x: Tensor, rate: float, training: bool) -> Tensor:
            if not rate:
                return x
            mask = next(masks)
            assert training
            assert mask.shape == x.shape
            return x * mask / (1 - rate)

        monkeypatch.setattr(torch.nn.functional, "dropout", drop)


@cache
def load_rails() -> RailsGolden:
    """Return the golden file."""
    with np.load(FOLDER / "mol_tiny.npz") as arrays:
        tensors = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    return RailsGolden(tensors=tensors, config=json.loads((FOLDER / "mol_tiny.json").read_text())["config"])
