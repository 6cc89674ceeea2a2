"""Nothing that the program prints sets numbers of two kinds of evaluation against each other unmarked."""

import json
import re
import shutil
from pathlib import Path

import pytest

from hstu_preserve.bundle.layout import METRICS, RUN_RECORD, STEPS
from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.cli.main import main
from hstu_preserve.compute.machine import describe_this_machine
from hstu_preserve.library.listing import find_gain, list_experiments
from hstu_preserve.records.catalog import Collection
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.results import BundleDiff
from hstu_preserve.report.preservation_report import write_preservation_report
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.diff import diff
from hstu_preserve.verbs.train import train
from tests.runs.tiny_run import tiny_gin

Capture = pytest.CaptureFixture[str]
SAMPLED = EvaluationKind.SAMPLED_UNSEEN
GIN = tiny_gin(sampling_strategy="local", num_epochs=2, local_batch_size=32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of Meta's kind, the same one with sampled candidates, and that one with a sample of the users."""
    folder = tmp_path_factory.mktemp("kinds")
    synthesize_data(seed=5, num_users=40, num_items=300, num_ratings=800, output=folder / "store")
    (folder / "full.gin").write_text(GIN)
    (folder / "sampled.gin").write_text(f"{GIN}eval.kind = '{SAMPLED.value}'\n")
    (folder / "some.gin").write_text("include 'sampled.gin'\neval.max_users = 30\n")
    for name in ("full", "sampled", "some"):
        train(folder / f"{name}.gin", data=folder / "store", device="cpu", output=folder / name)
    return folder


def test_the_same_losses_have_other_numbers_under_another_kind(folder: Path) -> None:
    full, sampled = (
        ResultsRecord.from_json((folder / name / METRICS).read_bytes(), source=name) for name in ("full", "sampled")
    )
    assert (folder / "full" / STEPS).read_bytes() == (folder / "sampled" / STEPS).read_bytes()
    assert full.final.metrics["ndcg@10"] != sampled.final.metrics["ndcg@10"]


def test_compare_refuses_them(folder: Path, capsys: Capture) -> None:
    assert main(["compare", str(folder / "full"), str(folder / "sampled")]) == 3
    error = capsys.readouterr().err
    assert "cannot be compared: kind of evaluation full-window-filtered there, sampled-100-training-excluded" in error


def test_diff_sets_no_number_of_one_beside_one_of_the_other(folder: Path, capsys: Capture) -> None:
    found = diff(folder / "full", folder / "sampled")
    assert isinstance(found, BundleDiff)
    (kind,) = [one for one in found.differences if one.name == "evaluation.kind"]
    assert (kind.section, kind.left, kind.right) == ("recipe", None, SAMPLED.value)
    numbers = [one for one in found.differences if "ndcg@10" in one.name or "(" in one.section]
    assert {one.section for one in numbers} == {
        f"{section} ({kind.words})"
        for section in ("claims", "metrics", "curve")
        for kind in (EvaluationKind.WINDOW, SAMPLED)
    }
    assert all(None in {one.left, one.right} for one in numbers)
    assert "metrics" in {
        one.section for one in diff(folder / "full", "sample").differences
    }  # of one kind: line by line
    assert main(["diff", str(folder / "full"), str(folder / "sampled")]) == 3
    assert "not comparable" in capsys.readouterr().out


def test_a_sampled_run_is_verified_and_reproduced_to_the_bit_under_its_kind(folder: Path, capsys: Capture) -> None:
    assert main(["verify", "--deep", str(folder / "some")]) == 0
    capsys.readouterr()
    arguments = ["reproduce", str(folder / "some"), "--data", str(folder / "store"), "--device", "cpu"]
    assert main([*arguments, "--rung", "evaluation", "--rung", "resume", "--json"]) == 0
    verdicts = json.loads(capsys.readouterr().out)["verdicts"]
    assert {one["outcome"] for one in verdicts if one["is_required"]} <= {"REPRODUCED_BITWISE", "REPRODUCED_NUMERIC"}
    assert {one.get("kind") for one in verdicts if one["claim"] is not None} == {SAMPLED.value}
    assert {one.get("kind") for one in verdicts if one["claim"] is None} == {None}
    assert main([*arguments, "--rung", "evaluation"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"evaluation-numeric (ndcg@10 ({SAMPLED.words}))" in text


def test_a_verdict_of_metas_kind_has_the_text_that_it_had_before_there_were_kinds(
    folder: Path, capsys: Capture
) -> None:
    assert main(["reproduce", str(folder / "full"), "--data", str(folder / "store"), "--device", "cpu", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert all("kind" not in verdict for verdict in record["verdicts"])
    assert "kind" not in record["evaluation"]


def test_a_claim_of_one_kind_is_not_judged_by_another(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    shutil.copytree(folder / "sampled", tmp_path / "forged")
    manifest = read_tree_manifest(tmp_path / "forged").manifest
    policies = tuple(policy.model_copy(update={"evaluation": None}) for policy in manifest.run.policies)
    claims = tuple(claim.model_copy(update={"policy": policies[0]}) for claim in manifest.claims)
    run = manifest.run.model_copy(update={"policies": policies})
    (tmp_path / "forged" / RUN_RECORD).write_bytes(run.to_json())
    contents = record_files(tmp_path / "forged")
    seal(tmp_path / "forged", manifest=manifest.model_copy(update={"run": run, "claims": claims, "contents": contents}))
    assert main(["verify", "--deep", str(tmp_path / "forged")]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(f"kind of evaluation of claim ndcg@10.*expected {SAMPLED.value}.*full-window-filtered", said), said


def test_one_checkpoint_is_shown_under_every_kind_each_in_a_table_of_its_own(folder: Path, capsys: Capture) -> None:
    arguments = ["evaluate", str(folder / "full"), "--data", str(folder / "store"), "--device", "cpu"]
    assert main([*arguments, "--also", "all"]) == 0
    text = capsys.readouterr().out
    parts = re.split(r"^evaluation", text, flags=re.MULTILINE)[1:]
    assert [part.splitlines()[0].strip(" :") for part in parts] == [
        EvaluationKind.WINDOW.words,
        *(
            f"{kind.words} (numbers of different kinds of evaluation are not comparable)"
            for kind in [*EvaluationKind][1:]
        ),
    ]
    assert all(part.count("ndcg@10 ") == 1 for part in parts)
    assert main([*arguments, "--also", SAMPLED.value, "--json"]) == 0
    (other,) = json.loads(capsys.readouterr().out)["also"]
    final = json.loads((folder / "sampled" / METRICS).read_bytes())["final"]
    assert other == final
    assert main([*arguments, "--also", "sampled"]) == 2
    assert "sampled: unknown kind of evaluation; did you mean" in capsys.readouterr().err


def test_a_list_of_runs_says_the_kind_of_each(folder: Path, capsys: Capture) -> None:
    assert main(["list", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines if SAMPLED.words in line} == {"sampled", "some"}
    assert {line.split()[0] for line in lines if EvaluationKind.WINDOW.words in line} == {"full"}


def test_sampling_from_too_few_items_stops_before_the_first_step(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    synthesize_data(seed=5, num_users=20, num_items=60, num_ratings=300, output=tmp_path / "store")
    arguments = ["--data", str(tmp_path / "store"), "--output", str(tmp_path / "run"), "--device", "cpu"]
    assert main(["train", str(folder / "sampled.gin"), *arguments]) == 3
    assert "eval.kind sampled-100-training-excluded: synthetic has 60 candidates" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_catalog_has_no_gain_over_and_no_column_with_a_number_of_another_kind(capsys: Capture) -> None:
    listed = list_experiments().experiments
    catalog = {one.entry.id: one.entry for one in listed}
    other = next(one for one in listed if one.entry.collection is Collection.TENSORFLOW)
    assert other.kind is EvaluationKind.ALL_SEEN
    assert other.gain is None
    same = [claim.model_copy(update={"kind": EvaluationKind.WINDOW}) for claim in other.entry.claims]
    assert find_gain(other.entry.model_copy(update={"claims": tuple(same)}), catalog) is not None
    assert main(["list"]) == 0
    parts = re.split(r"^evaluation: ", capsys.readouterr().out, flags=re.MULTILINE)[1:]
    assert len(parts) == len({one.kind for one in listed}) >= 2
    for one in listed:
        holding = [part for part in parts if one.entry.id in first_words(part)]
        assert [part.splitlines()[0].startswith(one.kind.words) for part in holding] == [True], one.entry.id
    assert main(["show", other.entry.id]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "not said: paper-hstu-large-ml-1m was evaluated as full, window filtered" in said


def first_words(text: str) -> set[str]:
    return {word for line in text.splitlines() for word in line.split()[:1]}


def test_the_report_has_a_table_for_each_kind() -> None:
    listed = [
        one.model_copy(update={"entry": one.entry.model_copy(update={"collection": Collection.OWN})})
        for one in list_experiments().experiments
    ]
    text = write_preservation_report(listed=listed, reproductions=[], environment=describe_this_machine())
    for table in re.split(r"^Evaluation: ", text, flags=re.MULTILINE)[1:]:
        rows = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")][1:]
        kinds = {one.kind.words for one in listed if one.entry.id in rows}
        assert kinds == {table.splitlines()[0].rstrip(".")}
