"""Runs of one tiny recipe with several seeds, which take a second each, and bundles of them."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.bundle.layout import STEPS
from hstu_preserve.cli.main import main
from hstu_preserve.records.manifest import CHECKSUMS_NAME, MANIFEST_NAME
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.train import train
from tests.runs.tiny_run import tiny_gin

SEEDS = (0, 1, 2)
"""Of the recorded runs; those that are trained anew have 3, 4, 5, …"""
MARGIN = 0.15
"""hr@50 among 200 items is about 0.47 and scatters by 0.02; an order drawn at random has 0.25."""


def recipe(*, seed: int, seeds: tuple[int, ...] | None = None, claim: str = "", **settings: str | float | bool) -> str:
    """Return the gin text of the recipe with one seed, which claims hr@50."""
    others = [one for one in SEEDS if one != seed]
    listed = seeds if seeds is not None else (seed, *others)
    chosen: dict[str, str | float | bool] = {
        "max_sequence_length": 10,
        "item_embedding_dim": 8,
        "num_negatives": 32,
        "sampling_strategy": "local",
        "learning_rate": 0.01,
        "num_epochs": 5,
        "local_batch_size": 32,
        "random_seed": seed,
    }
    policy = claim or f"claim.margin = {MARGIN}\nclaim.margin_derivation = 'seven spreads'\n"
    text = tiny_gin(**chosen | settings)
    return f"{text}claim.metric = 'hr@50'\nclaim.seeds = {list(listed)}\nbundle.id = 'tiny'\n{policy}"


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """A folder with the store, and runs that are trained when they are first asked for.

    Attributes:
        folder: Holds everything.
    """

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def train(self, name: str, text: str) -> Path:
        """Return a run of a gin text, trained once."""
        run = self.folder / name
        if not run.exists():
            gin = self.folder / f"{name}.gin"
            gin.write_text(text)
            train(gin, data=self.store, device="cpu", output=run)
        return run

    def recorded(self, seed: int) -> Path:
        """Return one of the recorded runs."""
        return self.train(f"run-{seed}", recipe(seed=seed))

    def bundle(self) -> Path:
        """Return the bundle of the first run, with the two others behind its claim."""
        path = self.folder / "bundle.tar.gz"
        if not path.exists():
            one, *others = (str(self.recorded(seed)) for seed in SEEDS)
            references = [word for other in others for word in ("--reference", other)]
            assert main(["pack", one, *references, "--output", str(path), "--self-test"]) == 0
        return path

    def alone(self, claim: str = "", *, name: str = "alone") -> Path:
        """Return a run whose claim rests on itself."""
        return self.train(name, recipe(seed=0, seeds=(0,), claim=claim))

    def retrained(self) -> Path:
        """Return the folder of three retrainings of the bundle, with seeds 3, 4 and 5."""
        folder = self.folder / "retrained"
        if not folder.exists():
            assert self.reproduce(self.bundle(), "--seeds", "3", "--output", str(folder)) == 0
        return folder

    def rerun(self, seed: int) -> str:
        """Return a run with another seed."""
        return str(self.retrained() / f"seed-{seed}")

    def reproduce(self, target: Path | str, *words: str, data: bool = True) -> int:
        """Retrain a target through the command line."""
        where = ["--data", str(self.store)] if data else []
        return main(["reproduce", str(target), "--rung", "training", "--device", "cpu", *where, *words])

    def diverge(self, name: str, *, seed: int = 4) -> Path:
        """Return a run as it is left when its last step's loss is no number."""
        path = self.folder / name
        shutil.copytree(self.rerun(seed), path)
        for sealed in (MANIFEST_NAME, CHECKSUMS_NAME):
            (path / sealed).unlink()
        lines = (path / STEPS).read_text().splitlines()
        last = json.loads(lines[-1]) | {"loss": "nan"}
        (path / STEPS).write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")
        return path


def make_workshop(folder: Path) -> Workshop:
    """Return a workshop with its store."""
    synthesize_data(seed=5, num_users=200, num_items=200, num_ratings=6000, output=folder / "store")
    return Workshop(folder=folder)
