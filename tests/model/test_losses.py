"""The sampled softmax, and which item each position is asked for."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hstu_preserve.model.embeddings import l2_normalize
from hstu_preserve.model.jagged import JaggedOperators
from hstu_preserve.model.losses import sampled_softmax
from hstu_preserve.model.recommender import Recommender
from tests.model.tiny_losses import position_losses
from tests.model.tiny_models import (
    KINDS,
    OPERATORS,
    draw_for,
    make_histories,
    make_lively_model,
    make_model_recipe,
    mean_loss,
)

LENGTHS = (8, 1, 4)


def explicit_loss(user: Tensor, table: Tensor, *, positive: int, negatives: list[int], temperature: float) -> float:
    """-log of the positive's share of the sum, in double precision and plain Python."""
    logits = [float(user.double() @ table[item].double()) / temperature for item in (positive, *negatives)]
    counted = [logits[0], *(logit for item, logit in zip(negatives, logits[1:], strict=True) if item != positive)]
    largest = max(counted)
    return math.log(sum(math.exp(logit - largest) for logit in counted)) + largest - logits[0]


@given(seed=st.integers(0, 2**32 - 1), num_items=st.integers(1, 6), temperature=st.sampled_from((0.05, 0.5, 1.0)))
def test_the_loss_is_minus_log_of_the_softmax_without_accidental_hits(
    seed: int, num_items: int, temperature: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    table = l2_normalize(torch.randn(num_items + 1, 4, generator=generator), eps=1e-6)
    user_TD = l2_normalize(torch.randn(3, 4, generator=generator), eps=1e-6)
    positive_T = torch.randint(1, num_items + 1, (3,), generator=generator)
    negative_TK = torch.randint(1, num_items + 1, (3, 5), generator=generator)
    found = sampled_softmax(
        user_TD, item_table=table, positive_T=positive_T, negative_TK=negative_TK, temperature=temperature
    )
    expected = [
        explicit_loss(user, table, positive=positive, negatives=negatives, temperature=temperature)
        for user, positive, negatives in zip(user_TD, positive_T.tolist(), negative_TK.tolist(), strict=True)
    ]
    assert found.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_negatives_that_are_all_the_positive_cost_nothing() -> None:
    table = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    loss = sampled_softmax(
        torch.ones(1, 3),
        item_table=table,
        positive_T=torch.tensor([2]),
        negative_TK=torch.tensor([[2, 2, 2]]),
        temperature=0.05,
    )
    assert loss.item() == 0.0


def make_logits(seed: int) -> dict[str, Tensor]:
    """Return embeddings and items of three positions with five negatives each."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "user_TD": l2_normalize(torch.randn(3, 4, generator=generator), eps=1e-6).requires_grad_(),
        "item_table": l2_normalize(torch.randn(9, 4, generator=generator), eps=1e-6).requires_grad_(),
        "positive_T": torch.randint(1, 9, (3,), generator=generator),
        "negative_TK": torch.randint(1, 9, (3, 5), generator=generator),
    }


def differentiate(given: dict[str, Tensor], adjustment_J: Tensor | None) -> list[Tensor]:
    """Return the losses and both gradients."""
    loss_T = sampled_softmax(**given, temperature=0.05, adjustment_J=adjustment_J)
    return [loss_T.detach(), *torch.autograd.grad(loss_T.sum(), [given["user_TD"], given["item_table"]])]


@given(st.integers(0, 2**32 - 1))
def test_an_adjustment_of_zero_changes_no_bit_of_loss_and_gradients(seed: int) -> None:
    logits = make_logits(seed)
    plain = differentiate(logits, None)
    for adjustment_J in (torch.zeros(9), -torch.zeros(9)):
        assert all(map(torch.equal, plain, differentiate(logits, adjustment_J)))


@given(st.integers(0, 2**32 - 1), st.floats(-5, 5))
def test_a_constant_in_all_adjustments_changes_the_loss_only_by_rounding(seed: int, constant: float) -> None:
    adjustment_J = torch.randn(9, generator=torch.Generator().manual_seed(seed))
    logits = make_logits(seed)
    for one, other in zip(
        differentiate(logits, adjustment_J), differentiate(logits, adjustment_J + constant), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@given(st.integers(0, 2**32 - 1))
def test_the_adjustment_joins_the_logits_of_positive_and_negatives_after_the_temperature(seed: int) -> None:
    logits = make_logits(seed)
    adjustment_J = torch.randn(9, generator=torch.Generator().manual_seed(seed))
    # One more dimension, in which every user is 1 and an item is its adjustment, times the temperature.
    user_TD = torch.cat([logits["user_TD"], torch.ones(3, 1)], dim=1)
    item_table = torch.cat([logits["item_table"], adjustment_J[:, None] * 0.05], dim=1)
    expected = sampled_softmax(**(logits | {"user_TD": user_TD, "item_table": item_table}), temperature=0.05)
    found = sampled_softmax(**logits, temperature=0.05, adjustment_J=adjustment_J)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("operators", OPERATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_event_is_asked_for_the_next_one_and_the_last_for_the_target(
    kind: str, operators: JaggedOperators
) -> None:
    model = make_lively_model(make_model_recipe(kind), operators=operators)
    histories = make_histories(LENGTHS, recipe=model.recipe)
    draws = draw_for(model, histories)
    assert draws.negative_TK is not None
    encoded_BND, table = model(histories).detach(), model.item_table().detach()
    positions = [(user, place) for user, length in enumerate(LENGTHS) for place in range(length)]
    expected = [
        explicit_loss(
            encoded_BND[user, place],
            table,
            positive=int(histories.item_BN[user, place + 1]),
            negatives=negatives,
            temperature=0.05,
        )
        for (user, place), negatives in zip(positions, draws.negative_TK.tolist(), strict=True)
    ]
    assert position_losses(model, draws).tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def backpropagate(model: Recommender) -> list[Tensor]:
    """Return the loss and every gradient, dropout on and seeded."""
    histories = make_histories(LENGTHS, recipe=model.recipe)
    torch.manual_seed(5)
    loss = mean_loss(model.train(), histories)
    return [loss.detach(), *torch.autograd.grad(loss, list(model.parameters()))]


@pytest.mark.parametrize("kind", KINDS)
def test_computing_the_loss_twice_instead_of_keeping_it_changes_no_bit(kind: str) -> None:
    kept, recomputed = (
        backpropagate(make_lively_model(make_model_recipe(kind, loss={"activation_checkpoint": is_checkpointed})))
        for is_checkpointed in (False, True)
    )
    assert all(torch.equal(one, other) for one, other in zip(kept, recomputed, strict=True))


@pytest.mark.parametrize("is_normalised", [False, True])
def test_scores_use_the_item_table_normalised_or_raw_as_the_recipe_says(is_normalised: bool) -> None:
    model = make_lively_model(make_model_recipe("HSTU", loss={"item_l2_norm": is_normalised}))
    weight = model.item_embedding.weight
    expected = weight / weight.norm(dim=1, keepdim=True) if is_normalised else weight
    torch.testing.assert_close(model.item_table(), expected)
    assert torch.equal(model.item_table(), weight) is not is_normalised


def test_a_vector_shorter_than_epsilon_is_not_blown_up() -> None:
    assert l2_normalize(torch.tensor([[3e-7, 4e-7]]), eps=1e-6).tolist() == [pytest.approx([0.3, 0.4])]
    assert l2_normalize(torch.zeros(1, 2), eps=1e-6).tolist() == [[0.0, 0.0]]
