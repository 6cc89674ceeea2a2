"""The foundations restated for one user at a time, in numpy and float64, from their published formulas.

Shapes: T positions of the window, C width, A width of a head.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special

from hstu_preserve.model.recommender import Recommender
from hstu_preserve.records.settings.encoders import FparecSettings, SasrecTfSettings, TisasrecSettings

Array = npt.NDArray[np.float64]


class Restated:
    """A model's weights, and what its encoder makes of one user."""

    def __init__(self, model: Recommender) -> None:
        self.settings: Any = model.recipe.model
        self.weights = {name: value.detach().numpy().astype(np.float64) for name, value in model.named_parameters()}
        self.length = model.recipe.dataset.max_sequence_length
        assert isinstance(self.settings, SasrecTfSettings | TisasrecSettings | FparecSettings)

    def encode(self, items: list[int], times: list[int]) -> Array:
        """Return the states [n, C] after each of the user's n events."""
        padding = self.length - len(items)
        is_event = np.arange(self.length) >= padding
        x = np.zeros((self.length, self.settings.item_embedding_dim))
        x[padding:] = self.weights["item_embedding.weight"][items] * np.sqrt(x.shape[1])
        if self.settings.kind != "TiSASRec":
            x = (x + self.weights["encoder.position_weight"]) * is_event[:, None]
        intervals = np.zeros((self.length, self.length), dtype=np.int64)
        if self.settings.kind == "TiSASRec":
            own = [0] * padding + times
            for i in range(self.length):
                for j in range(self.length):
                    intervals[i, j] = min(abs(own[i] - own[j]), self.settings.time_span)
        for block in range(self.settings.num_blocks):
            x = self.run_block(block, x, intervals, is_event)
        if self.settings.kind == "FPARec" and self.settings.feed_forward == "after_blocks":
            x = self.run_net(f"encoder.layers.{self.settings.num_blocks}", "norm", x) * is_event[:, None]
        return self.norm("encoder.output_norm", x)[padding:]

    def run_block(self, block: int, x: Array, intervals: npt.NDArray[np.int64], is_event: npt.NDArray[Any]) -> Array:
        settings = self.settings
        is_split = settings.kind == "FPARec" and settings.feed_forward == "per_block"
        layer = f"encoder.layers.{2 * block if is_split else block}"
        q = self.norm(f"{layer}.input_norm", x)
        y = np.zeros_like(x)
        width = x.shape[1] // settings.num_heads
        for head in range(settings.num_heads):
            part = slice(head * width, (head + 1) * width)
            value = self.map(f"{layer}.value", x)[:, part]
            score = self.score(layer, head, part, x, q, intervals) / np.sqrt(width)
            for i in range(self.length):
                # A query that sees no key attends to all alike.
                seen = [j for j in range(i + 1) if np.abs(x[j]).sum() > 0]
                p = np.full(self.length, 1 / self.length)
                if seen:
                    p = np.zeros(self.length)
                    p[seen] = scipy.special.softmax(score[i, seen])
                if np.abs(q[i]).sum() > 0:
                    y[i, part] = sum(p[j] * self.add_relations(value, intervals, i, j) for j in range(self.length))
        y = y + q
        if settings.kind != "FPARec":
            return np.asarray(self.run_net(layer, "attended_norm", y) * is_event[:, None])
        if is_split:
            y = np.asarray(self.run_net(f"encoder.layers.{2 * block + 1}", "norm", y) * is_event[:, None])
        return y

    def score(self, layer: str, head: int, part: slice, x: Array, q: Array, intervals: npt.NDArray[np.int64]) -> Array:
        if self.settings.kind == "FPARec":
            if self.settings.attention == "full":
                return np.asarray(self.weights[f"{layer}.scores.score"][head])
            rows, columns = (self.weights[f"{layer}.scores.{name}_factor"][head] for name in ("query", "key"))
            return np.asarray(rows @ columns.T)
        query, key = self.map(f"{layer}.query", q)[:, part], self.map(f"{layer}.key", x)[:, part]
        score: Array = query @ key.T
        if self.settings.kind == "TiSASRec":
            score += query @ self.weights["encoder.position_key"].T
            for i, j in np.ndindex(score.shape):
                score[i, j] += query[i] @ self.weights["encoder.time_key"][intervals[i, j]]
        return score

    def add_relations(self, value: Array, intervals: npt.NDArray[np.int64], i: int, j: int) -> Array:
        if self.settings.kind != "TiSASRec":
            return np.asarray(value[j])
        position, time = self.weights["encoder.position_value"], self.weights["encoder.time_value"]
        return np.asarray(value[j] + position[j] + time[intervals[i, j]])

    def run_net(self, layer: str, norm: str, x: Array) -> Array:
        """Return x after a norm and a feed-forward net, whose residual is the norm."""
        normed = self.norm(f"{layer}.{norm}", x)
        hidden = self.map(f"{layer}.expand", normed)
        is_gelu = self.settings.kind == "FPARec" and self.settings.ffn_activation_fn == "gelu"
        hidden = hidden * scipy.special.ndtr(hidden) if is_gelu else np.maximum(hidden, 0)
        return self.map(f"{layer}.contract", hidden) + normed

    def norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-8)
        return np.asarray(scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"])

    def map(self, name: str, x: Array) -> Array:
        return np.asarray(x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"])
