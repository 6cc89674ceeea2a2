"""What upstream's own code computed on tiny models (see golden/README.md), and our model of the same shape."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hstu_preserve.model.histories import Histories
from hstu_preserve.model.jagged import PLAIN_OPERATORS, JaggedOperators
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import load_state
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.recipe import Recipe
from tests.model.tiny_models import make_items, make_model_recipe

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
MAX_ITEM_ID = 40
SHARED: dict[str, Json] = {"item_embedding_dim": 16, "gr_output_length": 10, "num_blocks": 2}
MODELS: dict[str, dict[str, Json]] = {
    "HSTU": SHARED | {"num_heads": 2, "dqk": 4, "dv": 8},
    "SASRec": SHARED | {"num_heads": 1, "ffn_hidden_dim": 24},
}


@dataclass(frozen=True, kw_only=True)
class MetaGolden:
    """One golden file, its arrays as tensors under their own names."""

    kind: str
    tensors: dict[str, Tensor]

    @property
    def recipe(self) -> Recipe:
        return make_model_recipe(
            self.kind,
            dataset={"max_sequence_length": 12},
            model=MODELS[self.kind],
            loss={"num_negatives": 16},
        )

    @property
    def checkpoint(self) -> Path:
        return GOLDEN / f"meta_{self.kind.lower()}_tiny_ep3"

    def group(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of a group (`weight`, `grad`, `after_step`) by parameter, in upstream's names."""
        return {key.removeprefix(f"{name}/"): value for key, value in self.tensors.items() if key.startswith(name)}

    def training_histories(self) -> Histories:
        return Histories(
            length_B=self.tensors["history_lengths"],
            item_BN=self.tensors["train_past_ids_BN"],
            time_BN=self.tensors["train_timestamps_BN"],
            half_star_BN=torch.zeros_like(self.tensors["train_past_ids_BN"]),
        )

    def evaluation_histories(self) -> Histories:
        length_B1 = self.tensors["history_lengths"][:, None]
        item_BN, time_BN = (
            torch.nn.functional.pad(self.tensors[key], (0, 11)) for key in ("history_ids", "history_timestamps")
        )
        target_time_B1 = self.tensors["target_timestamps"][:, None]
        return Histories(
            length_B=length_B1.squeeze(1),
            item_BN=item_BN,
            time_BN=time_BN.scatter(1, length_B1, target_time_B1),
            half_star_BN=torch.zeros_like(item_BN),
        )

    def make_model(self, operators: JaggedOperators = PLAIN_OPERATORS) -> Recommender:
        """Return our model with upstream's weights, dropout off."""
        model = Recommender(self.recipe, make_items(MAX_ITEM_ID), operators=operators).eval()
        load_state(model, self.group("weight"), source="golden")
        return model


@cache
def load_golden(kind: str) -> MetaGolden:
    """Return the golden file of `HSTU` or `SASRec`."""
    with np.load(GOLDEN / f"meta_{kind.lower()}_tiny.npz") as arrays:
        return MetaGolden(kind=kind, tensors={name: torch.from_numpy(arrays[name]) for name in arrays.files})
