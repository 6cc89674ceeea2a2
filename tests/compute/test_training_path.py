"""Which path a training takes: the recorded one, else the one that is asked for, if the device has it."""

import pytest
import torch

from hstu_preserve.compute.training_path import VARIABLE, choose_training_path
from hstu_preserve.errors import UsageError
from hstu_preserve.records.environment import TrainingPath
from tests.model.tiny_models import make_model_recipe


@pytest.mark.parametrize(
    ("asked", "recorded", "device", "expected"),
    [
        ("", None, "cpu", "fast"),
        ("auto", None, "cuda", "reference"),
        ("reference", None, "cpu", "reference"),
        ("fused", None, "cuda", "fused"),
        ("fused", None, "cpu", "fused"),
        ("fused", "reference", "cuda", "reference"),
        ("reference", "fused", "cpu", "fused"),
        ("", "fast", "cuda", "reference"),
    ],
)
def test_the_recorded_path_decides_then_the_environment(
    asked: str, recorded: TrainingPath | None, device: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, asked)
    recipe = make_model_recipe("HSTU")
    assert choose_training_path(recipe, device=torch.device(device), recorded=recorded) == expected


def test_a_full_softmax_has_the_reference_path_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make_model_recipe("HSTU", loss={"loss_module": "FullSoftmaxLoss", "padding_row": False})
    for asked in ("auto", "fused"):
        monkeypatch.setenv(VARIABLE, asked)
        assert choose_training_path(recipe, device=torch.device("cpu")) == "reference"


def test_a_path_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "fastest")
    with pytest.raises(UsageError, match="set 'reference', 'fused', or 'auto'"):
        choose_training_path(make_model_recipe("HSTU"), device=torch.device("cpu"))
