"""A training that comes to nothing says so: its loss is no number, its weights are none, or nobody is trained on."""

import json
import math
from pathlib import Path

import pytest
import torch

from hstu_preserve.bundle.layout import METRICS, STEPS
from hstu_preserve.cli.main import main
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.training.checkpoint import read_checkpoint, write_checkpoint
from hstu_preserve.verbs.evaluate import evaluate_file
from hstu_preserve.verbs.imports.sasrec_format import import_data
from hstu_preserve.verbs.train import train
from tests.runs.crashing import find, write_gin
from tests.runs.tiny_run import tiny_gin

Settings = dict[str, str | float | bool]


def train_tiny(folder: Path, store: Path, *, settings: Settings) -> list[str]:
    """Train and return what was said."""
    path = folder / "experiment.gin"
    defaults: Settings = {"sampling_strategy": "local", "num_epochs": 2, "local_batch_size": 16}
    path.write_text(tiny_gin(**defaults | settings))
    heard: list[str] = []
    train(path, data=store, device="cpu", output=folder / "run", voice=Voice(say=heard.append))
    return heard


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"learning_rate": 9e15}, r"the loss of step 1 \(epoch 0\) is nan; no checkpoint is there"),
        ({"learning_rate": 9e15, "main_module": "SASRec"}, r"the loss of step 1 \(epoch 0\) is (nan|inf)"),
        ({"learning_rate": 9e15, "local_batch_size": 64}, "embeddings of users are NaN or infinite"),
    ],
    ids=["at the second step", "of SASRec", "after the epoch's only step"],
)
def test_a_training_that_diverges_stops_and_claims_nothing(
    settings: Settings, says: str, store: Path, tmp_path: Path
) -> None:
    with pytest.raises(ContentError, match=says):
        train_tiny(tmp_path, store, settings=settings)
    assert not (tmp_path / "run" / METRICS).exists()
    losses = [float.fromhex(json.loads(line)["loss"]) for line in (tmp_path / "run" / STEPS).read_text().splitlines()]
    assert all(math.isfinite(loss) for loss in losses[:-1]), "it went on after the first"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers_are_not_evaluated(value: float, finished: Path, store: Path) -> None:
    path = find(finished, "ep3")
    content = dict(read_checkpoint(path).content)
    weights = content["model_state_dict"]
    assert isinstance(weights, dict)
    name = next(name for name, weight in weights.items() if name.endswith("weight") and weight.is_floating_point())
    weights[name][-1, 0] = torch.tensor(value)
    write_checkpoint(path, content)
    with pytest.raises(ContentError, match=f"NaN or infinite .*{name}"):
        evaluate_file(path, gin=write_gin(finished.parent), data=store)


SHORT = "user_id,sequence_item_ids,sequence_ratings,sequence_timestamps\n"


def import_histories(folder: Path, *, lengths: list[int]) -> Path:
    """Return a store of users with so many events each."""
    rows = []
    for user, length in enumerate(lengths, start=1):
        items, times = (",".join(map(str, values)) for values in ([at % 5 + 1 for at in range(length)], range(length)))
        rows.append(f'{user},"{items}","{items}","{times}"\n')
    (folder / "short.csv").write_text(SHORT + "".join(rows))
    (folder / "items.csv").write_text(
        "movie_id,title,genres\n" + "".join(f"{item},Film {item} (1999),Drama\n" for item in range(1, 6))
    )
    import_data(folder / "short.csv", movies=folder / "items.csv", name="short", output=folder / "store")
    return folder / "store"


@pytest.mark.parametrize(
    ("length", "extra", "says"),
    [
        (2, "", "at least 3 events under the protocol 'upstream'"),
        (3, 'data.protocol = "validated"\n', "at least 4 events under the protocol 'validated'"),
        (9, "train_fn.positional_sampling_ratio = 1e-9\n", "of which train_fn.positional_sampling_ratio = 1e-09"),
    ],
    ids=["upstream", "validated", "sampled"],
)
def test_a_training_without_a_step_is_refused_before_anything_is_written(
    length: int, extra: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = import_histories(tmp_path, lengths=[length] * 20)
    gin = tmp_path / "experiment.gin"
    gin.write_text(tiny_gin(dataset_name="short", sampling_strategy="local", num_epochs=1, num_negatives=2) + extra)
    assert main(["train", str(gin), "--data", str(store), "--output", str(tmp_path / "run")]) == 3
    error = capsys.readouterr().err
    assert "short: no user has the history and target that training needs" in error
    assert says in error
    assert not (tmp_path / "run").exists()


def test_users_that_are_left_out_are_counted(tmp_path: Path) -> None:
    store = import_histories(tmp_path, lengths=[2] * 7 + [9] * 13)
    heard = train_tiny(tmp_path, store, settings={"dataset_name": "short", "num_epochs": 1, "num_negatives": 2})
    assert any(line.startswith("7 of 20 users are left out of training, which needs at least 3") for line in heard)
