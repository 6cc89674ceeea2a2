"""HSTU-TF inside the recommender, with the full softmax: HSTU-Tensorflow's numbers from histories to loss."""

import pytest
import torch

from hstu_preserve.compute.determinism import initialization_generators
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.items import items_of_shape
from hstu_preserve.model.jagged import PLAIN_OPERATORS
from hstu_preserve.model.objective import Draws
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.records.recipe import Recipe
from tests.factories import make_recipe
from tests.model.tf_golden import (
    GROUPS,
    PADDING_FROM,
    Group,
    PaddingFrom,
    TensorFlowGolden,
    find_events,
    load_golden,
    make_settings,
    normalize,
)
from tests.model.tiny_losses import training_loss

EXACT = 1e-5
MAX_ITEM_ID = 30


@pytest.fixture
def golden() -> TensorFlowGolden:
    return load_golden()


def make_tf_recipe(padding_from: PaddingFrom) -> Recipe:
    recipe = make_recipe(
        dataset={"max_sequence_length": 12}, loss={"loss_module": "FullSoftmaxLoss", "padding_row": True}
    )
    return recipe.model_copy(update={"model": make_settings(padding_from)})


def make_model(padding_from: PaddingFrom) -> Recommender:
    """Return a model without weights, dropout off."""
    items = items_of_shape(max_item_id=MAX_ITEM_ID, num_genres=1)
    return Recommender(make_tf_recipe(padding_from), items, operators=PLAIN_OPERATORS).eval()


def load_model(golden: TensorFlowGolden, group: Group) -> Recommender:
    model = make_model("normalized_query")
    model.load_state_dict(golden.weights(group))
    return model


@pytest.mark.parametrize("group", GROUPS)
def test_the_embedding_of_every_event_is_tensorflows(golden: TensorFlowGolden, group: Group) -> None:
    histories, theirs = golden.histories, golden.value(group, "seq_out")
    expected = torch.cat([theirs[user, -length:] for user, length in enumerate(histories.length_B.tolist())])
    found = load_model(golden, group)(histories)[find_events(histories)]
    torch.testing.assert_close(found, normalize(expected), atol=EXACT, rtol=0)


@pytest.mark.parametrize("group", GROUPS)
def test_the_scores_that_users_are_ranked_with_are_tensorflows(golden: TensorFlowGolden, group: Group) -> None:
    model, expected = load_model(golden, group), golden.value(group, "test_logits")
    is_ranked = expected > torch.finfo(torch.float32).min
    scores = model.encode_users(golden.histories) @ model.item_table().T
    torch.testing.assert_close(scores[is_ranked], expected[is_ranked], atol=EXACT, rtol=0)


@pytest.mark.parametrize("group", GROUPS)
def test_the_loss_and_every_gradient_are_tensorflows(golden: TensorFlowGolden, group: Group) -> None:
    model, expected = load_model(golden, group), golden.gradients(group)
    loss = training_loss(model, Draws(histories=golden.histories, negative_TK=None, pool_P=None, own_BH=None))
    loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    assert loss.item() == pytest.approx(golden.value(group, "loss").item(), abs=EXACT)
    assert {name for name, _ in model.named_parameters()} == expected.keys()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert (parameter.grad - expected[name]).norm() <= 1e-4 * expected[name].norm(), name
    assert model.item_embedding.weight.grad is not None
    assert not model.item_embedding.weight.grad[0].any()


def test_a_fresh_model_does_not_know_which_padding_it_sees() -> None:
    states = []
    for padding_from in PADDING_FROM:
        model = make_model(padding_from)
        initialize(model, initialization_generators(1))
        states.append(model(load_golden().histories))
    assert torch.equal(*states)


def test_a_fresh_model_has_tensorflows_distributions() -> None:
    model = make_model("sequence")
    initialize(model, initialization_generators(1))
    stds = {"input_norm": 0.0, "attended_norm": 0.0, "output.bias": 0.0, "layers.0.bias": 0.01, "layers.1.bias": 0.01}
    for name, parameter in model.named_parameters():
        expected = next((std for part, std in stds.items() if part in name), 0.02)
        assert parameter.std(correction=0).item() == pytest.approx(expected, rel=0.35), name
        assert parameter.mean().item() == pytest.approx(float(name.endswith("norm.weight")), abs=0.01), name
        if expected and not name.endswith(("qkvu", "output.weight")):
            assert parameter.abs().max() <= 2 * expected, name
