"""Archives as another trainer would leave them: a model's weights in upstream's names, and what it evaluates to."""

import random
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hstu_preserve.compute.determinism import initialization_generators, repeatable_arithmetic
from hstu_preserve.data.split import Part
from hstu_preserve.data.store import Store, open_store
from hstu_preserve.evaluation.one_evaluation import evaluate_model
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.inputs.items import describe_items
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import to_upstream
from hstu_preserve.primitives.voice import SILENT
from tests.legacy.published_layout import Layout
from tests.runs.tiny_run import tiny_gin

EPOCH = 25


@dataclass(kw_only=True)
class Author:
    """Somebody who trained a model on a store and packs what the run left; each field is what can be told otherwise."""

    store: Path
    gin: str = field(default_factory=lambda: tiny_gin(eval_batch_size=16))
    noise: float = 0.0
    """Put on the packed weights after they were evaluated."""
    printed: str | None = None
    printed_epoch: int | None = EPOCH
    recorded_change: float = 0.0
    has_events: bool = True
    more_gin: str = ""
    """Names that the model here does not need."""
    more_tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)
    """More keys of the checkpoint."""
    prefix: str = "module."
    tag: str = "eval_epoch"
    manifest_key: str = ""

    def pack(self, path: Path) -> Path:
        """Write the archive."""
        metrics, weights = self.train(path.parent)
        state = {self.prefix + name.removeprefix("module."): value for name, value in weights.items()}
        stream = BytesIO()
        torch.save({"epoch": EPOCH, "model_state_dict": {**state, **self.more_tensors}, **self.beside}, stream)
        points = [(f"{self.tag}/{name}", EPOCH, value + self.recorded_change) for name, value in metrics.items()]
        printed = f"{metrics['ndcg@10']:.4f}" if self.printed is None else self.printed
        epoch = "" if self.printed_epoch is None else f', "epoch": {self.printed_epoch}'
        layout = Layout(
            manifest=f'{{"ndcg@10": {printed}{epoch}{self.manifest_key}}}',
            events={1_700_000_000: points} if self.has_events else {},
            checkpoints={f"HSTU-b1_ep{EPOCH}": stream.getvalue()},
            gin={"config/exp.gin": (self.gin + self.more_gin).encode()},
        )
        return layout.write(path)

    def train(self, folder: Path) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
        """Return what a model evaluates to, and its weights; that it was never trained makes no difference here."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "author.gin"
        file.write_text(self.gin)
        recipe = resolve(read_chain(file, root=None)).recipe
        store: Store = open_store(self.store)
        with repeatable_arithmetic(tf32=False):
            model = Recommender(recipe, describe_items(store, recipe))
            initialize(model, initialization_generators(1))
            generator = torch.Generator().manual_seed(1)
            with torch.no_grad():
                for weight in model.parameters():
                    weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
            found = evaluate_model(
                model,
                store,
                part=Part.TEST,
                epoch=EPOCH,
                num_batches=None,
                voice=SILENT,
            )
            with torch.no_grad():
                for weight in model.parameters():
                    weight.add_(self.noise * torch.randn(weight.shape, generator=generator))
        metrics = {name: value for name, value in found.record.metrics.items() if value is not None}
        return metrics, to_upstream(model)


def random_states() -> dict[str, Any]:
    """Return the generators' states that trainers save to be resumed."""
    numpy_state = np.random.get_state()  # noqa: NPY002  # as other trainers save it
    return {"rng": {"numpy": numpy_state, "python": random.getstate(), "torch": torch.get_rng_state()}}
