"""Nothing depends on the order of a set: processes with other hash seeds start from, and compute, the same numbers."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import torch
from hstu_preserve.training.checkpoint import state_digest
from tests.model.test_prism import GENRES_OF, make_embedding, make_prism
from tests.model.tiny_models import KINDS, make_model, make_model_recipe
print(hash("genres"))
print(*(state_digest(make_model(make_model_recipe(kind)).state_dict()) for kind in KINDS))
item = torch.arange(len(GENRES_OF))
prism = make_prism({"variant": "moe"})
print(state_digest({"x": prism(make_embedding(len(GENRES_OF)), item=item, half_star=item).embedding.detach()}))
"""


def test_processes_with_different_hash_seeds_start_from_and_compute_the_same() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2")
    ]
    first, second = (process.communicate(timeout=600)[0].splitlines() for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert first[0] != second[0]  # the seeds make a difference to what hashes by them
    assert len(first) == 3
    assert first[1:] == second[1:]
