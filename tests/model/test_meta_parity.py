"""Upstream's numbers: what Meta's code computed, ours computes."""

import pytest
import torch
from torch.optim import AdamW

from hstu_preserve.model.jagged import JaggedOperators
from hstu_preserve.model.objective import Draws
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import from_upstream_tensor, load_state, to_upstream, upstream_name
from hstu_preserve.training.checkpoint import read_checkpoint
from hstu_preserve.training.optimizers import ADAM_BETAS
from tests.model.meta_golden import MAX_ITEM_ID, MetaGolden, load_golden
from tests.model.tiny_losses import position_losses
from tests.model.tiny_models import KINDS, OPERATORS, make_items

EXACT = 1e-5


@pytest.fixture(params=KINDS)
def golden(request: pytest.FixtureRequest) -> MetaGolden:
    return load_golden(request.param)


@pytest.fixture(params=OPERATORS)
def operators(request: pytest.FixtureRequest) -> JaggedOperators:
    chosen: JaggedOperators = request.param
    return chosen


@pytest.fixture
def model(golden: MetaGolden, operators: JaggedOperators) -> Recommender:
    return golden.make_model(operators)


def backpropagate(model: Recommender, golden: MetaGolden) -> torch.Tensor:
    """Return the mean loss on the golden batch, its gradients computed."""
    draws = Draws(
        histories=golden.training_histories(), negative_TK=golden.tensors["negative_ids_TK"], pool_P=None, own_BH=None
    )
    loss = position_losses(model, draws).mean()
    loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    return loss.detach()


def test_the_embedding_of_every_event_is_metas(model: Recommender, golden: MetaGolden) -> None:
    histories = golden.training_histories()
    is_event_BN = torch.arange(histories.item_BN.shape[1]) < histories.length_B[:, None]
    expected = golden.tensors["train_sequence_embedding_BND"][is_event_BN]
    torch.testing.assert_close(model(histories)[is_event_BN], expected, atol=EXACT, rtol=0)


def test_the_embedding_that_users_are_ranked_with_is_metas(model: Recommender, golden: MetaGolden) -> None:
    found = model.encode_users(golden.evaluation_histories())
    torch.testing.assert_close(found, golden.tensors["eval_user_embedding_BD"], atol=EXACT, rtol=0)


def test_the_loss_is_metas(model: Recommender, golden: MetaGolden) -> None:
    assert backpropagate(model, golden).item() == pytest.approx(golden.tensors["loss"].item(), abs=EXACT)


def test_every_gradient_is_metas(model: Recommender, golden: MetaGolden) -> None:
    backpropagate(model, golden)
    expected = golden.group("grad")
    assert {upstream_name(name) for name, _ in model.named_parameters()} == expected.keys()
    for name, parameter in model.named_parameters():
        their_name = upstream_name(name)
        assert their_name is not None
        theirs = from_upstream_tensor(their_name, expected[their_name])
        assert parameter.grad is not None
        assert (parameter.grad - theirs).norm() <= 1e-4 * theirs.norm(), name


def test_the_weights_after_one_step_are_metas_wherever_the_gradient_is_no_rounding_error(
    model: Recommender, golden: MetaGolden
) -> None:
    optimizer = AdamW(model.parameters(), lr=1e-3, betas=ADAM_BETAS, weight_decay=0.0)
    backpropagate(model, golden)
    optimizer.step()
    for name, parameter in model.named_parameters():
        theirs = upstream_name(name)
        assert theirs is not None
        expected, gradient = (
            from_upstream_tensor(theirs, golden.group(group)[theirs]) for group in ("after_step", "grad")
        )
        moved = gradient.abs() > 1e-6
        assert moved.any(), name
        torch.testing.assert_close(parameter.detach()[moved], expected[moved], atol=1e-6, rtol=0, msg=name)


def test_a_checkpoint_of_metas_goes_in_and_comes_out_unchanged(golden: MetaGolden) -> None:
    checkpoint = read_checkpoint(golden.checkpoint)
    model = Recommender(golden.recipe, make_items(MAX_ITEM_ID))
    load_state(model, checkpoint.weights, source="golden")
    exported = to_upstream(model)
    assert checkpoint.epoch == 3
    assert checkpoint.recipe_sha256 is checkpoint.data_fingerprint is None
    assert exported.keys() == checkpoint.weights.keys()
    for name, value in checkpoint.weights.items():
        assert torch.equal(exported[name], value), name
        assert exported[name].dtype == value.dtype, name
