"""What is drawn and ranked with the foundations: the references' batches, candidates, times and ranks."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch

from hstu_preserve.data.batches import assemble_batch
from hstu_preserve.data.own_times import count_own_units, tell_times
from hstu_preserve.data.split import Part, find_evaluated_users
from hstu_preserve.errors import ContentError
from hstu_preserve.evaluation.kinds import list_excluded
from hstu_preserve.evaluation.ranking import CandidateIndex, rank_batch
from hstu_preserve.evaluation.sampled_ranking import rank_sampled
from hstu_preserve.inputs.histories import to_evaluation_histories
from hstu_preserve.model.histories import Histories
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.windowed.objective import draw_unseen
from hstu_preserve.model.windowed.tisasrec import measure_intervals
from hstu_preserve.records.evaluation_kind import EvaluationKind
from tests.model.foundation_models import EXACT, load_model, make_foundation_recipe
from tests.model.foundations_golden import Golden, load_golden

HELD_OUT = {"test": 0, "valid": 1}
KINDS = {"sasrec": EvaluationKind.SAMPLED_UNSEEN, "tisasrec": EvaluationKind.SAMPLED_UNKNOWN}
SAMPLED = ("sasrec_tiny", "tisasrec_tiny")
FULL = ("fparec_tiny", "parec_tiny", "fparec_per_block_tiny")
each_part = pytest.mark.parametrize("part", HELD_OUT)


@pytest.fixture(params=SAMPLED)
def golden(request: pytest.FixtureRequest) -> Golden:
    return load_golden(request.param)


def assemble(golden: Golden, part: str) -> Histories:
    """Return the users who are evaluated on a part, from the file's own lines as a model is given them."""
    recipe, sequences = make_foundation_recipe(golden), golden.read_rows()
    users = golden.tensors[f"eval/{part}/users"].numpy() - 1
    batch = assemble_batch(
        tell_times(sequences, recipe),
        users,
        held_out_events=HELD_OUT[part],
        max_sequence_length=golden.length,
        output_length=1,
    )
    return to_evaluation_histories(batch, torch.device("cpu"))


def make_index(model: Recommender) -> CandidateIndex:
    table_JD = model.item_table()
    return CandidateIndex(model.candidate_I, table_JD[model.candidate_I], max_item_id=len(table_JD) - 1)


# What is ranked


@each_part
def test_the_references_candidates_rank_as_it_ranked_them(golden: Golden, part: str) -> None:
    model, name = load_model(golden, "random"), f"eval/{part}"
    candidates, expected = golden.tensors[f"{name}/candidates"].long(), golden.tensors[f"{name}/logits"]
    with torch.no_grad():
        user_BD = model.encode_users(assemble(golden, part))
        scores = torch.einsum("bd,bkd->bk", user_BD, model.item_table()[candidates])
        ranks = rank_sampled(user_BD, index=make_index(model), item_BK=candidates)
    torch.testing.assert_close(scores, expected, atol=EXACT, rtol=0)
    lowest, theirs = ranks.rank - 1, golden.tensors[f"{name}/rank"]
    assert torch.equal(ranks.ties, golden.tensors[f"{name}/tied_with_target"].long())
    assert bool(((lowest <= theirs) & (theirs <= lowest + ranks.ties)).all())  # its sort leaves ties to chance
    assert torch.equal(lowest[ranks.ties == 0], theirs[ranks.ties == 0].long())


@each_part
@pytest.mark.parametrize("file", FULL)
def test_all_items_rank_as_fparec_ranked_them(file: str, part: str) -> None:
    golden, name = load_golden(file), f"eval/{part}"
    model, target_B = load_model(golden, "random"), golden.tensors[f"{name}/target"].long()
    with torch.no_grad():
        user_BD, index = model.encode_users(assemble(golden, part)), make_index(model)
        ranks = rank_batch(
            user_BD, index=index, seen_BS=torch.zeros(len(user_BD), 1).long(), target_B=target_B, score_chunk=None
        )
    score_BI = user_BD @ index.embedding_DI
    torch.testing.assert_close(score_BI, golden.tensors[f"{name}/logits"], atol=EXACT, rtol=0)
    assert torch.equal(ranks.rank.clamp(max=101), golden.tensors[f"{name}/rank"].long())
    best = model.candidate_I[score_BI.topk(100).indices]
    assert torch.equal(best, golden.tensors[f"{name}/top100_items"].long())


@pytest.mark.parametrize("file", [*SAMPLED, *FULL])
def test_whoever_the_reference_evaluates_is_evaluated(file: str) -> None:
    golden = load_golden(file)
    dataset = make_foundation_recipe(golden).dataset.model_copy(update={"short_histories": "train"})
    for part, ours in (("test", "test"), ("valid", "validation")):
        users = find_evaluated_users(golden.read_rows(), dataset, part=Part(ours))
        assert (users + 1).tolist() == golden.tensors[f"eval/{part}/users"].tolist()


# Times of TiSASRec


def test_times_are_the_references_over_the_whole_sequence_of_each_user() -> None:
    golden = load_golden("tisasrec_tiny")
    sequences = golden.read_rows()
    counted = np.split(count_own_units(sequences), sequences.offsets[1:-1])
    parts = ["train", "valid", "test"]
    theirs = [split_by_user(golden, part, "times") for part in parts]
    items = [split_by_user(golden, part, "items") for part in parts]
    for user, own in enumerate(np.split(sequences.item_ids, sequences.offsets[1:-1])):
        assert own.tolist() == [item for part in items for item in part[user]]
        assert counted[user].tolist() == [time for part in theirs for time in part[user]]


def split_by_user(golden: Golden, part: str, what: str) -> list[list[int]]:
    offsets, values = (golden.tensors[f"data/{part}_{name}"].tolist() for name in ("offsets", what))
    return [values[start:end] for start, end in pairwise(offsets)]


@pytest.mark.parametrize("name", ["batch0", "batch1", "batch2", "eval/test", "eval/valid"])
def test_intervals_are_the_references(name: str) -> None:
    golden = load_golden("tisasrec_tiny")
    histories = assemble(golden, name[5:]) if name.startswith("eval") else golden.window(name)
    time_BT = golden.to_window(histories.time_BN[..., None], histories.length_B).squeeze(2)
    found = measure_intervals(time_BT, time_span=golden.arguments["time_span"])
    assert torch.equal(found, golden.tensors[f"{name}/time_matrix"].long())


# What is drawn


def sample_like_the_reference(golden: Golden) -> Iterator[tuple[int, list[int], list[int], list[int]]]:
    """Yield user, input, labels and negatives as the code's sampler draws them, from its seed."""
    random = np.random.RandomState(golden.about["sampler_seed"])
    sequences = dict(enumerate(split_by_user(golden, "train", "items"), start=1))
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


@each_part
def test_the_references_candidates_are_drawn_outside_what_we_exclude(golden: Golden, part: str) -> None:
    name = f"eval/{part}"
    users = golden.tensors[f"{name}/users"].numpy() - 1
    excluded = list_excluded(
        make_foundation_recipe(golden),
        KINDS[golden.about["system"]],
        golden.read_rows(),
        users,
        held_out_events=HELD_OUT[part],
    )
    random = np.random.RandomState(int(golden.tensors[f"{name}/numpy_seed"]))
    for own, expected in zip(excluded, golden.tensors[f"{name}/candidates"].tolist(), strict=True):
        for drawn in expected[1:]:
            candidate = random.randint(1, golden.about["itemnum"] + 1)
            while candidate in own:
                candidate = random.randint(1, golden.about["itemnum"] + 1)
            assert candidate == drawn


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
