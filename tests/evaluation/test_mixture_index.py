"""Ranking under Mixture of Logits: every candidate is scored as training scores it."""

import numpy as np
import pytest
import torch
from torch import Tensor

from hstu_preserve.compute.determinism import initialization_generators
from hstu_preserve.data.batches import assemble_batch
from hstu_preserve.data.split import Part
from hstu_preserve.evaluation import mixture_index
from hstu_preserve.evaluation.mixture_index import MixtureIndex, encode_users, make_index
from hstu_preserve.evaluation.one_evaluation import evaluate_model
from hstu_preserve.evaluation.sampled_ranking import rank_sampled
from hstu_preserve.inputs.histories import to_evaluation_histories
from hstu_preserve.inputs.items import describe_items
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.interactions.mol import Mixed
from hstu_preserve.model.jagged import PLAIN_OPERATORS
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.voice import SILENT
from hstu_preserve.records.evaluation import RankingPath
from tests.evaluation.test_rank_users import CPU, EVERYBODY, load_store, rank
from tests.model.interactions.tiny_mixtures import make_mol_recipe

OPTIONS: dict[str, dict[str, Json]] = {
    "plain": {"softmax_dropout_rate": 0.2},
    "two tables, no norm": {"uid_embedding_hash_sizes": [11, 3], "dot_product_l2_norm": False, "temperature": 1.0},
    "gated items, linear pairs": {"item_hidden_dim": 8, "gating_qi_hidden_dim": -1, "uid_embedding_hash_sizes": []},
}


def make_ranker(option: str = "plain") -> Recommender:
    recipe = make_mol_recipe(OPTIONS[option], loss={"weights": {}})
    model = Recommender(recipe, describe_items(load_store(), recipe), operators=PLAIN_OPERATORS)
    initialize(model, initialization_generators(1))
    return model.eval()


def read_histories() -> Histories:
    batch = assemble_batch(load_store(), EVERYBODY, held_out_events=0, max_sequence_length=8, output_length=3)
    return to_evaluation_histories(batch, CPU)


def score_as_in_training(model: Recommender) -> Tensor:
    """Return score_BI of everybody and all candidates, as the loss would score them without dropout."""
    histories, table_JD = read_histories(), model.item_table()
    assert model.mixture is not None
    assert histories.user_B is not None
    item_BID = table_JD[model.candidate_I].expand(len(EVERYBODY), -1, -1)
    mixed: Mixed = model.mixture(model.encode_users(histories), histories.user_B, item_BID)[0]
    return mixed.score_TX


@pytest.mark.parametrize("option", OPTIONS)
@torch.no_grad()
def test_every_candidate_is_scored_as_in_training(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_ranker(option)
    expected_BI, row_BW = score_as_in_training(model), encode_users(model, read_histories())
    for values_per_tile in (1, 5_000, 2**22):
        monkeypatch.setattr(mixture_index, "VALUES_PER_TILE", values_per_tile)
        index = make_index(model, model.candidate_I, max_item_id=load_store().max_item_id)
        torch.testing.assert_close(index.score(row_BW), expected_BI, atol=1e-5, rtol=1e-5)
    column_BK = torch.arange(7).expand(len(EVERYBODY), -1)
    torch.testing.assert_close(index.score_some(row_BW, column_BK), expected_BI[:, :7], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("option", OPTIONS)
@torch.no_grad()
def test_everybodys_rank_is_counted_among_these_scores(option: str) -> None:
    model, store = make_ranker(option), load_store()
    found, score_BI = rank(model), score_as_in_training(model).numpy()
    for user in range(40):
        *history, target = store.item_ids[store.offsets[user] : store.offsets[user + 1]].tolist()
        is_seen = np.isin(store.candidate_ids, history[-8:])
        own = score_BI[user, store.candidate_ids == target]
        assert found.ranks[user] == 1 + (score_BI[user, ~is_seen] > own).sum()


@torch.no_grad()
def test_a_tile_holds_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = make_ranker(), list[int]()
    monkeypatch.setattr(mixture_index, "VALUES_PER_TILE", 4_000)
    index = make_index(model, model.candidate_I, max_item_id=load_store().max_item_id)
    assert isinstance(index, MixtureIndex)
    index.mixture.pair_gate.register_forward_hook(lambda _, given, found: sizes.append(max(len(given[0].flatten()), 0)))
    index.score(encode_users(model, read_histories()))
    assert len(sizes) > 5
    assert max(sizes) <= 4_000


@torch.no_grad()
def test_drawn_items_are_ranked_by_the_same_scores() -> None:
    model = make_ranker()
    index = make_index(model, model.candidate_I, max_item_id=load_store().max_item_id)
    row_BW = encode_users(model, read_histories())
    column_BK = torch.randint(60, (40, 21), generator=torch.Generator().manual_seed(1))
    ranks = rank_sampled(row_BW, index=index, item_BK=model.candidate_I[column_BK], tolerance=1e-6)
    score_BI = index.score(row_BW)
    score_BK, is_target_BK = score_BI.gather(1, column_BK), column_BK[:, 1:] == column_BK[:, :1]
    assert torch.equal(ranks.ties, is_target_BK.sum(1))
    assert int(ranks.ties.sum()) > 5
    gap_BK = score_BK[:, 1:] - score_BK[:, :1]
    assert float(gap_BK[~is_target_BK].abs().amin()) > 1e-4  # so that rounding moves nobody
    assert torch.equal(ranks.rank, 1 + (gap_BK > 1e-4).sum(1))


@pytest.mark.parametrize("option", OPTIONS)
@torch.no_grad()
def test_the_tolerance_covers_what_rounding_moves(option: str) -> None:
    model = make_ranker(option)
    for kind, unit in ((torch.float32, 2.0**-24), (torch.bfloat16, 2.0**-9)):
        index = make_index(model, model.candidate_I, max_item_id=load_store().max_item_id, kind=kind)
        row_BW = encode_users(model, read_histories())
        found_BI, tolerance_B = index.score(row_BW.to(kind)), index.tolerate(row_BW, 16 * unit)
        exact = make_ranker(option).double()
        expected_BI = score_as_in_training(exact)
        assert bool(((found_BI - expected_BI).abs() <= tolerance_B[:, None]).all())


def test_a_mixture_is_ranked_on_the_reference_path_whatever_is_asked() -> None:
    model, store = make_ranker(), load_store()
    records = [
        evaluate_model(model, store, part=Part.TEST, epoch=0, num_batches=None, ranking_path=path, voice=SILENT).record
        for path in (RankingPath.REFERENCE, RankingPath.GROUPED)
    ]
    assert records[0] == records[1]
    assert records[1].ranking is None
