"""A model with a component that no other program knows, and its data set."""

import csv
from pathlib import Path

import gin
import torch
from torch import Tensor, nn


class Histories(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """The last items of each user, oldest first and padded with 0, and the item after them."""

    def __init__(self, path: Path, *, length: int, held_out: int) -> None:
        with path.open(newline="") as stream:
            rows = [[int(item) for item in row["sequence_item_ids"].split(",")] for row in csv.DictReader(stream)]
        self.items = [row[: len(row) - held_out] for row in rows]
        self.length = length

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        *past, target = self.items[index]
        past = past[-self.length :]
        return torch.tensor(past + [0] * (self.length - len(past))), torch.tensor(target)


@gin.configurable
class WaveMixer(nn.Module):
    """The fork's own invention: mixes the positions of a history with learned waves."""

    def __init__(self, length: int, width: int, strength: float = 1.0) -> None:
        super().__init__()
        self.waves = nn.Parameter(torch.randn(length, length) / length)
        self.norm = nn.LayerNorm(width)
        self.strength = strength

    def forward(self, x: Tensor) -> Tensor:
        return x + self.strength * self.norm(torch.einsum("st,btd->bsd", self.waves.sin().tril(), x))


class ToyRecommender(nn.Module):
    """Scores every item by its product with a mixed and averaged history."""

    def __init__(self, num_items: int, *, length: int, width: int) -> None:
        super().__init__()
        self.items = nn.Embedding(num_items + 1, width, padding_idx=0)
        self.mixer = WaveMixer(length, width)
        self.dropout = nn.Dropout(0.2)

    def forward(self, past: Tensor) -> Tensor:
        is_item = (past != 0).unsqueeze(-1)
        mixed = self.mixer(self.dropout(self.items(past))) * is_item
        return mixed.sum(1) / is_item.sum(1).clamp(min=1) @ self.items.weight.T
