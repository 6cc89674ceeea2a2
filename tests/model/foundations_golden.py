"""What the foundations' own graphs computed on tiny models (see golden/README.md), in our names and shapes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hstu_preserve.data.sequences import Sequences
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.items import items_of_shape
from hstu_preserve.model.jagged import PLAIN_OPERATORS
from hstu_preserve.model.objective import Draws
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.records.recipe import Recipe

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "foundations"


@dataclass(frozen=True, kw_only=True)
class Golden:
    """One golden file, its arrays as tensors under their own names, and the arguments of the code that made it."""

    tensors: dict[str, Tensor]
    about: dict[str, Any]

    @property
    def arguments(self) -> dict[str, Any]:
        """As the code was called."""
        found: dict[str, Any] = self.about["args"]
        return found

    @property
    def length(self) -> int:
        """Positions of the window."""
        return int(self.arguments["maxlen"])

    def variables(self, tag: str, kind: str = "w") -> dict[str, Tensor]:
        """Return the weights or gradients of a tag by TensorFlow's names."""
        prefix = f"{tag}/{kind}/"
        return {key.removeprefix(prefix): value for key, value in self.tensors.items() if key.startswith(prefix)}

    def window(self, name: str) -> Histories:
        """Return the users of a batch or an evaluation, left-aligned."""
        item_BT = self.tensors[f"{name}/seq"].long()
        time_BT = self.tensors.get(f"{name}/time_seq", torch.zeros_like(item_BT))
        length_B = (item_BT != 0).sum(1)
        item_BN, time_BN = torch.zeros(2, len(length_B), self.length + 1, dtype=torch.int64)
        for user, length in enumerate(length_B.tolist()):
            item_BN[user, :length] = item_BT[user, self.length - length :]
            time_BN[user, :length] = time_BT[user, self.length - length :]
        nothing_BN = torch.zeros_like(item_BN)
        return Histories(length_B=length_B, item_BN=item_BN, time_BN=time_BN, half_star_BN=nothing_BN)

    def batch(self, number: int) -> Draws:
        """Return a batch of the code's sampler with its targets, and with its negatives if the loss reads them."""
        histories, name = self.window(f"batch{number}"), f"batch{number}"
        last_B1 = self.tensors[f"{name}/pos"].long()[:, -1:]
        histories.item_BN.scatter_(1, histories.length_B[:, None], last_B1)
        is_event_BT = self.tensors[f"{name}/seq"] != 0
        negative_T1 = self.tensors[f"{name}/neg"].long()[is_event_BT][:, None]
        negative_TK = negative_T1 if "sasrec" in self.about["system"] else None
        return Draws(histories=histories, negative_TK=negative_TK, pool_P=None, own_BH=None)

    def read_rows(self) -> Sequences:
        """Return the users' events as the code's data file has them: TiSASRec's filtered once, renumbered, sorted."""
        rows = self.tensors["data/rows"].numpy()
        if rows.shape[1] > 2:
            user_counts, item_counts = np.bincount(rows[:, 0]), np.bincount(rows[:, 1])
            rows = rows[(user_counts[rows[:, 0]] >= 5) & (item_counts[rows[:, 1]] >= 5)]
            rows[:, 0], rows[:, 1] = (np.unique(rows[:, k], return_inverse=True)[1] + 1 for k in range(2))
        time = rows[:, 3] if rows.shape[1] > 2 else np.arange(len(rows))
        order = np.lexsort((time, rows[:, 0]))
        user_ids, counts = np.unique(rows[:, 0], return_counts=True)
        return Sequences(
            user_ids=user_ids.astype(np.int32),
            offsets=np.concatenate([[0], counts.cumsum()]),
            item_ids=rows[order, 1].astype(np.int32),
            half_stars=np.zeros(len(rows), dtype=np.int8),
            timestamps=time[order],
        )

    def make_model(self, recipe: Recipe, weights: dict[str, Tensor]) -> Recommender:
        """Return a model with these weights in our names, dropout off."""
        items = items_of_shape(max_item_id=int(self.about["itemnum"]), num_genres=1)
        model = Recommender(recipe, items, operators=PLAIN_OPERATORS)
        model.load_state_dict(weights)
        return model.eval()

    def to_window(self, x_BND: Tensor, length_B: Tensor) -> Tensor:
        """Return x_BTD, moved to the right end of the window."""
        rows = [
            torch.cat([x_BND.new_zeros(self.length - n, x_BND.shape[2]), x_BND[user, :n]])
            for user, n in enumerate(length_B.tolist())
        ]
        return torch.stack(rows)


def rename_norm(variables: dict[str, Tensor], scope: str, *, ours: str) -> dict[str, Tensor]:
    """Return the shift and gain of a norm in our names."""
    return {f"{ours}.bias": variables[f"{scope}/Variable"], f"{ours}.weight": variables[f"{scope}/Variable_1"]}


def rename_linear(variables: dict[str, Tensor], scope: str, *, ours: str) -> dict[str, Tensor]:
    """Return a linear map in our names: kernels are [in, out] there, or [1, in, out]."""
    kernel = variables[f"{scope}/kernel"]
    kernel = kernel.squeeze(0) if kernel.dim() == 3 else kernel
    return {f"{ours}.weight": kernel.T, f"{ours}.bias": variables[f"{scope}/bias"]}


@cache
def load_golden(name: str) -> Golden:
    """Return a golden file."""
    with np.load(FOLDER / f"{name}.npz") as arrays:
        tensors = {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    return Golden(tensors=tensors, about=json.loads((FOLDER / f"{name}.json").read_text()))


def give_masks(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tensor]:
    """Have dropout use the golden masks in their order, whichever module asks, and return those that are left."""
    masks: Iterator[Tensor] = (golden.tensors[f"dropout/mask/{k}"] for k in range(len(golden.about["dropout_masks"])))

    def drop(x: Tensor, rate: float, training: bool) -> Tensor:
        mask = next(masks)
        if x.dim() == 4 and mask.dim() == 3:  # heads are stacked on the batch axis there, head by head
            mask = mask.reshape(x.shape[1], -1, *mask.shape[1:]).transpose(0, 1)
        assert training
        assert mask.shape == x.shape
        return x * (mask / (1 - rate))

    monkeypatch.setattr(torch.nn.functional, "dropout", drop)
    return masks
