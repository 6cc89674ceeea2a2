"""Lies that a bundle's author can tell of the sample, with every digest made to fit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hstu_preserve.bundle.layout import ENVIRONMENT, METRICS, RANKS, RUN_RECORD, STEPS
from hstu_preserve.bundle.tree import record_files
from hstu_preserve.data.known_datasets import KNOWN_DATASETS
from hstu_preserve.data.store import describe_array
from hstu_preserve.evaluation.ranks import UserRanks, read_ranks, write_ranks
from hstu_preserve.event_files.reader import ScalarPoint, read_scalars
from hstu_preserve.event_files.writer import EventWriter
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.records.manifest import CHECKSUMS_NAME, MANIFEST_NAME
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.store import ArrayRecord, fingerprint_of
from hstu_preserve.training.checkpoint import state_digest, write_checkpoint

Json = dict[str, Any]
Lie = Callable[["Forgery"], None]


class Forgery:
    """An unpacked sample whose author lies; `seal` makes every digest fit.

    Args:
        root: The tree.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest: Json = json.loads((root / MANIFEST_NAME).read_bytes())
        self.results: Json = json.loads((root / METRICS).read_bytes())
        self.store: Json = json.loads((root / "data" / "store.json").read_bytes())
        self.run: Json = self.manifest["run"]
        self.claims: list[Json] = self.manifest["claims"]
        self.final: Json = self.results["final"]
        self.gin = root / self.run["gin_file"]

    def seal(self) -> None:
        """Write what was changed, and make digests and checksums fit."""
        (self.root / METRICS).write_bytes(canonical_dumps(self.results))
        (self.root / "data" / "store.json").write_bytes(canonical_dumps(self.store))
        (self.root / ENVIRONMENT).write_bytes(canonical_dumps(self.run["environment"]))
        if (self.root / RUN_RECORD).is_file():
            (self.root / RUN_RECORD).write_bytes(canonical_dumps(self.run))
        self.seal_manifest()

    def seal_manifest(self) -> None:
        """Make the digests fit what lies there."""
        for name in (MANIFEST_NAME, CHECKSUMS_NAME):
            (self.root / name).unlink(missing_ok=True)
        self.manifest["contents"] = record_files(self.root).to_json_value()
        content = canonical_dumps(self.manifest)
        (self.root / MANIFEST_NAME).write_bytes(content)
        lines = [f"{sha256_of_bytes(content)}  {MANIFEST_NAME}\n"]
        lines += [f"{file['sha256']}  {file['path']}\n" for file in self.manifest["contents"]["files"]]
        (self.root / CHECKSUMS_NAME).write_text("".join(lines))

    def checkpoint(self, epoch: int) -> Path:
        (path,) = (self.root / "ckpts").glob(f"*_ep{epoch}")
        return path

    def edit_checkpoint(self, epoch: int, edit: Callable[[Json], None]) -> None:
        content: Json = torch.load(self.checkpoint(epoch), weights_only=True)
        edit(content)
        write_checkpoint(self.checkpoint(epoch), content)
        if epoch == 11:
            self.results["state_sha256"] = state_digest(content)

    def edit_journals(self, edit: Callable[[list[Json]], None]) -> None:
        """Change the curve that the checkpoints' journals tell of, from the first epoch on."""

        def rewrite(content: Json) -> None:
            journal = json.loads(content["journal"])
            edit(journal["epochs"])
            content["journal"] = canonical_dumps(journal).decode()

        for epoch in (10, 11):
            self.edit_checkpoint(epoch, rewrite)

    def edit_gin(self, line: str) -> None:
        self.gin.write_text(self.gin.read_text() + f"{line}\n")

    def edit_policies(self, edit: Callable[[Json], None]) -> None:
        for policy in (*self.run["policies"], *(claim["policy"] for claim in self.claims)):
            edit(policy)

    def edit_recipe(self, edit: Callable[[Json], None]) -> None:
        edit(self.run["recipe"])
        recipe = Recipe.from_json(canonical_dumps(self.run["recipe"]), source="forgery")
        self.run["recipe_sha256"] = recipe.digest()

    def edit_points(self, edit: Callable[[list[ScalarPoint]], list[ScalarPoint]]) -> None:
        (path,) = (self.root / "tb").rglob("events.out.tfevents.*")
        points = edit(read_scalars(path))
        folder = path.parent
        path.unlink()
        writer = EventWriter.create(folder, wall_time=points[0].wall_time, suffix="hstu-preserve")
        for point in points:
            writer.scalar(point.tag, value=point.value, step=point.step, wall_time=point.wall_time)
        writer.close()

    def show(self, tag: str, *, step: int, value: float) -> None:
        """Let the event file show another value."""

        def edit(points: list[ScalarPoint]) -> list[ScalarPoint]:
            return [
                ScalarPoint(tag=p.tag, step=p.step, value=value, wall_time=p.wall_time)
                if (p.tag, p.step) == (tag, step)
                else p
                for p in points
            ]

        self.edit_points(edit)

    def edit_ranks(self, edit: Callable[[UserRanks], None]) -> None:
        ranks = read_ranks(self.root / RANKS, source=RANKS)
        edit(ranks)
        write_ranks(self.root / RANKS, ranks)
        self.ranks_sha256 = ranks.digest()

    def edit_steps(self, edit: Callable[[list[Json]], None]) -> None:
        steps = [json.loads(line) for line in (self.root / STEPS).read_text().splitlines()]
        edit(steps)
        (self.root / STEPS).write_text("".join(f"{json.dumps(step)}\n" for step in steps))

    def record_everywhere(self, epoch: int, **figures: object) -> None:
        """Change figures of an epoch in the curve, the journals, and of the last one in the final evaluation."""
        for record in (self.results["epochs"][epoch], *([self.final] if epoch == 11 else [])):
            record.update(figures)

        def edit(epochs: list[Json]) -> None:
            for record in epochs[epoch : epoch + 1]:
                record.update(figures)

        self.edit_journals(edit)

    def measure_everywhere(self, epoch: int, **metrics: float | None) -> None:
        """Change metrics of an epoch wherever they are recorded: curve, final, claims, journals and event file."""
        names = {name.replace("_at_", "@"): value for name, value in metrics.items()}
        self.record_everywhere(epoch, metrics={**self.results["epochs"][epoch]["metrics"], **names})
        for name, value in names.items():
            if value is not None:
                self.show(f"eval_epoch/{name}", step=epoch, value=value)
            for claim in self.claims if epoch == 11 else []:
                if claim["policy"]["metric"] == name:
                    claim["value"] = value

    def describe_data(self, **facts: object) -> None:
        self.run["data"].update(facts)

    def replace_array(self, name: str, array: "np.ndarray[Any, Any]") -> None:
        """Replace an array of the store, and name the data by the new fingerprint wherever it is named."""
        np.save(self.root / "data" / f"{name}.npy", array)
        arrays = [one for one in self.store["arrays"] if one["name"] != name]
        arrays.append(describe_array(name, array).to_json_value())
        self.store["arrays"] = sorted(arrays, key=lambda one: str(one["name"]))
        records = tuple(ArrayRecord.from_json(canonical_dumps(one), source="forgery") for one in self.store["arrays"])
        fingerprint = fingerprint_of(records, tuple(self.store["genres"]))
        self.store["fingerprint"] = fingerprint
        self.describe_data(fingerprint=fingerprint)
        for record in (*self.results["epochs"], self.final):
            record["data_fingerprint"] = fingerprint


def permute_ranks(ranks: UserRanks) -> None:
    """Give each user the ranks and ties of the next: no metric over all users moves."""
    for array in (ranks.ranks, ranks.ranks_topk, ranks.ties, ranks.near_ties):
        array[:] = np.roll(array, 1)


def improve_ranks(ranks: UserRanks) -> None:
    for array in (ranks.ranks, ranks.ranks_topk):
        array[array > 100] = 100


def perturb(content: Json) -> None:
    """Add noise of 0.2 % of each weight's spread."""
    generator = torch.Generator().manual_seed(2)
    for tensor in content["model_state_dict"].values():
        if tensor.is_floating_point() and tensor.numel() > 1:
            tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.002 * tensor.std())


ML_20M = KNOWN_DATASETS["ml-20m"]
PUBLISHED = {
    "num_users": ML_20M.num_users,
    "num_rated_items": ML_20M.num_rated_items,
    "num_candidates": ML_20M.num_candidates,
    "num_ratings": ML_20M.num_ratings,
}
