"""The softmax over all candidates: its formula, its padding row, and its bounded memory."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hstu_preserve.model import losses
from hstu_preserve.model.embeddings import l2_normalize
from hstu_preserve.model.losses import full_softmax, sampled_softmax
from hstu_preserve.model.objective import Draws
from tests.model.tiny_losses import position_losses
from tests.model.tiny_models import KINDS, draw_for, make_histories, make_lively_model, make_model_recipe

CANDIDATES = torch.tensor([2, 3, 5, 8])
TEMPERATURE = 0.5


def make_embeddings(seed: int, *, positions: int = 6) -> dict[str, Tensor]:
    """Return users, the table of 10 ids, and targets among the candidates."""
    generator = torch.Generator().manual_seed(seed)
    target_T = torch.randint(len(CANDIDATES), (positions,), generator=generator)
    return {
        "user_TD": l2_normalize(torch.randn(positions, 4, generator=generator), eps=1e-6).requires_grad_(),
        "item_table": l2_normalize(torch.randn(10, 4, generator=generator), eps=1e-6).requires_grad_(),
        "positive_T": CANDIDATES[target_T],
    }


def differentiate(given: dict[str, Tensor], *, adjustment_J: Tensor | None = None) -> list[Tensor]:
    """Return the losses and both gradients."""
    loss_T = full_softmax(
        **given, candidate_I=CANDIDATES, temperature=TEMPERATURE, padding_row=True, adjustment_J=adjustment_J
    )
    return [loss_T.detach(), *torch.autograd.grad(loss_T.sum(), [given["user_TD"], given["item_table"]])]


@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_the_loss_is_minus_log_of_the_positives_share_among_all_candidates(
    seed: int, has_padding_row: bool, is_adjusted: bool
) -> None:
    embeddings = make_embeddings(seed)
    adjustment_J = torch.randn(10, generator=torch.Generator().manual_seed(seed))
    found = full_softmax(
        **embeddings,
        candidate_I=CANDIDATES,
        temperature=TEMPERATURE,
        padding_row=has_padding_row,
        adjustment_J=adjustment_J if is_adjusted else None,
    )
    user_TD, table, positive_T = (embeddings[name].detach() for name in ("user_TD", "item_table", "positive_T"))
    logit_TJ = user_TD.double() @ table.double().t() / TEMPERATURE + adjustment_J * is_adjusted
    share = logit_TJ[:, CANDIDATES].exp().sum(1) + has_padding_row  # exp(0)
    expected = share.log() - logit_TJ[torch.arange(6), positive_T]
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@given(st.integers(0, 2**32 - 1))
def test_it_is_the_sampled_softmax_with_every_candidate_as_a_negative(seed: int) -> None:
    embeddings = make_embeddings(seed)
    full = full_softmax(**embeddings, candidate_I=CANDIDATES, temperature=TEMPERATURE, padding_row=False)
    sampled = sampled_softmax(**embeddings, negative_TK=CANDIDATES.expand(6, -1), temperature=TEMPERATURE)
    torch.testing.assert_close(full, sampled, rtol=1e-5, atol=1e-5)


def test_items_that_are_no_candidates_count_for_nothing() -> None:
    embeddings = make_embeddings(1)
    _, _, table_gradient = differentiate(embeddings)
    others = [item for item in range(10) if item not in CANDIDATES.tolist()]
    assert table_gradient[others].abs().max() == 0.0
    assert (table_gradient[CANDIDATES].abs().sum(1) > 0).all()


@pytest.mark.parametrize("is_adjusted", [False, True])
@pytest.mark.parametrize("positions_at_once", [1, 4, 6])
def test_logits_computed_a_second_time_give_the_same_losses_and_gradients(
    monkeypatch: pytest.MonkeyPatch, positions_at_once: int, is_adjusted: bool
) -> None:
    embeddings = make_embeddings(1)
    adjustment_J = torch.randn(10, generator=torch.Generator().manual_seed(1)) if is_adjusted else None
    kept = differentiate(embeddings, adjustment_J=adjustment_J)
    monkeypatch.setattr(losses, "LOGITS_AT_ONCE", positions_at_once * len(CANDIDATES))
    recomputed = differentiate(embeddings, adjustment_J=adjustment_J)
    for one, other in zip(kept, recomputed, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_of_many_logits_no_more_than_a_part_is_kept_for_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "LOGITS_AT_ONCE", 2 * len(CANDIDATES))
    embeddings = make_embeddings(1, positions=50)
    kept: list[int] = []

    def note(saved: Tensor) -> Tensor:
        kept.append(saved.numel())
        return saved

    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        full_softmax(**embeddings, candidate_I=CANDIDATES, temperature=TEMPERATURE, padding_row=False)
    assert max(kept, default=0) < 50 * len(CANDIDATES)


@given(st.integers(0, 2**32 - 1))
def test_an_adjustment_of_zero_changes_no_bit_of_loss_and_gradients(seed: int) -> None:
    embeddings = make_embeddings(seed)
    plain, adjusted = differentiate(embeddings), differentiate(embeddings, adjustment_J=torch.zeros(10))
    assert all(map(torch.equal, plain, adjusted))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_with_full_softmax_compares_each_event_with_the_whole_catalogue(kind: str) -> None:
    full_model = make_lively_model(make_model_recipe(kind, loss={"loss_module": "FullSoftmaxLoss"}))
    sampled_model = make_lively_model(make_model_recipe(kind))
    histories = make_histories((8, 1, 4), recipe=full_model.recipe)
    draws = draw_for(full_model, histories)
    assert draws.negative_TK is None
    everything = Draws(
        histories=histories, negative_TK=full_model.candidate_I.expand(8 + 1 + 4, -1), pool_P=None, own_BH=None
    )
    torch.testing.assert_close(
        position_losses(full_model, draws), position_losses(sampled_model, everything), rtol=1e-4, atol=1e-4
    )
