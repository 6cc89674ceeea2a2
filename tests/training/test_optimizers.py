"""The optimizers: what TensorFlow 1's Adam computes, that its state comes back, and which one a recipe asks for."""

import math
from io import BytesIO

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import AdamW

from hstu_preserve.training.optimizers import ADAM_BETAS, TensorFlowAdam, make_optimizer
from tests.factories import make_recipe

LEARNING_RATE = 0.01


def draw_gradients(steps: int, *, shape: tuple[int, ...] = (4, 3)) -> list[Tensor]:
    """Return gradients of which some rows are zero in some steps, as a table's unused rows are."""
    generator = torch.Generator().manual_seed(0)
    is_used = torch.rand((steps, shape[0], 1), generator=generator) < 0.6
    return list(torch.randn((steps, *shape), generator=generator) * is_used)


def make_weight(dtype: torch.dtype = torch.float32) -> Parameter:
    return Parameter(torch.linspace(-1, 1, 12, dtype=dtype).view(4, 3))


def make_adam(weight: Parameter) -> TensorFlowAdam:
    return TensorFlowAdam([weight], lr=LEARNING_RATE, betas=ADAM_BETAS)


def take_steps(optimizer: torch.optim.Optimizer, weight: Parameter, gradients: list[Tensor]) -> None:
    for gradient in gradients:
        weight.grad = gradient.to(weight.dtype)
        optimizer.step()


def restate(weight: float, gradients: list[float]) -> float:
    """Return one weight after its gradients, `tf.train.AdamOptimizer`'s formula written out."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.98 * v + 0.02 * g * g
        weight -= LEARNING_RATE * math.sqrt(1 - 0.98**t) / (1 - 0.9**t) * m / (math.sqrt(v) + 1e-8)
    return weight


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_every_weight_moves_as_tensorflows_does(scale: float) -> None:
    weight = make_weight(torch.float64)
    before, gradients = weight.detach().flatten().tolist(), [scale * g.double() for g in draw_gradients(7)]
    take_steps(make_adam(weight), weight, gradients)
    for index, found in enumerate(weight.detach().flatten().tolist()):
        expected = restate(before[index], [g.flatten()[index].item() for g in gradients])
        assert found == pytest.approx(expected, abs=1e-13)


def test_epsilon_is_not_bias_corrected() -> None:
    # After one step v is 0.02·g²: √v equals ε where g is 1e-8/√0.02, half a step. Torch's Adam would correct √v first.
    weight = Parameter(torch.zeros(1, dtype=torch.float64))
    take_steps(make_adam(weight), weight, [torch.full((1,), 1e-8 / math.sqrt(0.02), dtype=torch.float64)])
    assert weight.item() == pytest.approx(-LEARNING_RATE / 2, rel=1e-9)


def test_a_row_without_gradient_moves_on_by_its_moments() -> None:
    weight = make_weight()
    optimizer = make_adam(weight)
    take_steps(optimizer, weight, [torch.ones(4, 3)])
    before = weight.detach().clone()
    take_steps(optimizer, weight, [torch.zeros(4, 3)])
    assert (weight < before).all()


def test_a_row_that_never_had_a_gradient_stays() -> None:
    weight = make_weight()
    before, used = weight.detach().clone(), torch.tensor([[0.0], [1.0], [1.0], [1.0]])
    take_steps(make_adam(weight), weight, [gradient * used for gradient in draw_gradients(5)])
    assert torch.equal(weight[0], before[0])
    assert (weight[1:] != before[1:]).all()


def test_a_parameter_without_gradient_stays_as_it_is() -> None:
    weight = make_weight()
    optimizer = make_adam(weight)
    take_steps(optimizer, weight, [torch.ones(4, 3)])
    before = weight.detach().clone()
    moments = {name: value.clone() for name, value in optimizer.state[weight].items()}
    weight.grad = None
    optimizer.step()
    assert torch.equal(weight, before)
    assert all(torch.equal(value, moments[name]) for name, value in optimizer.state[weight].items())


def test_a_run_continues_bit_by_bit_from_the_stored_state() -> None:
    gradients = draw_gradients(6)
    whole = make_weight()
    whole_optimizer = make_adam(whole)
    take_steps(whole_optimizer, whole, gradients)

    first = make_weight()
    first_optimizer = make_adam(first)
    take_steps(first_optimizer, first, gradients[:3])
    stored = BytesIO()
    torch.save({"weight": first.detach(), "optimizer": first_optimizer.state_dict()}, stored)
    stored.seek(0)
    content = torch.load(stored, weights_only=True)
    second = Parameter(content["weight"])
    second_optimizer = TensorFlowAdam([second], lr=1.0, betas=(0.0, 0.0), eps=1.0)
    second_optimizer.load_state_dict(content["optimizer"])
    take_steps(second_optimizer, second, gradients[3:])

    assert torch.equal(second, whole)
    for name, value in whole_optimizer.state[whole].items():
        assert torch.equal(second_optimizer.state[second][name], value), name


def test_the_rate_of_a_step_is_the_groups_at_that_step() -> None:
    slow, fast = make_weight(torch.float64), make_weight(torch.float64)
    before = slow.detach().clone()
    for weight, rate in ((slow, LEARNING_RATE / 4), (fast, LEARNING_RATE)):
        optimizer = make_adam(weight)
        optimizer.param_groups[0]["lr"] = rate
        take_steps(optimizer, weight, [torch.ones(4, 3)])
    torch.testing.assert_close(4 * (slow - before), fast - before)


def test_a_closure_is_asked_for_the_loss_with_gradients() -> None:
    weight = make_weight()
    before = weight.detach().clone()

    def compute() -> float:
        loss = weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        return float(loss.detach())

    assert make_adam(weight).step(compute) == pytest.approx(before.square().sum().item())
    assert not torch.equal(weight, before)


def test_a_recipe_asks_for_upstreams_optimizer() -> None:
    weight = make_weight()
    recipe = make_recipe(training={"learning_rate": 0.5, "weight_decay": 0.25})
    optimizer = make_optimizer(recipe, [weight])
    (group,) = optimizer.param_groups
    assert isinstance(optimizer, AdamW)
    assert group["params"] == [weight]
    assert (group["lr"], group["betas"], group["weight_decay"], group["eps"]) == (0.5, (0.9, 0.98), 0.25, 1e-8)


def test_a_recipe_asks_for_tensorflows_optimizer() -> None:
    weight = make_weight()
    optimizer = make_optimizer(make_recipe(training={"optimizer": "TensorFlowAdam", "learning_rate": 0.5}), [weight])
    (group,) = optimizer.param_groups
    assert type(optimizer) is TensorFlowAdam
    assert group["params"] == [weight]
    assert (group["lr"], group["betas"], group["eps"]) == (0.5, (0.9, 0.98), 1e-8)
