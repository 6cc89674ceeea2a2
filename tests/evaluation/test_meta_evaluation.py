"""Upstream's evaluation of made-up embeddings: its rank for each user, and its means."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from hstu_preserve.evaluation.metrics import compute_metrics
from hstu_preserve.evaluation.ranking import MISS, CandidateIndex, rank_batch
from hstu_preserve.evaluation.ranks import UserRanks
from hstu_preserve.model.embeddings import l2_normalize
from tests.model.meta_golden import GOLDEN


@dataclass(frozen=True, kw_only=True)
class MetaEvaluation:
    """What upstream was given and found, and what ours found."""

    given: dict[str, Tensor]
    found: UserRanks


@pytest.fixture(scope="module")
def evaluation() -> MetaEvaluation:
    with np.load(GOLDEN / "meta_eval_synthetic.npz") as arrays:
        given = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    embedding_ID = l2_normalize(given["item_table"], eps=1e-6)[given["all_item_ids"]]
    ranks = rank_batch(
        given["query"],
        index=CandidateIndex(given["all_item_ids"], embedding_ID, max_item_id=len(given["item_table"]) - 1),
        seen_BS=given["past_ids"],
        target_B=given["target_ids"].squeeze(1),
        score_chunk=None,
    )
    found = UserRanks(
        user_ids=np.arange(len(ranks.rank)),
        target_ids=given["target_ids"].squeeze(1).numpy(),
        target_half_stars=given["target_ratings"].squeeze(1).numpy() * 2,
        ranks=ranks.rank.numpy(),
        ranks_topk=ranks.rank_topk.numpy(),
        ties=ranks.ties.numpy(),
        near_ties=ranks.near_ties.numpy(),
    )
    return MetaEvaluation(given=given, found=found)


def test_every_user_without_a_near_tie_has_metas_rank(evaluation: MetaEvaluation) -> None:
    is_apart = evaluation.found.near_ties == 0
    assert (~is_apart).sum() == 3
    np.testing.assert_array_equal(evaluation.found.ranks_topk[is_apart], evaluation.given["rank"].numpy()[is_apart])


def test_a_user_with_a_near_tie_has_metas_rank_up_to_the_tie(evaluation: MetaEvaluation) -> None:
    distance = np.abs(evaluation.found.ranks_topk - evaluation.given["rank"].numpy())
    assert (distance <= evaluation.found.near_ties).all()


def test_the_golden_users_cover_hits_misses_ties_and_targets_that_cannot_be_ranked(
    evaluation: MetaEvaluation,
) -> None:
    found = evaluation.found
    assert (found.ranks == 0).sum() == 2
    assert (found.ties > 0).sum() == 3
    assert ((found.ranks > 0) & (found.ranks_topk == MISS)).any()
    assert (found.ranks_topk <= 100).any()


def test_every_mean_is_metas(evaluation: MetaEvaluation) -> None:
    metrics = compute_metrics(evaluation.found)
    expected = {
        name.removeprefix("avg/"): value.item() for name, value in evaluation.given.items() if name.startswith("avg/")
    }
    assert metrics == pytest.approx(expected, abs=1e-6)


def test_both_evaluators_agree_on_every_user_without_a_tie_up_to_the_clamp(evaluation: MetaEvaluation) -> None:
    found = evaluation.found
    is_untied = found.ties == 0
    clamped = np.where((found.ranks == 0) | (found.ranks > MISS), MISS, found.ranks)
    np.testing.assert_array_equal(clamped[is_untied], found.ranks_topk[is_untied])
