"""Users encoded in groups, held against the model by itself: every component that a published recipe uses."""

import pytest
import torch

from hstu_preserve.model.histories import Histories
from hstu_preserve.model.hstu import bucket_time_gaps
from hstu_preserve.model.last_state import encoding, pairs
from hstu_preserve.model.last_state.encoding import LastStateEncoder, is_grouped
from hstu_preserve.model.last_state.pairs import bucket_in_place
from hstu_preserve.primitives.json_values import Json
from tests.model.tiny_models import KINDS, make_histories, make_lively_model, make_model_recipe

Changes = dict[str, dict[str, Json]]
LENGTHS = (1, 8, 3, 3, 7, 1, 5, 8)
LEARNED: Changes = {"input_compression": {"pooling": "learned"}}
COMPONENTS: dict[str, Changes] = {
    "BASE": {},
    "two heads": {"model": {"num_heads": 2, "dqk": 4, "dv": 4}},
    "one block": {"model": {"num_blocks": 1}},
    "three blocks": {"model": {"num_blocks": 3}},
    "u beside attention": {"model": {"concat_ua": True}},
    "layer norm of users": {"model": {"user_embedding_norm": "layer_norm"}},
    "no activation": {"model": {"linear_activation": "none"}},
    "real length": {"model": {"attention_normalization": "real_length"}},
    "PRISM additive": {"prism": {}},
    "PRISM FiLM": {"prism": {"variant": "film"}},
    "PRISM MoE": {"prism": {"variant": "moe"}},
    "PRISM of all items": {"prism": {"apply_to": "shared"}},
    "PRISM of all items, ratings": {"prism": {"apply_to": "shared"}, "action_fusion": {}},
    "compression": {"input_compression": {}},
    "compression by category": {"input_compression": {"pooling": "category"}},
    "decay": {"time_decay": {}},
    "decay per layer": {"time_decay": {"per_layer": True}, "model": {"num_heads": 2, "dqk": 4, "dv": 4}},
    "decay at one rate": {"time_decay": {"learnable": False}},
    "decay of tokens": {"time_decay": {"where": "pool"}, "input_compression": {}},
    "ratings": {"action_fusion": {}},
    "iter8-exp4-SOTA": {"prism": {}, "input_compression": {}, "time_decay": {}},
}


def compare(changes: Changes, *, histories: Histories | None = None, kind: str = "HSTU") -> None:
    recipe = make_model_recipe(kind, **changes)
    model = make_lively_model(recipe)
    given = histories or make_histories(LENGTHS, recipe=recipe, with_target=False)
    with torch.no_grad():
        expected, found = model.encode_users(given), LastStateEncoder(model).encode(given)
    assert found.shape == expected.shape
    assert len(torch.unique(expected, dim=0)) == len(expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("changes", COMPONENTS.values(), ids=COMPONENTS.keys())
def test_every_component_gives_the_users_of_the_model_by_itself(changes: Changes) -> None:
    assert is_grouped(make_lively_model(make_model_recipe("HSTU", **changes)))
    compare(changes)


@pytest.mark.parametrize("kind", ["SASRec"])
def test_another_encoder_encodes_as_it_does_by_itself(kind: str) -> None:
    assert kind in KINDS
    assert not is_grouped(make_lively_model(make_model_recipe(kind)))
    compare({}, kind=kind)


def test_tokens_that_hide_events_are_encoded_by_the_model_itself() -> None:
    assert not is_grouped(make_lively_model(make_model_recipe("HSTU", **LEARNED)))
    compare(LEARNED)


@pytest.mark.parametrize(("queries", "values"), [(1, 1), (2, 40), (3, 2**18), (64, 100)])
@pytest.mark.parametrize("name", ["two heads", "decay per layer", "real length", "compression"])
def test_neither_tiles_nor_groups_change_a_user(
    name: str, queries: int, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "QUERIES_PER_TILE", queries)
    monkeypatch.setattr(encoding, "VALUES_PER_TILE", values)
    compare(COMPONENTS[name])


@pytest.mark.parametrize("factor", [1, 0, 10**4, -1])
def test_times_of_one_second_of_centuries_and_that_fall_are_the_models(factor: int) -> None:
    recipe = make_model_recipe("HSTU")
    histories = make_histories(LENGTHS, recipe=recipe, with_target=False)
    time_BN = (histories.time_BN - 1_700_000_000) * factor * (histories.time_BN != 0)
    compare(
        {},
        histories=Histories(
            length_B=histories.length_B,
            item_BN=histories.item_BN,
            time_BN=time_BN,
            half_star_BN=histories.half_star_BN,
        ),
    )


def test_buckets_are_the_models_for_gaps_up_to_2_to_the_40() -> None:
    near = torch.cat([torch.arange(2**12), (torch.arange(0, 41, 0.01, dtype=torch.float64).exp2()).long()])
    gap = torch.cat([near, near + 1, near - 1, -near])
    time_BN = torch.stack([torch.zeros_like(gap), gap], dim=1)  # two events; the last query's keys are both
    expected = bucket_time_gaps(time_BN)[:, 1, 0]
    assert torch.equal(bucket_in_place(gap.float()), expected)
