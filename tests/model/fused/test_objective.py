"""The fused path is the reference path but for rounding: losses, and the gradient of every weight."""

from pathlib import Path

import pytest
import torch

from hstu_preserve.model.fused.objective import training_losses
from hstu_preserve.model.objective import Draws, draw
from hstu_preserve.model.objective import training_losses as reference_losses
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.shares import WHOLE
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.training.shared_loss import TrainingLosses
from tests.kernels.interpreter import needs_triton, run
from tests.model.tiny_models import make_histories, make_lively_model, make_model_recipe

COMPONENTS: dict[str, dict[str, dict[str, Json]]] = {
    "base": {},
    "negatives that are the positive": {"loss": {"sampling_strategy": "in-batch", "num_negatives": 40}},
    "adjusted logits": {"pop_debias": {"mode": "logit_adjust"}},
    "hard negatives": {"hard_negatives": {"warmup_epochs": 0, "exclude_history": False}},
    "experts": {"prism": {"variant": "moe", "load_balance_weight": 0.1}},
}
IN_INTERPRETER = """
import hstu_preserve.model.fused.objective as fused
from hstu_preserve.kernels.pair_products import PairProducts
from tests.model.fused.test_objective import COMPONENTS, require_equal
fused.multiply_pairs = PairProducts.apply  # as on a GPU
for changes in COMPONENTS.values():
    require_equal(changes)
"""


def differentiate(losses: TrainingLosses, model: Recommender, draws: Draws) -> list[torch.Tensor]:
    """Return the loss and the gradient of every weight, zero if it has none."""
    model.zero_grad()
    found = losses(model, draws, share=WHOLE)
    found.total.backward()  # type: ignore[no-untyped-call]
    gradients = [torch.zeros_like(one) if one.grad is None else one.grad.clone() for one in model.parameters()]
    return [*(found.total.detach(), found.main.detach()), *gradients]


def require_equal(changes: dict[str, dict[str, Json]]) -> None:
    recipe = make_model_recipe("HSTU", **changes)
    model = make_lively_model(recipe)
    histories = make_histories((8, 1, 4), recipe=recipe)
    draws = draw(model, histories, epoch=0, own_BH=None, generator_for=lambda _: torch.Generator().manual_seed(1))
    found, expected = (differentiate(losses, model, draws) for losses in (training_losses, reference_losses))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))
    assert any(bool(one.any()) for one in found[2:])


@pytest.mark.parametrize("changes", COMPONENTS.values(), ids=COMPONENTS.keys())
def test_loss_and_gradients_are_those_of_the_reference_path(changes: dict[str, dict[str, Json]]) -> None:
    require_equal(changes)


@pytest.mark.slow
@needs_triton
def test_with_the_kernels_too(tmp_path: Path) -> None:
    run(IN_INTERPRETER, cache=tmp_path)
