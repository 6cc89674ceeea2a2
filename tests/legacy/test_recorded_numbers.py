"""A number that is reported is held against the event file of its own run, without torch and without data."""

import json
from pathlib import Path

import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.legacy.verification import verify_legacy
from hstu_preserve.records.verdict import Outcome, Rung, Verdict
from hstu_preserve.verbs.reproduce import reproduce
from tests.legacy.migrating import migrate_archive as migrate
from tests.legacy.published_layout import EACH, FULL, Layout, report_as, rising_curve

Capture = pytest.CaptureFixture[str]
CONFIRMED, REFUTED, NOT_RUN = Outcome.REPRODUCED_NUMERIC, Outcome.NOT_REPRODUCED, Outcome.NOT_RUN


def judge(tmp_path: Path, layout: Layout) -> Verdict:
    (verdict,) = verify_legacy(layout.write(tmp_path / "exp.tar.gz")).recorded
    assert verdict.rung is Rung.RECORDED
    return verdict


def test_the_printed_number_is_what_the_run_wrote_down(tmp_path: Path) -> None:
    verdict = judge(tmp_path, Layout())
    assert (verdict.outcome, verdict.claim) == (CONFIRMED, "ndcg@10")
    assert "0.194812 at epoch 100" in verdict.reason
    assert "the last epoch, and the largest of 101" in verdict.reason


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("0.1948", CONFIRMED),
        ("0.195", CONFIRMED),
        ("0.19", CONFIRMED),
        ("0.19481", CONFIRMED),
        ("0.194812", CONFIRMED),
        ("19.48", CONFIRMED),
        ('"0.1948"', CONFIRMED),
        ("1948e-4", CONFIRMED),
        ("0.19481200", REFUTED if abs(0.194812 - 0.194812) > 1e-8 else CONFIRMED),
        ("0.1949", REFUTED),
        ("0.1958", REFUTED),
        ("0.1940", REFUTED),
        ("0.194", REFUTED),
        ("0.1950", REFUTED),
        ("19.58", REFUTED),
        ("0.2", NOT_RUN),
        ("0", NOT_RUN),
    ],
)
def test_half_a_unit_of_the_last_printed_place_decides(tmp_path: Path, text: str, outcome: Outcome) -> None:
    assert judge(tmp_path, Layout(manifest=report_as(text))).outcome is outcome


def test_final_zeros_are_printed_places(tmp_path: Path) -> None:
    points = {1: rising_curve(end=0.18804)}
    assert judge(tmp_path / "a", Layout(manifest=report_as("0.1880"), events=points)).outcome is CONFIRMED
    points = {1: rising_curve(end=0.18844)}
    assert judge(tmp_path / "b", Layout(manifest=report_as("0.188"), events=points)).outcome is CONFIRMED
    verdict = judge(tmp_path / "c", Layout(manifest=report_as("0.1880"), events=points))
    assert verdict.outcome is REFUTED
    assert "0.1880 (MANIFEST.json at /results/ndcg@10)" in verdict.reason


@pytest.mark.parametrize("key", ["ndcg@10", "NDCG@10", "ndcg_10", "ndcg10", "NDCG-10", "best_ndcg@10", "test ndcg@10"])
def test_a_metric_is_known_by_its_usual_names(tmp_path: Path, key: str) -> None:
    assert judge(tmp_path, Layout(manifest=report_as("0.1958", key=key))).outcome is REFUTED


@pytest.mark.parametrize("key", ["ndcg", "ndcg@7", "ndcg@10 gain", "val_ndcg@10", "ndcg@10_std", "train_ndcg@10"])
def test_a_name_that_may_mean_something_else_means_nothing(tmp_path: Path, key: str) -> None:
    verdict = judge(tmp_path, Layout(manifest=report_as("0.1958", key=key)))
    assert (verdict.outcome, verdict.claim) == (NOT_RUN, None)
    assert "no number is reported" in verdict.reason


@pytest.mark.parametrize(
    "manifest",
    [
        '{"metric": "ndcg@10", "value": 0.1958, "epoch": 100}',
        '{"ndcg@10": {"value": 0.1958, "epoch": 100}}',
        '{"best_epoch": 100, "runs": [{"metrics": {"ndcg@10": 0.1958}}]}',
        '{"ndcg@10": 0.1958}',
    ],
)
def test_a_number_is_found_where_people_write_it(tmp_path: Path, manifest: str) -> None:
    assert judge(tmp_path, Layout(manifest=manifest)).outcome is REFUTED


def test_each_metric_has_a_verdict_and_of_several_numbers_the_worst_counts(tmp_path: Path) -> None:
    curves = {1: [*rising_curve(), *rising_curve(tag="eval_epoch/hr@10", end=0.33)]}
    manifest = '{"a": {"epoch": 100, "ndcg@10": 0.1948, "hr@10": 0.3300}, "b": {"epoch": 50, "ndcg@10": 0.1948}}'
    archive = Layout(manifest=manifest, events=curves, checkpoints={}).write(tmp_path / "exp.tar.gz")
    first, second = verify_legacy(archive).recorded
    assert (first.claim, first.outcome, second.claim, second.outcome) == ("ndcg@10", REFUTED, "hr@10", CONFIRMED)
    assert "at epoch 50" in first.reason
    assert "1 more number of ndcg@10" in first.reason


def test_the_checkpoint_s_epoch_is_taken_if_none_is_said(tmp_path: Path) -> None:
    assert judge(tmp_path / "a", Layout(manifest=report_as("0.1948", epoch=None))).outcome is CONFIRMED
    verdict = judge(tmp_path / "b", Layout(manifest=report_as("0.1948", epoch=None), checkpoints={"last": b""}))
    assert verdict.outcome is NOT_RUN
    assert "it would fit epoch 100 of 101" in verdict.reason


def test_a_checkpoint_of_another_epoch_than_the_number_is_seen(tmp_path: Path) -> None:
    verdict = judge(tmp_path, Layout(checkpoints={"HSTU_ep99": b""}))
    assert verdict.outcome is REFUTED
    assert "the checkpoint is of epoch 99" in verdict.reason
    assert judge(tmp_path / "b", Layout(checkpoints={"HSTU_ep99": b"", "HSTU_ep100": b""})).outcome is CONFIRMED


def test_the_place_of_the_epoch_in_its_curve_is_said(tmp_path: Path) -> None:
    curve = [*rising_curve(), (EACH, 101, 0.1), (EACH, 102, 0.11)]
    verdict = judge(tmp_path, Layout(events={1: curve}))
    assert "not the last epoch, which is 102, and the largest of 103, so chosen by the test items" in verdict.reason
    later = [*rising_curve(), (EACH, 101, 0.25)]
    assert "1 of 102 is larger, up to 0.250000 at epoch 101" in judge(tmp_path / "b", Layout(events={1: later})).reason


def test_a_batch_of_training_is_never_taken_for_a_test_value(tmp_path: Path) -> None:
    verdict = judge(tmp_path, Layout(events={1: rising_curve(tag="eval/ndcg@10")}))
    assert verdict.outcome is NOT_RUN
    assert "one batch of training" in verdict.reason
    archive = Layout(events={1: rising_curve(tag="eval/ndcg@10")}, manifest="{}").write(tmp_path / "m" / "exp.tar.gz")
    migrated = migrate(archive, output=tmp_path / "m" / "out.tar.gz")
    assert not [one for one in migrated.statements if one.name == "eval/ndcg@10"]


def test_what_was_evaluated_on_a_part_of_the_users_is_not_compared(tmp_path: Path) -> None:
    gin = {"config/exp.gin": b"train_fn.full_eval_every_n = 5\n"}
    partial = {1: [*rising_curve(), (FULL, 0, 0.1), (FULL, 95, 0.19)]}
    verdict = judge(tmp_path, Layout(events=partial, gin=gin))
    assert verdict.outcome is NOT_RUN
    assert "at epoch 100 a part of the users was evaluated" in verdict.reason
    whole = {1: [*rising_curve(end=0.3), (FULL, 100, 0.194812)]}
    assert judge(tmp_path / "b", Layout(events=whole, gin=gin)).outcome is CONFIRMED
    unmarked = Layout(gin={"config/exp.gin": b"train_fn.full_eval_every_n = 7\n"})
    assert judge(tmp_path / "c", unmarked).outcome is NOT_RUN


def test_of_several_event_files_the_last_point_counts_and_the_difference_is_said(tmp_path: Path) -> None:
    events = {1_700_000_500: [(EACH, 100, 0.194812)], 1_700_000_000: [(EACH, 99, 0.19), (EACH, 100, 0.18)]}
    verdict = judge(tmp_path, Layout(events=events))
    assert verdict.outcome is CONFIRMED
    assert "2 points of that epoch differ (0.180000, 0.194812)" in verdict.reason


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ({}, "no event file"),
        ({1: [("losses/ar_loss", 0, 5.0)]}, "no event file has eval_epoch/ndcg@10"),
        ({1: rising_curve(epochs=50)}, "no event file has epoch 100; the last epoch that was evaluated whole is 49"),
        ({1: [(EACH, 100, float("nan"))]}, "no event file has eval_epoch/ndcg@10"),
    ],
)
def test_what_was_not_recorded_is_not_run(tmp_path: Path, events: dict[int, list], said: str) -> None:  # type: ignore[type-arg]
    verdict = judge(tmp_path, Layout(events=events))
    assert (verdict.outcome, verdict.is_required) == (NOT_RUN, False)
    assert said in verdict.reason


def test_an_edited_number_is_seen_although_every_digest_fits(tmp_path: Path, capsys: Capture) -> None:
    honest = Layout().write(tmp_path / "a" / "exp.tar.gz")
    edited = Layout(manifest=report_as("0.1958")).write(tmp_path / "b" / "exp.tar.gz")
    assert main(["verify", str(honest)]) == 0
    assert main(["verify", str(edited)]) == 5
    text = capsys.readouterr().out
    assert "  ok recorded ndcg@10: 0.1948" in text
    assert "  FAILED recorded ndcg@10: 0.1958" in text
    assert main(["verify", str(edited), "--json"]) == 5
    assert json.loads(capsys.readouterr().out)["targets"][0]["legacy"]["recorded"][0]["outcome"] == "NOT_REPRODUCED"


def test_reproduce_has_the_rung_and_its_exit_code(tmp_path: Path) -> None:
    edited = Layout(manifest=report_as("0.1958")).write(tmp_path / "exp.tar.gz")
    reproduction = reproduce(edited)
    assert [(one.rung, one.outcome) for one in reproduction.verdicts][:2] == [
        (Rung.BYTES, Outcome.REPRODUCED_BITWISE),
        (Rung.RECORDED, REFUTED),
    ]
    assert reproduction.exit_code == 5
    migrate(edited, output=tmp_path / "migrated.tar.gz")
    found = reproduce(tmp_path / "migrated.tar.gz")
    assert (Rung.RECORDED, REFUTED) in [(one.rung, one.outcome) for one in found.verdicts]


def test_a_published_file_is_held_against_the_published_number(tmp_path: Path) -> None:
    as_published = Layout(manifest=None).write(tmp_path / "a" / "iter8-exp4-SOTA.tar.gz")
    (verdict,) = [one for one in reproduce(as_published).verdicts if one.rung is Rung.RECORDED]
    assert verdict.outcome is CONFIRMED
    assert "published as iter8-exp4-SOTA" in verdict.reason
    other = Layout(manifest=report_as("0.1912"), events={1: rising_curve(end=0.1912)})
    archive = other.write(tmp_path / "b" / "iter8-exp4-SOTA.tar.gz")
    assert main(["verify", str(archive)]) == 5


def test_a_damaged_archive_has_no_numbers(tmp_path: Path) -> None:
    archive = Layout(manifest=report_as("0.1958")).write(tmp_path / "exp.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-50])
    verification = verify_legacy(archive)
    assert verification.findings
    assert verification.recorded == ()


def test_text_of_an_archive_steers_no_terminal(tmp_path: Path, capsys: Capture) -> None:
    name = "ckpts/\x1b[31mx_ep100"
    manifest = json.dumps({"\x1b[2J": {"ndcg@10": "0.1958", "epoch": 100}})
    Layout(manifest=manifest, other={name: b""}).write(tmp_path / "exp.tar.gz")
    main(["verify", str(tmp_path / "exp.tar.gz")])
    assert "\x1b" not in capsys.readouterr().out


def test_a_manifest_of_a_thousand_numbers_is_read_to_its_limit(tmp_path: Path) -> None:
    history = [{"epoch": epoch, "ndcg@10": 0.12} for epoch in range(5000)]
    verdict = judge(tmp_path, Layout(manifest=json.dumps(history), checkpoints={}))
    assert verdict.outcome is REFUTED
    assert "999 more numbers" in verdict.reason
