"""Which path a training takes; that a run keeps to its own is in `tests/reruns/test_recorded_path.py`."""

import json
import math

import pytest
import torch

from hstu_preserve.compute.training_path import VARIABLE, choose_training_path
from hstu_preserve.errors import UsageError
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.environment import EnvironmentRecord, TrainingPath
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.training.checkpoint import state_digest
from hstu_preserve.training.events import EpochEvent, StepEvent
from hstu_preserve.training.loop import TrainingRun
from tests.model.interactions.tiny_mixtures import make_mol_recipe
from tests.training.tiny_runs import CPU, capture, load_store, make_training_recipe
from tests.training.tiny_runs import train as train_tiny

BF16: dict[str, Json] = {"main_module_bf16": True}
ENVIRONMENT_VALUE: dict[str, Json] = {
    "python": "CPython 3",
    "platform": "Linux",
    "machine": "x86_64",
    "packages": {},
    "numerics": None,
}


def train_on(path: TrainingPath, recipe: Recipe) -> tuple[list[float], str]:
    """Return every loss and the digest of the final state of a run on a path."""
    run = TrainingRun(recipe, load_store(), device=CPU, path=path)
    events = list(run.epochs())
    last = events[-1]
    assert isinstance(last, EpochEvent)
    return [event.loss for event in events if isinstance(event, StepEvent)], state_digest(capture(run, last))


@pytest.mark.parametrize(("kind", "path"), [("HSTU", "fast"), ("SASRec", "fast"), ("HSTU", "fused")])
def test_two_runs_on_another_path_end_in_the_same_bits_near_the_reference_paths(kind: str, path: TrainingPath) -> None:
    recipe = make_training_recipe(kind)
    losses, state = train_on(path, recipe)
    assert train_on(path, recipe) == (losses, state)
    expected = [step.loss for step in train_tiny(recipe).steps]
    assert all(math.isclose(one, other, rel_tol=1e-4) for one, other in zip(losses, expected, strict=True))


@pytest.mark.parametrize(
    ("recipe", "device", "path"),
    [
        (make_training_recipe("HSTU"), "cpu", "fast"),
        (make_training_recipe("SASRec"), "cpu", "fast"),
        (make_training_recipe("HSTU"), "cuda", "reference"),
        (make_training_recipe("HSTU", model=BF16), "cpu", "reference"),
        (make_mol_recipe(), "cpu", "reference"),
        (
            make_training_recipe("HSTU", loss={"loss_module": "FullSoftmaxLoss"}),
            "cpu",
            "reference",
        ),
    ],
)
def test_the_fast_path_is_for_sampled_softmax_in_float32_on_a_cpu(
    recipe: Recipe, device: str, path: TrainingPath
) -> None:
    assert choose_training_path(recipe, device=torch.device(device)) == path
    assert choose_training_path(recipe, device=torch.device(device), recorded="fast") == path
    assert choose_training_path(recipe, device=torch.device(device), recorded="reference") == "reference"


def test_the_fused_path_is_taken_on_any_device_if_it_is_asked_for_or_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, full = make_training_recipe(), make_training_recipe("HSTU", loss={"loss_module": "FullSoftmaxLoss"})
    for device in (torch.device("cpu"), torch.device("cuda")):
        assert choose_training_path(recipe, device=device, recorded="fused") == "fused"
        monkeypatch.setenv(VARIABLE, "fused")
        assert choose_training_path(recipe, device=device) == "fused"
        assert choose_training_path(recipe, device=device, recorded="reference") == "reference"
        assert choose_training_path(full, device=device) == "reference"
        monkeypatch.delenv(VARIABLE)


def test_the_environment_switches_it_off_but_not_for_a_run_that_is_trained_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = make_training_recipe()
    monkeypatch.setenv(VARIABLE, "reference")
    assert choose_training_path(recipe, device=CPU) == "reference"
    assert choose_training_path(recipe, device=CPU, recorded="fast") == "fast"
    for value in ("auto", ""):
        monkeypatch.setenv(VARIABLE, value)
        assert choose_training_path(recipe, device=CPU) == "fast"


def test_another_value_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "slow")
    with pytest.raises(UsageError, match=f"{VARIABLE}=slow: unknown; set 'reference', 'fused', or 'auto'"):
        choose_training_path(make_training_recipe(), device=CPU)


def test_an_environment_without_a_path_is_of_the_reference_path_and_keeps_its_bytes() -> None:
    content = json.dumps(ENVIRONMENT_VALUE).encode()
    record = EnvironmentRecord.from_json(content, source="test")
    assert record.training_path == "reference"
    assert b"training_path" not in record.to_json()
