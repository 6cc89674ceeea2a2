"""The rating of a past event joins its item: each half star by a vector of its own, an unknown one by none."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hstu_preserve.model.action_fusion import NUM_HALF_STARS, ActionFusion
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.recommender import Recommender
from tests.model.tiny_models import KINDS, make_histories, make_lively_model, make_model, make_model_recipe, mean_loss

LENGTHS = (8, 5, 1, 3)
WIDTH = 6
VISIBLE = 1e-3  # a change larger than any rounding
ROUNDING = 1e-6


def make_fusion() -> ActionFusion:
    fusion = ActionFusion(WIDTH)
    torch.nn.init.normal_(fusion.rating, generator=torch.Generator().manual_seed(0))
    return fusion


def make_lively(kind: str) -> Recommender:
    return make_lively_model(make_model_recipe(kind, action_fusion={"enabled": True}))


def rate(histories: Histories, half_star_BN: Tensor) -> Histories:
    """Return the histories with other ratings at their events."""
    is_event_BN = torch.arange(half_star_BN.shape[1]) < histories.length_B[:, None]
    return replace(histories, half_star_BN=half_star_BN * is_event_BN)


def test_a_table_of_zeros_changes_nothing() -> None:
    fusion = ActionFusion(WIDTH)
    torch.nn.init.zeros_(fusion.rating)
    embedding_BND = torch.randn(2, NUM_HALF_STARS + 1, WIDTH)
    half_star_BN = torch.arange(NUM_HALF_STARS + 1).expand(2, -1)
    assert torch.equal(fusion(embedding_BND, half_star_BN), embedding_BND)


@pytest.mark.parametrize("half_star", range(1, NUM_HALF_STARS + 1))
def test_each_half_star_adds_a_vector_of_its_own(half_star: int) -> None:
    fusion = make_fusion()
    embedding_BND = torch.randn(1, 1, WIDTH)
    fused_BND = fusion(embedding_BND, torch.tensor([[half_star]]))
    assert torch.equal(fused_BND, embedding_BND + fusion.rating[half_star])


def test_no_rating_adds_nothing_and_learns_nothing() -> None:
    fusion = make_fusion()
    assert fusion.rating[0].any()
    embedding_BND = torch.randn(1, 2, WIDTH)
    fused_BND = fusion(embedding_BND, torch.tensor([[0, 7]]))
    assert torch.equal(fused_BND[:, 0], embedding_BND[:, 0])
    (gradient,) = torch.autograd.grad(fused_BND.sum(), [fusion.rating])
    assert gradient.any(dim=1).nonzero().flatten().tolist() == [7]


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_model_is_the_base_exactly(kind: str) -> None:
    base = make_model(make_model_recipe(kind))
    fused = make_model(make_model_recipe(kind, action_fusion={"enabled": True}))
    histories = make_histories(LENGTHS, recipe=base.recipe)
    assert torch.equal(fused(histories), base(histories))
    for model in (base, fused):
        mean_loss(model, histories).backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    of_fused = dict(fused.named_parameters())
    for name, parameter in base.named_parameters():
        assert parameter.grad is not None, name
        gradient = of_fused[name].grad
        assert gradient is not None, name
        assert torch.equal(gradient, parameter.grad), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_model_learns_from_every_rating_it_reads_at_once(kind: str) -> None:
    model = make_model(make_model_recipe(kind, action_fusion={"enabled": True}))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    assert model.action_fusion is not None
    (gradient,) = torch.autograd.grad(mean_loss(model, histories), [model.action_fusion.rating])
    read = set(histories.half_star_BN.flatten().tolist()) - {0}
    assert set(gradient.any(dim=1).nonzero().flatten().tolist()) == read


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changed", [0, 4, 7])
def test_another_rating_changes_no_output_before_it(kind: str, changed: int) -> None:
    model = make_lively(kind)
    histories = make_histories(LENGTHS, recipe=model.recipe)
    half_star_BN = histories.half_star_BN.clone()
    half_star_BN[0, changed] = half_star_BN[0, changed] % NUM_HALF_STARS + 1
    change = (model(replace(histories, half_star_BN=half_star_BN)) - model(histories))[0].abs().amax(-1)
    assert (change[:changed] <= ROUNDING).all()
    assert (change[changed : LENGTHS[0]] > VISIBLE).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_rating_of_the_target_is_not_read(kind: str) -> None:
    model = make_lively(kind)
    histories = make_histories(LENGTHS, recipe=model.recipe)
    told = histories.half_star_BN.scatter(1, histories.length_B[:, None], NUM_HALF_STARS)
    torch.testing.assert_close(
        model.encode_users(replace(histories, half_star_BN=told)), model.encode_users(histories), atol=ROUNDING, rtol=0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_rating_is_added_to_the_item_before_anything_else(kind: str) -> None:
    model = make_lively(kind)
    base = make_model(make_model_recipe(kind))
    base.load_state_dict({name: value for name, value in model.state_dict().items() if "action_fusion" not in name})
    assert model.action_fusion is not None
    with torch.no_grad():
        base.item_embedding.weight += model.action_fusion.rating[9]
    histories = make_histories(LENGTHS, recipe=model.recipe, with_target=False)
    everything_liked = rate(histories, torch.full_like(histories.half_star_BN, 9))
    torch.testing.assert_close(model(everything_liked), base(histories), atol=1e-5, rtol=0)
    assert not torch.allclose(model(histories), base(histories), atol=VISIBLE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_base_reads_no_rating(kind: str) -> None:
    model = make_lively_model(make_model_recipe(kind))
    histories = make_histories(LENGTHS, recipe=model.recipe)
    assert torch.equal(model(histories), model(rate(histories, histories.half_star_BN.flip(1))))
