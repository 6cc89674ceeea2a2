"""Other people's evaluators read an export of ranks, and compute our figures from it."""

import json
from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.errors import ContentError
from hstu_preserve.evaluation.metrics import compute_metrics
from hstu_preserve.evaluation.ranking import MISS
from hstu_preserve.evaluation.ranks import UserRanks
from hstu_preserve.evaluation.trec import TrecPaths, name_files, write_trec


def make_ranks(places: list[int], *, users: list[int] | None = None) -> UserRanks:
    """Return ranks of users whose held-out items have these places."""
    ranks = np.array(places, dtype=np.int64)
    zeros = np.zeros_like(ranks)
    return UserRanks(
        user_ids=np.array(users or range(1, len(places) + 1), dtype=np.int64),
        target_ids=np.arange(len(places), dtype=np.int64) * 7 + 1,
        target_half_stars=zeros + 8,
        ranks=ranks,
        ranks_topk=np.where((ranks > 0) & (ranks < MISS), ranks, MISS),
        ties=zeros,
        near_ties=zeros,
    )


@pytest.fixture
def ranks() -> UserRanks:
    drawn = np.random.default_rng(7).geometric(0.05, size=500)
    return make_ranks([0, 1, 10, 11, MISS, 5000, *(int(one) for one in drawn)])


@pytest.fixture
def paths(tmp_path: Path, ranks: UserRanks) -> TrecPaths:
    paths = name_files(tmp_path / "x")
    write_trec(paths, ranks)
    return paths


def test_a_user_has_a_line_for_each_place_down_to_the_target_and_never_more_than_ten(tmp_path: Path) -> None:
    paths = name_files(tmp_path / "x")
    write_trec(paths, make_ranks([2, 0, 1]))
    assert paths.qrels.read_text().splitlines() == ["1 0 1 1", "2 0 8 1", "3 0 15 1"]
    lines = [line.split() for line in paths.run.read_text().splitlines()]
    assert lines[:2] == [
        ["1", "Q0", "filler-1", "1", "10", "hstu-preserve"],
        ["1", "Q0", "1", "2", "9", "hstu-preserve"],
    ]
    assert [line[2] for line in lines if line[0] == "2"] == [f"filler-{place}" for place in range(1, 11)]
    assert lines[-1] == ["3", "Q0", "15", "1", "10", "hstu-preserve"]


def test_a_user_who_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="occurs twice"):
        write_trec(name_files(tmp_path / "x"), make_ranks([1, 2], users=[5, 5]))
    assert not list(tmp_path.iterdir())


def test_ir_measures_computes_our_figures(paths: TrecPaths, ranks: UserRanks) -> None:
    measures = pytest.importorskip("ir_measures", reason="the extra 'test' has it")
    found = measures.calc_aggregate(
        [measures.nDCG @ 10, measures.Success @ 10, measures.nDCG @ 1],
        measures.read_trec_qrels(str(paths.qrels)),
        measures.read_trec_run(str(paths.run)),
    )
    own = compute_metrics(ranks)
    assert found[measures.nDCG @ 10] == pytest.approx(own["ndcg@10"], abs=1e-12)
    assert found[measures.Success @ 10] == pytest.approx(own["hr@10"], abs=1e-12)
    assert found[measures.nDCG @ 1] == pytest.approx(own["ndcg@1"], abs=1e-12)


@pytest.mark.slow  # numba compiles for minutes
@pytest.mark.filterwarnings("ignore::Warning")  # of its own casts
def test_ranx_computes_our_figures(paths: TrecPaths, ranks: UserRanks) -> None:
    ranx = pytest.importorskip("ranx", reason="the extra 'readers' has it")
    qrels = ranx.Qrels.from_file(str(paths.qrels), kind="trec")
    run = ranx.Run.from_file(str(paths.run), kind="trec")
    found = ranx.evaluate(qrels, run, ["ndcg@10", "hit_rate@10"])
    own = compute_metrics(ranks)
    assert float(found["ndcg@10"]) == pytest.approx(own["ndcg@10"], abs=1e-12)
    assert float(found["hit_rate@10"]) == pytest.approx(own["hr@10"], abs=1e-12)


def test_the_sample_is_exported_as_two_new_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["export", "sample", "--format", "trec", "--output", str(tmp_path / "sample"), "--json"]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["path"], result["qrels"]) == (str(tmp_path / "sample.run"), str(tmp_path / "sample.qrels"))
    targets = dict(line.split()[::2] for line in (tmp_path / "sample.qrels").read_text().splitlines())
    lines = [line.split() for line in (tmp_path / "sample.run").read_text().splitlines()]
    gains = [1 / np.log2(int(line[3]) + 1) for line in lines if targets[line[0]] == line[2]]
    assert len(targets) == 500
    assert sum(gains) / 500 == pytest.approx(0.2840198939238812, abs=1e-12)
    assert main(arguments) == 2
    (tmp_path / "sample.run").unlink()
    assert main(arguments) == 2
    assert not (tmp_path / "sample.run").exists()
