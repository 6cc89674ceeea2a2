"""A whole training of ml-1m's shape on a CPU: 101 epochs of Meta's HSTU base recipe, each evaluated on every user.

Usage: python -m benchmarks.whole_run [--epochs N]

Data are made up (6,040 users, 3,706 items, 1,000,209 ratings), so the curve says that the model learns and nothing
about MovieLens. Writes `benchmarks/results/whole_run.json`: minutes, what of them steps and evaluations took, memory,
the curve.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine_facts
from hstu_preserve.primitives.peak_memory import read_peak_bytes
from hstu_preserve.primitives.voice import Progress, Voice
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.train import train

RESULT = Path(__file__).with_name("results") / "whole_run.json"
RECIPE = "paper-hstu-ml-1m"


class EpochClock:
    """Hears a training and keeps when each epoch's steps ended, and its evaluation."""

    def __init__(self) -> None:
        self.start = self.epoch_began = self.steps_ended = time.perf_counter()
        self.step_seconds: list[float] = []
        self.evaluation_seconds: list[float] = []

    def hear_step(self, progress: Progress) -> None:
        """Note that a step was taken."""
        if progress.activity.startswith("epoch"):
            self.steps_ended = time.perf_counter()

    def hear_sentence(self, sentence: str) -> None:
        """Note that an epoch was evaluated; the one sentence that is said of each."""
        print(sentence, flush=True)
        if sentence.startswith("epoch"):
            now = time.perf_counter()
            self.step_seconds.append(self.steps_ended - self.epoch_began)
            self.evaluation_seconds.append(now - self.steps_ended)
            self.epoch_began = now


def main() -> None:
    """Train, record and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=101)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        synthesize_data(seed=1, num_users=6_040, num_items=3_706, num_ratings=1_000_209, output=store)
        clock = EpochClock()
        trained = train(
            RECIPE,
            output=Path(folder) / "run",
            data=store,
            settings=['train_fn.dataset_name = "synthetic"', f"train_fn.num_epochs = {options.epochs}"],
            device="cpu",
            voice=Voice(say=clock.hear_sentence, show=clock.hear_step),
        )
        minutes = (time.perf_counter() - clock.start) / 60
    record = {
        "command": "python -m benchmarks.whole_run",
        "recipe": RECIPE,
        "epochs": options.epochs,
        "minutes": round(minutes, 1),
        "steps: seconds of an epoch": round(statistics.median(clock.step_seconds), 2),
        "evaluation: seconds of an epoch": round(statistics.median(clock.evaluation_seconds), 2),
        "peak megabytes": round(read_peak_bytes() / 1e6),
        "ndcg@10 after each epoch": [round(epoch.metrics["ndcg@10"] or 0.0, 5) for epoch in trained.results.epochs],
        "machine": machine_facts(),
    }
    RESULT.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps({key: value for key, value in record.items() if key != "machine"}))


if __name__ == "__main__":
    main()
