"""What is drawn for SASRec and TiSASRec: the reference's batches and candidates, and unseen negatives of ours."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch

from hstu_preserve.errors import ContentError
from hstu_preserve.evaluation.ranking import CandidateIndex
from hstu_preserve.evaluation.sampled_ranking import rank_sampled
from hstu_preserve.model.windowed.objective import draw_unseen
from tests.model.foundation_models import EXACT, load_model
from tests.model.foundations_golden import Golden, load_golden


@pytest.fixture
def golden() -> Golden:
    return load_golden("sasrec_tiny")


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
