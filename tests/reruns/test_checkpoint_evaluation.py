"""What is said of a checkpoint that fits the recipe and yet is not what it seems."""

from pathlib import Path

import pytest
import torch

from hstu_preserve.compute.determinism import initialization_generators
from hstu_preserve.errors import UsageError
from hstu_preserve.inputs.items import describe_items
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import to_upstream
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.reruns.checkpoint_evaluation import evaluate_checkpoint
from hstu_preserve.training.checkpoint import read_checkpoint
from tests.data.stores_in_memory import synthesize
from tests.model.tiny_models import make_model_recipe

STORE = synthesize(seed=7, num_users=12, num_items=30, num_ratings=150)
RECIPE = make_model_recipe("HSTU")


def make_weights() -> dict[str, torch.Tensor]:
    model = Recommender(RECIPE, describe_items(STORE, RECIPE))
    initialize(model, initialization_generators(1))
    return to_upstream(model)


def evaluate(path: Path, weights: dict[str, torch.Tensor]) -> list[str]:
    """Return what is said while a checkpoint of these weights is evaluated."""
    torch.save({"epoch": 1, "model_state_dict": weights}, path)
    said: list[str] = []
    evaluate_checkpoint(path, recipe=RECIPE, store=STORE, device="cpu", voice=Voice(say=said.append))
    return said


def test_nothing_is_said_of_a_checkpoint_as_the_recipe_trains_it(tmp_path: Path) -> None:
    assert evaluate(tmp_path / "x_ep1", make_weights()) == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_another_number_format_are_told(tmp_path: Path, dtype: torch.dtype) -> None:
    weights = {name: value.to(dtype) if value.is_floating_point() else value for name, value in make_weights().items()}
    (said,) = evaluate(tmp_path / "x_ep1", weights)
    assert said.startswith(
        f"warning: {tmp_path / 'x_ep1'}: its weights are {str(dtype)[6:]}, those of the recipe's model float32"
    )


def test_one_tensor_of_another_format_is_enough(tmp_path: Path) -> None:
    weights = make_weights()
    name = next(name for name in weights if name.endswith("_uvqk"))
    assert "its weights are bfloat16" in evaluate(tmp_path / "x_ep1", weights | {name: weights[name].bfloat16()})[0]


def test_a_file_without_checksums_is_read_and_told(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        (said,) = evaluate(tmp_path / "x_ep1", make_weights())
    finally:
        torch.serialization.set_crc32_options(True)
    assert "written without checksums (torch.serialization.set_crc32_options(False))" in said


@pytest.mark.parametrize(
    ("files", "advice"),
    [
        ([], "name one of the files in it"),
        (["x_ep1", "x_ep2"], "name one of the files in it"),
        ([".metadata", "__0_0.distcp"], "dcp_to_torch"),
        (["__0_0.distcp", "__1_0.distcp"], "dcp_to_torch"),
    ],
)
def test_a_folder_is_told_from_a_missing_file(tmp_path: Path, files: list[str], advice: str) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=rf"a folder, not a checkpoint file; .*{advice}"):
        read_checkpoint(tmp_path)
