"""`compare`: nine real runs give scipy's figures; what cannot be compared is refused."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from hstu_preserve.bundle.layout import METRICS, RANKS, RUN_RECORD, STEPS
from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.cli.main import main
from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.evaluation.metrics import gain
from hstu_preserve.evaluation.ranks import read_ranks, write_ranks
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.studies.results import ComparedRecipe, Comparison
from hstu_preserve.verbs.compare import compare
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.pack import pack
from hstu_preserve.verbs.train import train, train_seeds
from tests.corpus.legacy.generators import ARCHIVE_NAME, build, read_cases
from tests.runs.tiny_run import tiny_gin

GIN = tiny_gin(sampling_strategy="local", learning_rate=0.01, num_epochs=1, local_batch_size=32)
CHANGES = {
    "base": (),
    "narrow": ("train_fn.item_embedding_dim = 4",),
    "slow": ("train_fn.learning_rate = 0.001",),
}
"""Three recipes by what is changed of the first one."""
SEEDS = (42, 43, 44)
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    (folder / "mine.gin").write_text(GIN)
    synthesize_data(seed=5, num_users=80, num_items=120, num_ratings=2000, output=folder / "store")
    for name, settings in CHANGES.items():
        train_seeds(
            folder / "mine.gin",
            num_seeds=len(SEEDS),
            data=folder / "store",
            settings=settings,
            device="cpu",
            output=folder / name,
        )
    return folder


def read_values(study: Path, metric: str = "ndcg@10") -> list[float]:
    found = [(study / f"seed-{seed}" / METRICS).read_bytes() for seed in SEEDS]
    return [ResultsRecord.from_json(content, source=METRICS).final.value_of(metric) for content in found]


def read_scores(study: Path) -> np.ndarray:
    ranks = [read_ranks(study / f"seed-{seed}" / RANKS, source=RANKS).ranks_topk for seed in SEEDS]
    return np.stack([gain(one, 10) for one in ranks])


@pytest.fixture(scope="module")
def comparison(studies: Path) -> Comparison:
    return compare(*(studies / name for name in CHANGES))


def find(comparison: Comparison, word: str) -> ComparedRecipe:
    (found,) = [one for one in comparison.recipes if word in one.name]
    return found


def test_nine_runs_are_three_recipes_of_three_seeds(comparison: Comparison) -> None:
    assert comparison.baseline == comparison.recipes[0].name == "mine"
    assert {one.name for one in comparison.recipes} == {
        "mine",
        "mine (train_fn.item_embedding_dim = 4)",
        "mine (train_fn.learning_rate = 0.001)",
    }
    assert [tuple(run.seed for run in one.runs) for one in comparison.recipes] == [SEEDS] * 3
    assert find(comparison, "learning_rate").settings == {"train_fn.learning_rate": "0.001"}
    assert comparison.notes == ()


def test_the_difference_over_seeds_is_scipys_ttest_rel_and_holms_correction_that_of_a_hand(
    studies: Path, comparison: Comparison
) -> None:
    base = read_values(studies / "base")
    tests = {
        word: stats.ttest_rel(read_values(studies / name), base)
        for name, word in {"narrow": "item_embedding_dim", "slow": "learning_rate"}.items()
    }
    p_values = {word: test.pvalue for word, test in tests.items()}
    (least, low), (most, high) = sorted(p_values.items(), key=lambda item: item[1])
    by_hand = {least: min(1.0, 2 * low), most: min(1.0, max(2 * low, high))}
    for word, test in tests.items():
        found = find(comparison, word).over_seeds
        assert found is not None
        assert found.half_width is not None
        assert found.num_pairs == 3
        assert found.p_value == pytest.approx(test.pvalue, rel=0, abs=1e-12)
        assert found.p_holm == pytest.approx(by_hand[word], rel=0, abs=1e-12)
        interval = test.confidence_interval(0.95)
        assert found.difference - found.half_width == pytest.approx(interval.low, rel=0, abs=1e-12)


def test_the_difference_over_users_is_scipys_ttest_rel_of_averages_over_seeds(
    studies: Path, comparison: Comparison
) -> None:
    base = read_scores(studies / "base").mean(0)
    for name, word in {"narrow": "item_embedding_dim", "slow": "learning_rate"}.items():
        found = find(comparison, word).over_users
        expected = stats.ttest_rel(read_scores(studies / name).mean(0), base)
        assert found is not None
        assert found.num_pairs == len(base) == comparison.num_users
        assert found.p_value == pytest.approx(expected.pvalue, rel=0, abs=1e-12)


def test_the_interval_of_a_mean_is_that_of_the_pooled_spread(studies: Path, comparison: Comparison) -> None:
    groups = [read_values(studies / name) for name in CHANGES]
    pooled = np.sqrt(np.mean([np.var(group, ddof=1) for group in groups]))
    assert comparison.spread == pytest.approx(pooled, rel=1e-12)
    assert comparison.degrees == 6
    for one in comparison.recipes:
        assert one.half_width == pytest.approx(stats.t.ppf(0.975, 6) * pooled / np.sqrt(3), rel=1e-12)
    assert comparison.recipes[0].mean == pytest.approx(np.mean(groups[0]), abs=1e-15)


def test_coverage_and_cost_are_there(comparison: Comparison) -> None:
    for one in comparison.recipes:
        assert one.coverage_at_10 == pytest.approx(np.mean([run.coverage_at_10 for run in one.runs]))
        assert one.seconds is not None
        assert 0 < one.seconds < 600


def test_a_bundle_counts_as_the_run_that_it_was_packed_from(studies: Path, tmp_path: Path) -> None:
    for seed in SEEDS:
        pack(studies / "slow" / f"seed-{seed}", output=tmp_path / "bundles" / f"{seed}.tar.gz")
    packed, unpacked = (compare(studies / "base", place) for place in (tmp_path / "bundles", studies / "slow"))
    assert [one.over_users for one in packed.recipes] == [one.over_users for one in unpacked.recipes]
    assert [one.seconds for one in packed.recipes] == [one.seconds for one in unpacked.recipes]


def test_the_baseline_is_named_by_its_folder_its_run_or_its_recipe(studies: Path) -> None:
    targets = [studies / "base", studies / "slow"]
    for name in (studies / "slow", f"{studies / 'slow'}/", studies / "slow" / "seed-43", "mine-set"):
        found = compare(*targets, baseline=name)
        assert found.recipes[0].runs[0].path == str(studies / "slow" / "seed-42")
        assert found.recipes[1].name == "mine"
    assert main(["compare", *map(str, targets), "--baseline", "min"]) == 2


def test_two_single_runs_are_shown_without_an_interval(studies: Path, capsys: Capture) -> None:
    runs = [str(studies / name / "seed-42") for name in ("base", "slow")]
    assert main(["compare", *runs]) == 0
    printed = capsys.readouterr().out
    assert "one run, which says nothing of its scatter: no interval" in printed
    found = compare(*runs)
    assert [one.half_width for one in found.recipes] == [None, None]
    assert found.recipes[1].over_seeds is not None
    assert found.recipes[1].over_seeds.p_value is None
    assert found.recipes[1].over_users is not None
    assert found.recipes[1].over_users.p_value is not None


def test_seeds_that_do_not_pair_are_compared_as_two_groups(studies: Path, capsys: Capture) -> None:
    targets = [*(studies / "base" / f"seed-{seed}" for seed in (42, 43)), studies / "slow"]
    found = compare(*targets)
    assert found.recipes[1].over_seeds is not None
    assert found.recipes[1].over_seeds.num_pairs is None
    expected = stats.ttest_ind(read_values(studies / "slow"), read_values(studies / "base")[:2]).pvalue
    assert found.recipes[1].over_seeds.p_value == pytest.approx(expected, rel=0, abs=1e-12)
    assert main(["compare", *map(str, targets)]) == 0
    assert "they do not pair, so that two groups are compared" in capsys.readouterr().out


def test_another_metric_may_be_compared(studies: Path, capsys: Capture) -> None:
    found = compare(studies / "base", metric="hr@50")
    assert found.metric == "hr@50"
    assert found.recipes[0].mean == pytest.approx(np.mean(read_values(studies / "base", "hr@50")))
    assert main(["compare", str(studies / "base"), "--metric", "hr@11"]) == 2
    assert "hr@11: unknown metric; did you mean 'hr@1'" in capsys.readouterr().err


def diverge(run: Path) -> None:
    """Make of a finished run what a diverged one leaves."""
    for name in ("MANIFEST.json", "SHA256SUMS", METRICS, RANKS):
        (run / name).unlink()
    lines = (run / STEPS).read_text().splitlines()
    last = json.loads(lines[-1]) | {"loss": "nan"}
    (run / STEPS).write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")


def test_a_diverged_run_is_named_and_counts_as_0(studies: Path, tmp_path: Path, capsys: Capture) -> None:
    shutil.copytree(studies / "slow", tmp_path / "slow")
    diverge(tmp_path / "slow" / "seed-43")
    found = compare(studies / "base", tmp_path / "slow")
    values = read_values(studies / "slow")
    recipe = find(found, "learning_rate")
    assert recipe.mean == pytest.approx((values[0] + values[2]) / 3)
    scores = read_scores(studies / "slow")
    scores[1] = 0
    expected = stats.ttest_rel(scores.mean(0), read_scores(studies / "base").mean(0)).pvalue
    assert recipe.over_users is not None
    assert recipe.over_users.p_value == pytest.approx(expected, abs=1e-12)
    assert main(["compare", str(studies / "base"), str(tmp_path / "slow")]) == 0
    printed = capsys.readouterr().out
    assert "seed 43 diverged" in printed
    assert "43:diverged" in printed


def break_off(run: Path) -> None:
    for name in ("MANIFEST.json", "SHA256SUMS"):
        (run / name).unlink()


def change_ranks(run: Path) -> None:
    content = bytearray((run / RANKS).read_bytes())
    content[-40] ^= 1
    (run / RANKS).write_bytes(content)


def seal_again(run: Path) -> None:
    """Make every digest of the manifest fit."""
    manifest = read_tree_manifest(run).manifest
    seal(run, manifest=manifest.model_copy(update={"contents": record_files(run)}))


def tell_another_value(run: Path) -> None:
    results = json.loads((run / METRICS).read_bytes())
    results["final"]["metrics"]["ndcg@10"] += 0.01
    (run / METRICS).write_text(json.dumps(results))
    seal_again(run)


def tell_another_fingerprint(run: Path) -> None:
    results = json.loads((run / METRICS).read_bytes())
    results["final"]["data_fingerprint"] = "0" * 64
    (run / METRICS).write_text(json.dumps(results))
    seal_again(run)


def swap_users(run: Path) -> None:
    """Give each user another one's rank: the mean stays."""
    ranks = read_ranks(run / RANKS, source=RANKS)
    write_ranks(run / RANKS, replace(ranks, ranks_topk=np.roll(ranks.ranks_topk, 1)))
    seal_again(run)


def rank_other_targets(run: Path) -> None:
    """Let ranks and metrics agree with each other, of other targets than the other runs have."""
    ranks = read_ranks(run / RANKS, source=RANKS)
    others = replace(ranks, target_ids=ranks.target_ids + 1)
    write_ranks(run / RANKS, others)
    results = json.loads((run / METRICS).read_bytes())
    results["final"]["ranks_sha256"] = others.digest()
    (run / METRICS).write_text(json.dumps(results))
    seal_again(run)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (break_off, UsageError, r"seed-43: not finished; the command that began it goes on"),
        (change_ranks, ContentError, r"results/ranks.npz"),
        (tell_another_value, ContentError, r"gives another ndcg@10 than results/metrics.json records"),
        (tell_another_fingerprint, ContentError, r"is of other data, protocol, kind of evaluation or part than"),
        (swap_users, ContentError, r"not the ranks that results/metrics.json names"),
        (rank_other_targets, ContentError, r"they ranked other users or targets"),
    ],
)
def test_a_run_that_cannot_be_trusted_is_refused(
    change: Callable[[Path], None], kind: type[Exception], message: str, studies: Path, tmp_path: Path
) -> None:
    shutil.copytree(studies / "slow", tmp_path / "slow")
    change(tmp_path / "slow" / "seed-43")
    with pytest.raises(kind, match=message):
        compare(studies / "base", tmp_path / "slow")


def test_a_run_whose_times_cannot_be_read_has_no_cost(studies: Path, tmp_path: Path) -> None:
    shutil.copytree(studies / "slow", tmp_path / "slow")
    for seed in SEEDS:
        run = tmp_path / "slow" / f"seed-{seed}"
        (events,) = (run / "tb").rglob("events.out.tfevents.*")
        events.write_bytes(events.read_bytes()[:-5])
        seal_again(run)
    (recipe,) = compare(tmp_path / "slow").recipes
    assert (recipe.seconds, recipe.steps_per_second) == (None, None)
    assert recipe.mean == pytest.approx(np.mean(read_values(studies / "slow")))


def train_another(studies: Path, output: Path, *settings: str, store: Path | None = None) -> Path:
    train(studies / "mine.gin", data=store or studies / "store", settings=settings, device="cpu", output=output)
    return output


def test_other_terms_are_refused_naming_both(studies: Path, tmp_path: Path, capsys: Capture) -> None:
    base = studies / "base" / "seed-42"
    synthesize_data(seed=6, num_users=80, num_items=120, num_ratings=2000, output=tmp_path / "store")
    others = {
        "data fingerprint": train_another(studies, tmp_path / "data", store=tmp_path / "store"),
        "protocol": train_another(studies, tmp_path / "protocol", "data.protocol = 'validated'"),
        "kind of evaluation": train_another(studies, tmp_path / "filter", "eval.filter_all_seen = True"),
        "candidates": train_another(studies, tmp_path / "candidates", "data.candidates = 'rated'"),
    }
    for term, other in others.items():
        assert main(["compare", str(base), str(other)]) == 3
        error = capsys.readouterr().err
        assert f"{base} and {other} cannot be compared: {term}" in error


def test_the_same_run_twice_and_the_same_draw_twice_are_refused(studies: Path, tmp_path: Path, capsys: Capture) -> None:
    run = studies / "base" / "seed-42"
    assert main(["compare", str(run), str(studies / "base")]) == 2
    assert "the same run as" in capsys.readouterr().err
    pack(run, output=tmp_path / "bundle.tar.gz")
    assert main(["compare", str(run), str(tmp_path / "bundle.tar.gz")]) == 2
    again = train_another(studies, tmp_path / "again")
    assert main(["compare", str(run), str(again)]) == 2
    assert "two runs of one recipe with seed 42, the same draw made twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("mine.gin", 2, "a recipe, not a run"),
        ("store", 2, "neither a run nor a folder that holds runs"),
        ("absent", 2, "absent"),
        ("legacy", 2, "a legacy archive"),
        ("note.txt", 3, "note.txt"),
    ],
)
def test_what_is_no_run_is_refused(
    target: str, code: int, message: str, studies: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "note.txt").write_text("nothing")
    build(read_cases()[0], folder=tmp_path)
    places = {"legacy": tmp_path / ARCHIVE_NAME, "note.txt": tmp_path / "note.txt"}
    assert main(["compare", str(places.get(target, studies / target))]) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_one_form_at_a_time(studies: Path, capsys: Capture) -> None:
    assert main(["compare", str(studies / "base"), "--latex", "--csv"]) == 2
    assert "--latex and --csv: one form at a time" in capsys.readouterr().err


def test_csv_holds_every_figure_in_full(studies: Path, comparison: Comparison, capsys: Capture) -> None:
    assert main(["compare", *(str(studies / name) for name in CHANGES), "--csv"]) == 0
    rows = list(csv.DictReader(StringIO(capsys.readouterr().out)))
    assert [row["recipe"] for row in rows] == [one.name for one in comparison.recipes]
    assert [float(row["mean"]) for row in rows] == [one.mean for one in comparison.recipes]
    assert [float(value) for value in rows[0]["values"].split()] == read_values(studies / "base")
    assert (rows[0]["seeds_p_value"], rows[0]["seeds"]) == ("", "42 43 44")
    assert comparison.recipes[1].over_seeds is not None
    assert float(rows[1]["seeds_p_holm"]) == comparison.recipes[1].over_seeds.p_holm


def test_json_is_the_record(studies: Path, comparison: Comparison, capsys: Capture) -> None:
    assert main(["compare", *(str(studies / name) for name in CHANGES), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.pop("ok") is True
    assert printed.pop("schema_version") == 1
    assert printed == comparison.to_json_value()


def test_eighty_columns_suffice(studies: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hstu_preserve.cli.output.PIPE_WIDTH", 80)
    assert main(["compare", *(str(studies / name) for name in CHANGES)]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "…" not in printed


def test_the_run_records_are_what_the_studies_share(studies: Path) -> None:
    records = [json.loads((studies / "base" / f"seed-{seed}" / RUN_RECORD).read_bytes()) for seed in SEEDS]
    assert [record["recipe"]["training"].pop("random_seed") for record in records] == list(SEEDS)
    assert records[0]["recipe"] == records[1]["recipe"] == records[2]["recipe"]
