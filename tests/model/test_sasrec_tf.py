"""SASRec as published: kang205/SASRec's states, losses, gradients, steps, draws and evaluation."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from hstu_preserve.compute.determinism import initialization_generators
from hstu_preserve.errors import ContentError
from hstu_preserve.evaluation.ranking import CandidateIndex
from hstu_preserve.evaluation.sampled_ranking import rank_sampled
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.objective import training_losses
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.windowed.objective import draw_unseen
from hstu_preserve.records.recipe import BinaryCrossEntropySettings, Recipe
from hstu_preserve.records.settings.encoders import SasrecTfSettings
from hstu_preserve.training.optimizers import make_optimizer
from tests.factories import make_recipe
from tests.model.foundations_golden import Golden, give_masks, load_golden, rename_linear, rename_norm

EXACT = 1e-5
TAGS = ("init", "after3", "random")
KEY_BIAS = ".key.bias"  # cancels in the softmax: its gradient is rounding, of which Adam makes steps


@pytest.fixture
def golden() -> Golden:
    return load_golden("sasrec_tiny")


def make_sasrec_recipe(golden: Golden, *, dropout_rate: float = 0.0, embedding_l2: float | None = None) -> Recipe:
    """Return the recipe of the golden file's arguments."""
    arguments = golden.arguments
    recipe = make_recipe(
        dataset={"max_sequence_length": golden.length, "protocol": "validated"},
        training={
            "optimizer": "TensorFlowAdam",
            "user_sampling": "with_replacement",
            "learning_rate": arguments["lr"],
        },
    )
    model = SasrecTfSettings(
        kind="SASRec-TF",
        item_embedding_dim=arguments["hidden_units"],
        dropout_rate=dropout_rate,
        user_embedding_norm="none",
        gr_output_length=0,
        main_module_bf16=False,
        num_blocks=arguments["num_blocks"],
        num_heads=arguments["num_heads"],
    )
    loss = BinaryCrossEntropySettings(
        loss_module="BinaryCrossEntropyLoss",
        sampling_strategy="unseen",
        temperature=1.0,
        item_l2_norm=False,
        l2_norm_eps=1e-6,
        activation_checkpoint=False,
        interaction_module_type="DotProduct",
        weights={},
    )
    training = recipe.training.model_copy(update={"embedding_l2": embedding_l2})
    return recipe.model_copy(update={"model": model, "loss": loss, "training": training})


def rename(variables: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the reference's variables in our names and shapes."""
    ours = {
        "item_embedding.weight": variables["input_embeddings/lookup_table"],
        "encoder.position_weight": variables["dec_pos/lookup_table"],
        **rename_norm(variables, "ln", ours="encoder.output_norm"),
    }
    for block in range(sum(name.endswith("dense/kernel") for name in variables)):
        theirs, layer = f"num_blocks_{block}", f"encoder.layers.{block}"
        ours |= rename_norm(variables, f"{theirs}/ln", ours=f"{layer}.input_norm")
        ours |= rename_norm(variables, f"{theirs}/ln_1", ours=f"{layer}.attended_norm")
        for number, name in enumerate(("query", "key", "value")):
            dense = f"{theirs}/self_attention/dense{f'_{number}' if number else ''}"
            ours |= rename_linear(variables, dense, ours=f"{layer}.{name}")
        for number, name in enumerate(("expand", "contract")):
            conv = f"{theirs}/multihead_attention/conv1d{f'_{number}' if number else ''}"
            ours |= rename_linear(variables, conv, ours=f"{layer}.{name}")
    return ours


def load_model(
    golden: Golden, tag: str, *, dropout_rate: float = 0.0, embedding_l2: float | None = None
) -> Recommender:
    recipe = make_sasrec_recipe(golden, dropout_rate=dropout_rate, embedding_l2=embedding_l2)
    return golden.make_model(recipe, rename(golden.variables(tag)))


def backpropagate(model: Recommender, golden: Golden, *, batch: int = 0) -> float:
    """Return the loss of a golden batch, its gradients computed."""
    model.zero_grad()
    losses = training_losses(model, golden.batch(batch))
    losses.total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    return losses.total.item()


def require_gradients(model: Recommender, expected: dict[str, Tensor]) -> None:
    """Every gradient is within 1e-5 of its norm, but for those that are rounding noise."""
    assert {name for name, _ in model.named_parameters()} == expected.keys()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        if not name.endswith(KEY_BIAS):
            assert expected[name].norm() > 0, name
            assert (parameter.grad - expected[name]).norm() <= EXACT * expected[name].norm(), name


@pytest.mark.parametrize("tag", TAGS)
def test_the_state_after_every_event_is_the_references(golden: Golden, tag: str) -> None:
    histories = golden.window("batch0")
    with torch.no_grad():
        found_BTD = golden.to_window(load_model(golden, tag)(histories), histories.length_B)
    is_event_BT = golden.tensors["batch0/seq"] != 0
    expected_BTD = golden.tensors[f"{tag}/seq_out"]
    torch.testing.assert_close(found_BTD[is_event_BT], expected_BTD[is_event_BT], atol=EXACT, rtol=0)


def test_every_state_on_the_way_is_the_references(golden: Golden) -> None:
    model, states = load_model(golden, "random"), dict[str, Tensor]()
    for name, module in model.encoder.named_modules():
        if name.endswith("norm"):
            module.register_forward_hook(
                lambda _, given, found, name=name: states.update({f"{name} of": given[0], name: found})
            )
    with torch.no_grad():
        model(golden.window("batch0"))
    is_event_BT = golden.tensors["batch0/seq"] != 0
    names = {
        "layers.0.input_norm": "normalize_0",
        "layers.0.attended_norm of": "multihead_attention_0",
        "layers.0.attended_norm": "normalize_1",
        "layers.1.input_norm of": "feedforward_0",
        "layers.1.input_norm": "normalize_2",
        "layers.1.attended_norm of": "multihead_attention_1",
        "layers.1.attended_norm": "normalize_3",
        "output_norm of": "feedforward_1",
        "output_norm": "normalize_4",
    }
    for ours, theirs in names.items():
        expected_BTD = golden.tensors[f"random/state/{theirs}"]
        torch.testing.assert_close(states[ours][is_event_BT], expected_BTD[is_event_BT], atol=EXACT, rtol=0, msg=ours)


@pytest.mark.parametrize("tag", TAGS)
def test_the_loss_and_every_gradient_are_the_references(golden: Golden, tag: str) -> None:
    model = load_model(golden, tag)
    assert backpropagate(model, golden) == pytest.approx(golden.tensors[f"{tag}/loss"].item(), abs=1e-6)
    require_gradients(model, rename(golden.variables(tag, "grad")))


def test_dropout_falls_where_and_when_the_references_does(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(golden, "random", dropout_rate=golden.arguments["dropout_rate"]).train()
    give_masks(golden, monkeypatch)
    assert backpropagate(model, golden) == pytest.approx(golden.tensors["dropout/loss"].item(), abs=1e-6)
    require_gradients(model, rename(golden.variables("dropout", "grad")))


def test_the_weights_after_one_and_three_steps_are_the_references(golden: Golden) -> None:
    model = load_model(golden, "init")
    optimizer = make_optimizer(model.recipe, model.parameters())
    losses = []
    for batch in range(3):
        losses.append(backpropagate(model, golden, batch=batch))
        optimizer.step()
        tag = {0: "after1", 2: "after3"}.get(batch)
        expected = rename(golden.variables(tag)) if tag else {}
        for name, value in expected.items():
            if not name.endswith(KEY_BIAS):
                found = model.get_parameter(name).detach()
                torch.testing.assert_close(found, value, atol=1e-6, rtol=0, msg=f"{tag} {name}")
    assert losses == pytest.approx(golden.tensors["steps/losses"].tolist(), abs=1e-6)


@pytest.mark.parametrize("part", ["test", "valid"])
def test_the_references_candidates_rank_as_it_ranked_them(golden: Golden, part: str) -> None:
    model, name = load_model(golden, "random"), f"eval/{part}"
    candidates, expected = golden.tensors[f"{name}/candidates"].long(), golden.tensors[f"{name}/logits"]
    with torch.no_grad():
        user_BD, table_JD = model.encode_users(golden.window(name)), model.item_table()
        scores = torch.einsum("bd,bkd->bk", user_BD, table_JD[candidates])
        index = CandidateIndex(model.candidate_I, table_JD[model.candidate_I], max_item_id=table_JD.shape[0] - 1)
        ranks = rank_sampled(user_BD, index=index, item_BK=candidates)
    torch.testing.assert_close(scores, expected, atol=EXACT, rtol=0)
    lowest, theirs = ranks.rank - 1, golden.tensors[f"{name}/rank"]
    assert torch.equal(ranks.ties, golden.tensors[f"{name}/tied_with_target"].long())
    assert bool(((lowest <= theirs) & (theirs <= lowest + ranks.ties)).all())  # its sort leaves ties to chance
    assert torch.equal(lowest[ranks.ties == 0], theirs[ranks.ties == 0].long())


# What is drawn


def sample_like_the_reference(golden: Golden) -> Iterator[tuple[int, list[int], list[int], list[int]]]:
    """Yield user, input, labels and negatives as the code's sampler draws them, from its seed."""
    random = np.random.RandomState(golden.about["sampler_seed"])
    offsets, items = (golden.tensors[f"data/train_{name}"].tolist() for name in ("offsets", "items"))
    sequences = {user + 1: items[start:end] for user, (start, end) in enumerate(pairwise(offsets))}
    while True:
        user = random.randint(1, golden.about["usernum"] + 1)
        while len(sequences[user]) <= 1:
            user = random.randint(1, golden.about["usernum"] + 1)
        own = sequences[user]
        given, asked = own[:-1][-golden.length :], own[1:][-golden.length :]
        negatives = []
        for _ in asked:  # from the last position backwards
            negative = random.randint(1, golden.about["itemnum"] + 1)
            while negative in set(own):
                negative = random.randint(1, golden.about["itemnum"] + 1)
            negatives.append(negative)
        yield user, given, asked, negatives[::-1]


def test_the_references_batches_are_users_with_replacement_and_unseen_negatives(golden: Golden) -> None:
    stream = sample_like_the_reference(golden)
    for number in range(3):
        draws, users = golden.batch(number), golden.tensors[f"batch{number}/users"].tolist()
        assert draws.negative_TK is not None
        negatives = draws.negative_TK.flatten().tolist()
        for row, user in enumerate(users):
            drawn, given, asked, expected = next(stream)
            length = int(draws.histories.length_B[row])
            assert (drawn, length) == (user, len(given))
            assert draws.histories.item_BN[row, : length + 1].tolist() == [*given, asked[-1]]
            assert [negatives.pop(0) for _ in range(length)] == expected


def test_a_negative_is_uniform_over_what_is_not_the_users_own() -> None:
    own_BH = torch.tensor([[1, 2, 3, 0], [5, 9, 7, 8]])
    generator = torch.Generator().manual_seed(0)
    candidate_I = torch.arange(1, 9)
    found = draw_unseen(candidate_I, length_B=torch.tensor([3000, 6000]), own_BH=own_BH, generator=generator)
    assert found.shape == (9000, 1)
    for own, drawn in ((own_BH[0], found[:3000]), (own_BH[1], found[3000:])):
        counts = torch.bincount(drawn.flatten(), minlength=9)
        allowed = [item for item in range(1, 9) if item not in own.tolist()]
        assert counts.nonzero().flatten().tolist() == allowed
        assert (counts[allowed] / len(drawn) - 1 / len(allowed)).abs().max() < 0.03


def test_a_user_who_has_every_candidate_is_refused() -> None:
    own_BH = torch.tensor([[1, 2, 3, 4]])
    with pytest.raises(ContentError, match=r"^train_fn\.sampling_strategy 'unseen': .* all 4 candidates"):
        draw_unseen(torch.arange(1, 5), length_B=torch.tensor([2]), own_BH=own_BH, generator=torch.Generator())


# What no golden file has


def test_the_norm_of_the_tables_joins_the_loss(golden: Golden) -> None:
    plain, penalised = load_model(golden, "random"), load_model(golden, "random", embedding_l2=0.01)
    loss = backpropagate(plain, golden)
    tables = [penalised.get_parameter(name) for name in ("item_embedding.weight", "encoder.position_weight")]
    expected = loss + 0.01 * sum(table.square().sum().item() for table in tables)
    assert backpropagate(penalised, golden) == pytest.approx(expected, rel=1e-6)
    gradient = penalised.item_embedding.weight.grad
    assert gradient is not None
    torch.testing.assert_close(gradient[0], 0.02 * penalised.item_embedding.weight.detach()[0])


def test_no_state_sees_a_later_event_or_another_user(golden: Golden) -> None:
    model, histories = load_model(golden, "random"), golden.window("batch0")
    with torch.no_grad():
        before = model(histories)
        user, place = 0, int(histories.length_B[0]) - 1
        histories.item_BN[user, place] = histories.item_BN[user, place] % 100 + 1
        change_BN = (model(histories) - before).abs().amax(2)
    assert change_BN[user, place] > 1e-3
    change_BN[user, place] = 0
    assert not change_BN.any()


def test_a_fresh_model_has_tensorflows_distributions(golden: Golden) -> None:
    model = golden.make_model(make_sasrec_recipe(golden), rename(golden.variables("init")))
    initialize(model, initialization_generators(1))
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            assert bool((parameter == 1).all()), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
        else:
            bound = (6 / sum(parameter.shape)) ** 0.5
            assert parameter.abs().max() <= bound, name
            assert parameter.std().item() == pytest.approx(bound / 3**0.5, rel=0.25), name
