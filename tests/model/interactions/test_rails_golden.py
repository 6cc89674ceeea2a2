"""Mixture of Logits: bailuding/rails' logits, losses, gradients, steps, dropout and ranking."""

import pytest
import torch
from torch import Tensor

from hstu_preserve.evaluation.mixture_index import MixtureIndex, encode_users, make_index
from hstu_preserve.evaluation.ranking import rank_batch
from hstu_preserve.model.objective import Losses, training_losses
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import from_upstream, to_upstream
from hstu_preserve.training.optimizers import make_optimizer
from tests.model.interactions.tiny_mixtures import RailsGolden, load_rails

EXACT = 1e-5
TAGS = ("init", "random", "dropout")


@pytest.fixture
def golden() -> RailsGolden:
    return load_rails()


@pytest.fixture(params=TAGS)
def tag(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def prepare(golden: RailsGolden, tag: str, monkeypatch: pytest.MonkeyPatch) -> Recommender:
    """Return the model of a tag; with dropout, the masks that fall are the golden ones."""
    model = golden.make_model(tag, with_dropout=tag == "dropout")
    if tag == "dropout":
        golden.give_masks(monkeypatch)
        model.train()
    return model


def backpropagate(model: Recommender, golden: RailsGolden) -> Losses:
    model.zero_grad()
    losses = training_losses(model, golden.draws())
    losses.total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    return losses.detach()


def rename(golden: RailsGolden, tag: str, kind: str, model: Recommender) -> dict[str, Tensor]:
    return from_upstream(golden.group(tag, kind), model, source="golden")


def test_every_logit_is_rails(golden: RailsGolden, tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = prepare(golden, tag, monkeypatch)
    mixture, table_JD = model.mixture, model.item_table()
    assert mixture is not None
    draws, length_B = golden.draws(), golden.tensors["history_lengths"].long()
    user_T = golden.tensors["user_ids"].repeat_interleave(length_B)
    user_TD = golden.tensors[f"{tag}/user_embedding_TD"]
    positive_T = torch.cat(
        [row[1 : length + 1] for row, length in zip(draws.histories.item_BN, length_B.tolist(), strict=True)]
    )
    assert draws.negative_TK is not None
    with torch.no_grad():
        positive, _ = mixture(user_TD, user_T, table_JD[positive_T][:, None])
        negative, _ = mixture(user_TD, user_T, table_JD[draws.negative_TK])
    torch.testing.assert_close(positive.score_TX[:, 0], golden.tensors[f"{tag}/positive_logit_T"], atol=EXACT, rtol=0)
    torch.testing.assert_close(negative.score_TX, golden.tensors[f"{tag}/negative_logit_TK"], atol=EXACT, rtol=0)


def test_every_loss_and_gradient_is_rails(golden: RailsGolden, tag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = prepare(golden, tag, monkeypatch)
    losses = backpropagate(model, golden)
    assert losses.main.item() == pytest.approx(golden.tensors[f"{tag}/loss"].item(), abs=1e-6)
    assert losses.total.item() == pytest.approx(golden.tensors[f"{tag}/total_loss"].item(), abs=1e-6)
    assert losses.auxiliary.keys() == {"mi_loss", "uid_embedding_l2_norm"}
    for name, value in losses.auxiliary.items():
        assert value.item() == pytest.approx(golden.tensors[f"{tag}/aux/{name}"].item(), abs=1e-6), name
    expected = rename(golden, tag, "grad", model)
    assert {name for name, _ in model.named_parameters()} == expected.keys()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert (parameter.grad - expected[name]).norm() <= EXACT * expected[name].norm(), name


def test_the_weights_after_one_and_three_steps_are_rails(golden: RailsGolden) -> None:
    model = golden.make_model("init")
    optimizer = make_optimizer(model.recipe, model.parameters())
    for step in range(1, 4):
        backpropagate(model, golden)
        optimizer.step()
        expected = rename(golden, f"after{step}", "w", model) if step != 2 else {}
        for name, value in expected.items():
            found = model.get_parameter(name).detach()
            torch.testing.assert_close(found, value, atol=1e-6, rtol=0, msg=f"after{step} {name}")


@pytest.mark.parametrize("values_per_tile", [1, 2**22])
def test_every_user_ranks_every_item_as_rails_does(
    golden: RailsGolden, values_per_tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hstu_preserve.evaluation.mixture_index.VALUES_PER_TILE", values_per_tile)
    model, histories = golden.make_model("random"), golden.histories(with_target=False)
    with torch.no_grad():
        row_BW = encode_users(model, histories)
        index = make_index(model, model.candidate_I, max_item_id=golden.config["items"])
        assert isinstance(index, MixtureIndex)
        score_BI = index.score(row_BW)
        ranks = rank_batch(
            row_BW,
            index=index,
            seen_BS=histories.item_BN,
            target_B=golden.tensors["target_ids"].long(),
            score_chunk=2,
        )
    vector_BPA, _ = index.take_apart(row_BW)
    torch.testing.assert_close(vector_BPA, golden.tensors["eval/query_components_BPD"], atol=EXACT, rtol=0)
    torch.testing.assert_close(index.vector_IMA, golden.tensors["eval/item_components_IPD"], atol=EXACT, rtol=0)
    torch.testing.assert_close(score_BI, golden.tensors["eval/scores_BI"], atol=EXACT, rtol=0)
    assert torch.equal(score_BI.sort(dim=1, descending=True).indices + 1, golden.tensors["eval/top_ids_BI"].long())
    assert torch.equal(ranks.rank, golden.tensors["eval/rank_unseen"].long())
    assert torch.equal(ranks.rank_topk, ranks.rank)


def test_the_weights_go_back_under_rails_names(golden: RailsGolden) -> None:
    state = to_upstream(golden.make_model("init"))
    expected = golden.group("init")
    assert state.keys() - {"module._attn_mask"} == {f"module.{name}" for name in expected}
    assert all(torch.equal(state[f"module.{name}"], value) for name, value in expected.items())
