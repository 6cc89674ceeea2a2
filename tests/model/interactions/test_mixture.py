"""Mixture of Logits against its formulas, stated once more pair by pair, in options that no golden file has."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from hstu_preserve.evaluation.mixture_index import encode_users, make_index
from hstu_preserve.model.interactions.mol import MixtureOfLogits
from hstu_preserve.model.interactions.objective import MixtureTerms, measure_uid_norm, measure_usage
from hstu_preserve.model.objective import training_losses
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.shares import WHOLE
from hstu_preserve.model.upstream_weights import to_upstream
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.settings.interactions import MolSettings
from tests.model.interactions.tiny_mixtures import make_mol_recipe
from tests.model.tiny_models import draw_for, make_histories, make_lively_model

RATES: dict[str, Json] = {
    "query_dropout_rate": 0.1,
    "uid_dropout_rate": 0.5,
    "item_dropout_rate": 0.2,
    "softmax_dropout_rate": 0.3,
    "gating_item_dropout_rate": 0.4,
    "gating_qi_dropout_rate": 0.25,
}
OPTIONS: dict[str, dict[str, Json]] = {
    "plain": {},
    "two tables, geglu": {"uid_embedding_hash_sizes": [11, 3], "query_nonlinearity": "geglu", "eps": 0.5},
    "no table, linear pairs": {"uid_embedding_hash_sizes": [], "gating_qi_hidden_dim": 0},
    "gated items, linear queries": {"item_hidden_dim": 8, "query_hidden_dim": -1, "item_dot_product_groups": 3},
    "swiglu items, no norm": {
        "item_hidden_dim": 4,
        "item_nonlinearity": "swiglu",
        "dot_product_l2_norm": False,
        "temperature": 2.0,
    },
    "every rate": {"uid_embedding_hash_sizes": [5, 7], **RATES},
    "whole vectors": {"uid_embedding_level_dropout": True, **RATES},
}
QUERY, ITEM = "_query_embeddings_fn._query_emb_proj_module", "_item_embeddings_fn._item_emb_proj_module"
GATE = "_gating_fn._{}_partial_module"


def activate(x: Tensor, nonlinearity: str) -> Tensor:
    if nonlinearity == "swiglu":
        return x / (1 + (-x).exp())
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


class Restated:
    """Scores of one call, each made by itself in double precision from weights under rails' names."""

    def __init__(self, model: Recommender, masks: list[Tensor]) -> None:
        state, prefix = to_upstream(model), "module._ndp_module."
        self.w = {
            name.removeprefix(prefix): value.double().requires_grad_()
            for name, value in state.items()
            if name.startswith(prefix)
        }
        assert model.recipe.mol is not None
        self.mol: MolSettings = model.recipe.mol
        self.masks: Iterator[Tensor] = iter(masks)
        self.is_training = model.training

    def take(self, x: Tensor, rate: float) -> Tensor:
        if rate == 0 or not self.is_training:
            return x
        mask = next(self.masks)
        return x * (mask if mask.shape == x.shape else mask[..., None]) / (1 - rate)

    def linear(self, x: Tensor, name: str) -> Tensor:
        bias = self.w.get(f"{name}.bias")
        return x @ self.w[f"{name}.weight"].T + (0 if bias is None else bias)

    def project(self, x: Tensor, name: str, *, hidden: int, nonlinearity: str) -> Tensor:
        if hidden <= 0:
            return self.linear(x, f"{name}.1")
        both = x @ self.w[f"{name}.1._w"] + self.w[f"{name}.1._b"]
        return self.linear(activate(both[..., :hidden], nonlinearity) * both[..., hidden:], f"{name}.2")

    def gate(self, x: Tensor, name: str, *, first: int, hidden: int) -> Tensor:
        module = GATE.format(name)
        if hidden <= 0:
            return self.linear(x, f"{module}.{first}")
        return self.linear(activate(self.linear(x, f"{module}.{first}"), "swiglu"), f"{module}.{first + 2}")

    def norm(self, vectors: Tensor) -> Tensor:
        if not self.mol.dot_product_l2_norm:
            return vectors
        return vectors / vectors.square().sum(-1, keepdim=True).clamp(min=self.mol.eps**2).sqrt()

    def score(self, user_TE: Tensor, user_T: Tensor, item_TXE: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the scores, the mixture's weights, and the mean squared norm of the users' own vectors."""
        mol, d = self.mol, self.mol.dot_product_dimension
        q = self.project(
            self.take(user_TE, mol.query_dropout_rate),
            QUERY,
            hidden=mol.query_hidden_dim,
            nonlinearity=mol.query_nonlinearity,
        )
        queries = list(torch.split(q, d, dim=1))
        norms = []
        for number, size in enumerate(mol.uid_embedding_hash_sizes):
            row = self.w[f"_query_embeddings_fn._uid_embeddings_{number}.weight"][user_T % size + 1]
            norms.append(row.square().sum(1).mean())
            queries.append(self.take(row, mol.uid_dropout_rate))
        k = self.project(
            self.take(item_TXE, mol.item_dropout_rate),
            ITEM,
            hidden=mol.item_hidden_dim,
            nonlinearity=mol.item_nonlinearity,
        )
        products = [
            (self.norm(query)[:, None] * self.norm(item)).sum(-1) / mol.temperature
            for query in queries
            for item in torch.split(k, d, dim=2)
        ]
        c = torch.stack(products, dim=2)
        gq = self.gate(user_TE, "query_only", first=0, hidden=mol.gating_query_hidden_dim)
        gi = self.gate(
            self.take(item_TXE, mol.gating_item_dropout_rate),
            "item_only",
            first=1,
            hidden=mol.gating_item_hidden_dim,
        )
        gqi = self.gate(self.take(c, mol.gating_qi_dropout_rate), "qi", first=1, hidden=mol.gating_qi_hidden_dim)
        g = activate(gq[:, None] * gi + gqi, "swiglu")
        w = g.exp() / g.exp().sum(-1, keepdim=True)
        if mol.softmax_dropout_rate:
            w = self.take(w, mol.softmax_dropout_rate)
            w = w / w.sum(-1, keepdim=True).clamp(min=1e-6)
        return (w * c).sum(-1), w, torch.stack(norms).sum() if norms else None


def record_masks(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Return the masks that fall from now on, in their order; nothing is drawn for a rate of 0."""
    masks: list[Tensor] = []
    draw = torch.rand

    def drop(x: Tensor, rate: float, training: bool) -> Tensor:
        if not training or not rate:
            return x
        masks.append(draw(x.shape) >= rate)
        return x * masks[-1] / (1 - rate)

    def draw_level(shape: torch.Size, *, device: torch.device) -> Tensor:
        share = draw(shape, device=device)
        masks.append(share > float(str(RATES["uid_dropout_rate"])))
        return share

    monkeypatch.setattr(torch.nn.functional, "dropout", drop)
    monkeypatch.setattr(torch, "rand", draw_level)
    return masks


def make_mixture(option: str, *, seed: int) -> Recommender:
    model = make_lively_model(make_mol_recipe(OPTIONS[option], loss={"weights": {}}), seed=seed)
    assert isinstance(model.mixture, MixtureOfLogits)
    return model


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("training", [False, True])
def test_scores_and_gradients_are_the_formulas(option: str, training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    model = make_mixture(option, seed=len(option)).train(training)
    mixture = model.mixture
    assert mixture is not None
    user_TE = torch.randn(5, 8).requires_grad_()
    user_T, item_TXE = torch.tensor([0, 3, 11, 10**9, 5]), torch.randn(5, 6, 8)
    masks = record_masks(monkeypatch)
    mixed, queries = mixture(user_TE, user_T, item_TXE)
    restated = Restated(model, masks)
    user = user_TE.detach().double().requires_grad_()
    score_TX, w, norm = restated.score(user, user_T, item_TXE.double())
    assert next(restated.masks, None) is None
    torch.testing.assert_close(mixed.score_TX.double(), score_TX, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(mixed.weight_TXL.double(), w, atol=1e-4, rtol=0)
    terms = MixtureTerms(weight_TL=mixed.weight_TXL[:, 0], uid_norm_T=queries.uid_norm_T)
    if norm is not None:
        torch.testing.assert_close(measure_uid_norm(terms, share=WHOLE).double(), norm)
    p = w[:, 0].mean(0)
    usage = (p * (p + 1e-6).log()).sum() - (w[:, 0] * (w[:, 0] + 1e-6).log()).sum() / len(w)
    torch.testing.assert_close(measure_usage(terms, share=WHOLE).double(), usage, atol=1e-4, rtol=0)
    (mixed.score_TX.square().sum() + measure_usage(terms, share=WHOLE)).backward()
    (score_TX.square().sum() + usage).backward()  # type: ignore[no-untyped-call]
    require_close(user_TE.grad, user.grad, "user")
    for name, value in to_upstream_gradients(model).items():
        require_close(value, restated.w[name].grad, name)


def to_upstream_gradients(model: Recommender) -> dict[str, Tensor]:
    """Return the mixture's gradients under rails' names."""
    for parameter in model.parameters():
        parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    prefix = "module._ndp_module."
    return {name.removeprefix(prefix): value for name, value in to_upstream(model).items() if name.startswith(prefix)}


def require_close(found: Tensor | None, expected: Tensor | None, name: str) -> None:
    assert found is not None
    assert expected is not None
    assert expected.norm() > 0, name
    assert (found.double() - expected).norm() <= 1e-4 * expected.norm(), name


def test_the_users_side_drops_anew_for_the_negatives(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_lively_model(make_mol_recipe(RATES, model={"dropout_rate": 0.0, "linear_dropout_rate": 0.0})).train()
    histories = make_histories((3, 5), recipe=model.recipe)
    masks = record_masks(monkeypatch)
    training_losses(model, draw_for(model, histories))
    positives, negatives = masks[:6], masks[6:]
    assert len(negatives) == 6
    assert [mask.shape[0] for mask in masks] == [8] * 12
    assert not torch.equal(positives[0], negatives[0])
    assert [mask.shape[1] for mask in negatives[2:]] == [4] * 4


def test_ids_of_one_remainder_share_a_vector_and_the_first_row_is_never_read() -> None:
    model = make_mixture("plain", seed=1)
    mixture = model.mixture
    assert mixture is not None
    user_TE = torch.randn(1, 8).expand(3, 8)
    queries = mixture.make_queries(user_TE, torch.tensor([11, 22, 12]))
    same, other = ((queries.vector_TPA[0] - queries.vector_TPA[user]).detach() for user in (1, 2))
    assert float(same.abs().amax()) < 1e-6
    assert float(other[:-1].abs().amax()) < 1e-6
    assert float(other[-1].abs().amax()) > 0.1
    with torch.no_grad():
        mixture.get_parameter("uid.0.weight")[0] = torch.nan
    assert bool(mixture.make_queries(torch.randn(11, 8), torch.arange(11)).vector_TPA.isfinite().all())


def test_activation_checkpoints_change_nothing() -> None:
    for rates in ({}, RATES):
        losses = []
        for is_checkpointed in (False, True):
            loss: dict[str, Json] = {"activation_checkpoint": is_checkpointed}
            model = make_lively_model(make_mol_recipe(rates, loss=loss)).train()
            histories = make_histories((3, 5), recipe=model.recipe)
            torch.manual_seed(5)
            found = training_losses(model, draw_for(model, histories))
            found.total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
            losses.append(
                (found.total.item(), *(p.grad.norm().item() for p in model.parameters() if p.grad is not None))
            )
        assert losses[0] == losses[1]


def test_a_mixture_of_bfloat16_trains_and_ranks() -> None:
    model = make_lively_model(make_mol_recipe(RATES, model={"main_module_bf16": True})).train()
    histories = make_histories((3, 5), recipe=model.recipe)
    losses = training_losses(model, draw_for(model, histories))
    losses.total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    assert bool(losses.total.isfinite())
    model.eval()
    with torch.no_grad():
        index = make_index(model, model.candidate_I, max_item_id=40)
        assert index.score(encode_users(model, histories)).dtype == torch.bfloat16
