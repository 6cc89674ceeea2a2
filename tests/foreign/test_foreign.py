"""Weights that somebody else trained are evaluated where they fit, and judged by what their run wrote down."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from hstu_preserve.cli.main import main
from hstu_preserve.data.store import open_store
from hstu_preserve.legacy.verification import InspectedLegacy, inspect_legacy
from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.verdict import Outcome, Rung, Verdict
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.migrate import migrate
from hstu_preserve.verbs.reproduce import reproduce
from tests.foreign.foreign_archives import EPOCH, Author, random_states

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stores whose largest item is the same, and one with another."""
    folder = tmp_path_factory.mktemp("stores")
    for name, seed, items in (("a", 5, 80), ("b", 7, 80), ("c", 11, 80), ("larger", 4, 90)):
        synthesize_data(seed=seed, num_users=60, num_items=items, num_ratings=1500, output=folder / name)
    return folder


@pytest.fixture
def author(stores: Path) -> Author:
    return Author(store=stores / "b")


def find_evaluation(reproduction: Reproduction) -> Verdict:
    (verdict,) = [one for one in reproduction.verdicts if one.rung is Rung.EVALUATION_NUMERIC]
    return verdict


def judge(author: Author, tmp_path: Path, stores: Path) -> Verdict:
    return find_evaluation(reproduce(author.pack(tmp_path / "exp.tar.gz"), data=stores))


def test_the_store_that_gives_every_recorded_value_is_found(author: Author, tmp_path: Path, stores: Path) -> None:
    reproduction = reproduce(author.pack(tmp_path / "exp.tar.gz"), data=stores, output=tmp_path / "out")
    verdict = find_evaluation(reproduction)
    assert (verdict.outcome, reproduction.exit_code) == (Outcome.REPRODUCED_NUMERIC, 0)
    assert f"all 17 values that the run wrote down at epoch {EPOCH}" in verdict.reason
    assert open_store(stores / "b").fingerprint[:16] in verdict.reason
    assert reproduction.evaluation is not None
    assert reproduction.evaluation.data_fingerprint == open_store(stores / "b").fingerprint
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ranks.npz", "reproduction.json"]


def test_other_stores_alone_decide_nothing(author: Author, tmp_path: Path, stores: Path) -> None:
    archive = author.pack(tmp_path / "exp.tar.gz")
    reproduction = reproduce(archive, data=stores / "a")
    verdict = find_evaluation(reproduction)
    assert (verdict.outcome, reproduction.exit_code) == (Outcome.INCONCLUSIVE, 6)
    assert "the archive names no data" in verdict.reason


def test_whatever_lies_beside_the_weights_hides_nothing(author: Author, tmp_path: Path, stores: Path) -> None:
    author.beside, author.prefix = random_states(), "module._orig_mod."
    assert judge(author, tmp_path, stores).outcome is Outcome.REPRODUCED_NUMERIC


def test_a_payload_is_described_and_never_run(author: Author, tmp_path: Path, stores: Path) -> None:
    canary = tmp_path / "canary"

    class Payload:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, (f"touch {canary}",)

    author.beside = {"payload": Payload()}
    assert judge(author, tmp_path, stores).outcome is Outcome.REPRODUCED_NUMERIC
    assert not canary.exists()


def test_disturbed_weights_are_inconclusive_unless_the_data_is_pinned(
    author: Author, tmp_path: Path, stores: Path
) -> None:
    author.noise = 0.05
    assert judge(author, tmp_path / "a", stores).outcome is Outcome.INCONCLUSIVE
    author.manifest_key = f', "data_fingerprint": "{open_store(stores / "b").fingerprint}"'
    pinned = reproduce(author.pack(tmp_path / "b" / "exp.tar.gz"), data=stores)
    assert (find_evaluation(pinned).outcome, pinned.exit_code) == (Outcome.NOT_REPRODUCED, 5)
    assert "its own MANIFEST.json says that this is the data" in find_evaluation(pinned).reason
    author.more_gin = "their_trainer.momentum = 0.5\n"
    assert judge(author, tmp_path / "c", stores).outcome is Outcome.INCONCLUSIVE


def test_an_edited_number_is_refused_and_the_weights_still_hold(author: Author, tmp_path: Path, stores: Path) -> None:
    author.printed = "0.9999"
    reproduction = reproduce(author.pack(tmp_path / "exp.tar.gz"), data=stores)
    outcomes = {verdict.rung: verdict.outcome for verdict in reproduction.verdicts}
    assert outcomes[Rung.RECORDED] is Outcome.NOT_REPRODUCED
    assert outcomes[Rung.EVALUATION_NUMERIC] is Outcome.REPRODUCED_NUMERIC
    assert reproduction.exit_code == 5


def test_without_event_files_the_printed_digits_decide(author: Author, tmp_path: Path, stores: Path) -> None:
    author.has_events = False
    verdict = judge(author, tmp_path, stores)
    assert verdict.outcome is Outcome.REPRODUCED_NUMERIC
    assert "to the printed digits" in verdict.reason
    assert "3 stores tried" in verdict.reason
    author.printed = "0.9999"
    assert judge(author, tmp_path / "b", stores).outcome is Outcome.INCONCLUSIVE


def test_unknown_names_without_effect_are_named(author: Author, tmp_path: Path, stores: Path) -> None:
    author.more_gin = "their_sampler.temperature = 0.5\n"
    verdict = judge(author, tmp_path, stores)
    assert verdict.outcome is Outcome.REPRODUCED_NUMERIC
    assert "not known here, without effect on this evaluation: their_sampler.temperature" in verdict.reason


def test_a_homonym_is_never_taken_for_the_author_s_component(author: Author, tmp_path: Path, stores: Path) -> None:
    author.more_gin = "time_decay.mode = 'power'\ntime_decay.learnable = False\ntime_decay.where = 'attention'\n"
    verdict = judge(author, tmp_path, stores)
    assert verdict.outcome in {Outcome.INCONCLUSIVE, Outcome.REPRODUCED_NUMERIC}
    assert "our reading of names whose code was never published: time_decay" in verdict.reason
    author.has_events = False
    assert judge(author, tmp_path / "b", stores).outcome is Outcome.INCONCLUSIVE


def test_printed_digits_alone_never_confirm_a_homonym(author: Author, tmp_path: Path, stores: Path) -> None:
    # It acts in training alone, so that every figure comes out.
    author.more_gin = (
        "train_fn.sampling_strategy = 'local'\nhard_negatives.fraction = 0.5\nhard_negatives.pool_size = 8\n"
    )
    verdict = judge(author, tmp_path / "a", stores)
    assert verdict.outcome is Outcome.REPRODUCED_NUMERIC
    assert "our reading of names whose code was never published: hard_negatives.fraction" in verdict.reason
    author.has_events = False
    verdict = judge(author, tmp_path / "b", stores)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "came out to the printed digits" in verdict.reason
    assert "hard_negatives.fraction" in verdict.reason


def test_tensors_without_a_place_are_named_with_the_command_to_type(
    author: Author, tmp_path: Path, stores: Path
) -> None:
    author.more_tensors = {"module._prism.gate.weight": torch.zeros(3, 4)}
    author.more_gin = "PRISM.mode = 'additive'\n"
    verdict = judge(author, tmp_path, stores)
    assert verdict.outcome is Outcome.NOT_RUN
    assert "_prism.gate.weight (3, 4)" in verdict.reason
    assert "not known here: PRISM.mode" in verdict.reason
    assert f"hstu-preserve reproduce {tmp_path / 'exp.tar.gz'} --runner archived --code" in verdict.reason


def test_of_a_partial_evaluation_nothing_is_compared(author: Author, tmp_path: Path, stores: Path) -> None:
    author.gin += "train_fn.full_eval_every_n = 7\n"
    author.printed_epoch = 3
    verdict = judge(author, tmp_path, stores)
    assert verdict.outcome is Outcome.NOT_RUN
    assert "nothing to compare with" in verdict.reason


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("larger", "no store whose items have the"),
        ("nowhere", None),
        (None, "no data: name a store of"),
    ],
)
def test_what_data_is_missing_is_said(
    author: Author, tmp_path: Path, stores: Path, capsys: Capture, data: str | None, said: str | None
) -> None:
    archive = author.pack(tmp_path / "exp.tar.gz")
    words = [] if data is None else ["--data", str(stores / data)]
    code = main(["reproduce", str(archive), *words])
    assert code == (2 if said is None else 6)
    text = capsys.readouterr()
    assert (said or "no such directory") in text.out + text.err


def test_a_migrated_bundle_is_evaluated_as_the_archive_is(author: Author, tmp_path: Path, stores: Path) -> None:
    author.beside = random_states()
    migrate(author.pack(tmp_path / "exp.tar.gz"), output=tmp_path / "new.tar.gz")
    reproduction = reproduce(tmp_path / "new.tar.gz", data=stores)
    assert find_evaluation(reproduction).outcome is Outcome.REPRODUCED_NUMERIC
    assert reproduction.exit_code == 0


def test_an_archive_that_changed_after_it_was_verified_is_refused(
    author: Author, tmp_path: Path, stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = author.pack(tmp_path / "exp.tar.gz")
    author.noise = 0.2
    other = author.pack(tmp_path / "other" / "exp.tar.gz").read_bytes()
    honest = inspect_legacy

    def exchange(*arguments: Any, **settings: Any) -> InspectedLegacy:
        found = honest(*arguments, **settings)
        archive.write_bytes(other)
        return found

    monkeypatch.setattr("hstu_preserve.foreign.judgement.inspect_legacy", exchange)
    assert main(["reproduce", str(archive), "--data", str(stores)]) == 3


def test_a_list_of_digests_may_be_named(author: Author, tmp_path: Path, stores: Path) -> None:
    archive = author.pack(tmp_path / "exp.tar.gz")
    (tmp_path / "MANIFEST.md").rename(tmp_path / "sums.txt")
    assert reproduce(archive, data=stores).exit_code == 6
    assert reproduce(archive, data=stores, md5_list=tmp_path / "sums.txt").exit_code == 0


def test_a_recorded_value_that_is_a_little_off_does_not_agree(author: Author, tmp_path: Path, stores: Path) -> None:
    author.recorded_change = 1e-5
    assert judge(author, tmp_path, stores).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("form", ["archive", "migrated"])
def test_evaluate_takes_an_archive_and_says_what_may_be_missing(
    author: Author, tmp_path: Path, stores: Path, capsys: Capture, form: str
) -> None:
    author.beside, author.more_gin = random_states(), "their_sampler.temperature = 0.5\n"
    target = author.pack(tmp_path / "exp.tar.gz")
    if form == "migrated":
        target = migrate(target, output=tmp_path / "new.tar.gz").bundle.path
    assert main(["evaluate", str(target), "--data", str(stores / "b"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    metrics, _ = author.train(tmp_path / "again")
    assert found["evaluation"]["metrics"]["ndcg@10"] == pytest.approx(metrics["ndcg@10"], abs=1e-6)
    assert any("their_sampler.temperature" in warning for warning in found["warnings"])
    assert any("not built, since only tensors are read: rng" in warning for warning in found["warnings"])


def test_evaluate_wants_one_store(author: Author, tmp_path: Path, stores: Path, capsys: Capture) -> None:
    archive = author.pack(tmp_path / "exp.tar.gz")
    assert main(["evaluate", str(archive), "--data", str(stores)]) == 2
    assert f"'hstu-preserve reproduce {archive} --data {stores}' find the one" in capsys.readouterr().err


def test_evaluate_refuses_an_archive_that_differs_from_its_list(
    author: Author, tmp_path: Path, stores: Path, capsys: Capture
) -> None:
    archive = author.pack(tmp_path / "exp.tar.gz")
    (tmp_path / "MANIFEST.md").write_text(f"{'0' * 32}  exp.tar.gz\n")
    assert main(["evaluate", str(archive), "--data", str(stores / "b")]) == 3
    assert "nothing of it is evaluated" in capsys.readouterr().err


def test_the_report_has_a_row_for_each_archive_also_from_an_earlier_call(
    author: Author, tmp_path: Path, stores: Path
) -> None:
    archive = author.pack(tmp_path / "exp.tar.gz")
    earlier = reproduce(archive, data=stores, output=tmp_path / "out")
    code = main(["report", str(tmp_path / "out" / "reproduction.json"), "--markdown", str(tmp_path / "r.md")])
    assert code == 0
    text = (tmp_path / "r.md").read_text()
    (row,) = [line for line in text.splitlines() if "one of 1)" in line]
    value = {fact.name: fact.value for fact in find_evaluation(earlier).evidence}["found ndcg@10"]
    assert f"| {value:.6f} | synthetic in the order" in row
    assert f"{value:.6f} (epoch {EPOCH}, one of 1)" in row
    assert "bytes REPRODUCED_BITWISE; recorded REPRODUCED_NUMERIC; evaluation-numeric REPRODUCED_NUMERIC" in row
    assert main(["report", str(archive), "--data", str(stores), "--markdown", str(tmp_path / "s.md")]) == 0
    assert [line for line in (tmp_path / "s.md").read_text().splitlines() if "one of 1)" in line] == [row]
    (tmp_path / "bad.json").write_text("{}")
    assert main(["report", str(tmp_path / "bad.json"), "--markdown", str(tmp_path / "t.md")]) == 3
    assert not (tmp_path / "t.md").exists()


def test_json_has_the_figures(author: Author, tmp_path: Path, stores: Path, capsys: Capture) -> None:
    archive = author.pack(tmp_path / "exp.tar.gz")
    assert main(["reproduce", str(archive), "--data", str(stores), "--json"]) == 0
    verdict = json.loads(capsys.readouterr().out)["verdicts"][-1]
    facts = {fact["name"]: fact["value"] for fact in verdict["evidence"]}
    assert facts["recorded_values"] == 17
    assert abs(facts["recorded ndcg@10"] - facts["found ndcg@10"]) < 1e-6
