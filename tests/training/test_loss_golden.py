"""Twenty steps whose losses a refactoring may not change by a bit."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch

from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.compute.machine import describe_numerics
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.training.events import StepEvent
from hstu_preserve.training.loop import TrainingRun
from tests.model.tiny_models import KINDS
from tests.training.tiny_runs import CPU, load_store, make_training_recipe

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
NUM_STEPS = 20


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def measure_losses(kind: str) -> dict[str, Json]:
    """Return the losses of the first steps, exactly, and the arithmetic they were computed with."""
    recipe = make_training_recipe(kind, training={"num_epochs": 7, "num_warmup_steps": 3, "weight_decay": 0.01})
    with repeatable_arithmetic(tf32=False):
        events = TrainingRun(recipe, load_store(), device=CPU).epochs()
        steps = islice((event for event in events if isinstance(event, StepEvent)), NUM_STEPS)
        losses: list[Json] = [step.loss.hex() for step in steps]
        return {"losses": losses, "numerics": describe_numerics(CPU, dtype="float32").to_json_value()}


def read_losses(value: Json) -> list[float]:
    assert isinstance(value, list)
    return [float.fromhex(str(loss)) for loss in value]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("kind", KINDS)
def test_the_losses_are_the_recorded_ones(kind: str, updates_goldens: bool) -> None:
    path = GOLDEN / f"losses_{kind.lower()}.json"
    found = measure_losses(kind)
    if updates_goldens:
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        pytest.skip(f"{path.name} was written")
    recorded: dict[str, Json] = json.loads(path.read_text(encoding="utf-8"))
    losses = read_losses(found["losses"])
    assert len(set(losses)) == NUM_STEPS
    if found["numerics"] == recorded["numerics"]:
        assert found["losses"] == recorded["losses"]
    else:
        assert losses == pytest.approx(read_losses(recorded["losses"]), rel=1e-4)
