"""Gin texts, resolved or refused."""

from pathlib import Path

import pytest

from hstu_preserve.errors import RecipeError
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import Resolution, resolve

HSTU = "train_fn.main_module = 'HSTU'\ntrain_fn.sampling_strategy = 'local'\n"
CHUNK = "input_compression.pooling = 'chunk'"
ONE_TO_ONE = "input_compression.ratio = 1"
LOSS_DECAY = "time_decay.mode = 'exp'\ntime_decay.where = 'loss'\ntime_decay.learnable = False"
N128 = "train_fn.num_negatives = 128\n"


def resolve_text(folder: Path, text: str) -> Resolution:
    path = folder / "r.gin"
    path.write_text(text)
    return resolve(read_chain(path, root=folder))


def refuse(folder: Path, text: str) -> list[str]:
    """Return the lines of the refusal."""
    with pytest.raises(RecipeError) as caught:
        resolve_text(folder, text)
    return str(caught.value).split("\n")
