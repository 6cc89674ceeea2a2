"""The whole loop on ml-latest-small at upstream's ml-1m HSTU base shape, timed step by step (`make bench`).

Usage: python -m benchmarks.movielens [--data FOLDER] [--epochs N]

FOLDER holds `ml-latest-small/`; without it HSTU_PRESERVE_MOVIELENS is asked. Where the data is absent, synthetic data
of the same shape is taken and the record says so. Writes `benchmarks/results/movielens.json`.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmarks.machine import machine_facts
from hstu_preserve.verbs.data import prepare_data, synthesize_data
from hstu_preserve.verbs.evaluate import evaluate
from hstu_preserve.verbs.pack import pack
from hstu_preserve.verbs.reproduce import reproduce
from hstu_preserve.verbs.train import train
from hstu_preserve.verbs.verify import verify

RESULT = Path(__file__).with_name("results") / "movielens.json"
GIN = """
train_fn.dataset_name = "{name}"
train_fn.max_sequence_length = 200
train_fn.local_batch_size = 128
train_fn.main_module = "HSTU"
train_fn.dropout_rate = 0.2
train_fn.num_epochs = {epochs}
train_fn.item_embedding_dim = 50
hstu_encoder.num_blocks = 2
hstu_encoder.num_heads = 1
hstu_encoder.dqk = 50
hstu_encoder.dv = 50
hstu_encoder.linear_dropout_rate = 0.2
train_fn.weight_decay = 0
train_fn.num_negatives = 128
train_fn.sampling_strategy = "local"
train_fn.item_l2_norm = True
"""

T = TypeVar("T")


class Stopwatch:
    """Runs steps and keeps what each took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def measure(self, name: str, step: Callable[[], T]) -> T:
        """Run one step, print and keep its time."""
        start = time.perf_counter()
        result = step()
        self.seconds[name] = round(time.perf_counter() - start, 3)
        print(f"{name:10} {self.seconds[name]:8.2f} s", flush=True)
        return result


def main() -> None:
    """Run the loop and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HSTU_PRESERVE_MOVIELENS", "absent")))
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    watch = Stopwatch()
    source = options.data / "ml-latest-small"
    name = "ml-latest-small" if source.is_dir() else "synthetic"
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        store, gin, bundle = work / "store", work / "experiment.gin", work / "bundle.tar.gz"
        gin.write_text(GIN.format(name=name, epochs=options.epochs))
        if source.is_dir():
            prepared = watch.measure("prepare", lambda: prepare_data(name, source=source, output=store))
        else:
            prepared = watch.measure("synthesize", lambda: synthesize_data(seed=1, output=store))
        trained = watch.measure("train", lambda: train(gin, data=store, device="cpu", output=work / "run"))
        packed = watch.measure("pack", lambda: pack(work / "run", output=bundle))
        verified = watch.measure("verify", lambda: verify(bundle))
        watch.measure("evaluate", lambda: evaluate(bundle, data=store, device="cpu"))
        reproduced = watch.measure("reproduce", lambda: reproduce(bundle, data=store, device="cpu"))
        assert verified.ok
        record = {
            "command": "python -m benchmarks.movielens",
            "data": name,
            "fingerprint": prepared.store.fingerprint,
            "epochs": options.epochs,
            "seconds": watch.seconds,
            "bundle_bytes": packed.size_bytes,
            "metrics": trained.results.final.metrics,
            "verdicts": [f"{verdict.rung.value}: {verdict.outcome.value}" for verdict in reproduced.verdicts],
            "machine": machine_facts(),
        }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2) + "\n")
    print(f"written to {RESULT.name}")


if __name__ == "__main__":
    main()
