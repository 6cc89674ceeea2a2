"""`verify --deep`: a bundle whose digests fit and whose parts contradict each other is refused, the part is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hstu_preserve.bundle.layout import METRICS, RANKS, RUN_RECORD, STEPS
from hstu_preserve.bundle.opening import open_verified
from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.cli.main import main
from hstu_preserve.evaluation.ranks import read_ranks, write_ranks
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.verification import DeepCheck
from hstu_preserve.reruns.consistency import CHECKS, check_tree
from hstu_preserve.verbs.unpack import unpack


def list_checks(path: Path) -> tuple[DeepCheck, ...]:
    with open_verified(path, known=None) as tree:
        return check_tree(tree)


def reseal(tree: Path) -> None:
    """Make every digest fit what lies there now."""
    manifest = read_tree_manifest(tree).manifest
    seal(tree, manifest=manifest.model_copy(update={"contents": record_files(tree)}))


def change_a_gin_value(tree: Path) -> None:
    path = tree / read_tree_manifest(tree).manifest.run.gin_file
    path.write_text(path.read_text().replace("num_negatives = 64", "num_negatives = 65"))


def add_a_gin_file(tree: Path) -> None:
    (tree / "config" / "unused.gin").write_text("# never included\n")


def change_the_policy_afterwards(tree: Path) -> None:
    record = json.loads((tree / RUN_RECORD).read_text())
    record["policies"][0]["margin"] = 0.5
    (tree / RUN_RECORD).write_text(json.dumps(record))


def perturb_the_weights(tree: Path) -> None:
    path = tree / read_tree_manifest(tree).manifest.checkpoint
    content = torch.load(path, weights_only=True)
    content["model_state_dict"]["item_embedding.weight"][5] += 1e-6
    torch.save(content, path)


def take_an_earlier_checkpoint(tree: Path) -> None:
    path = tree / read_tree_manifest(tree).manifest.checkpoint
    (earlier,) = [other for other in path.parent.iterdir() if other != path]
    path.write_bytes(earlier.read_bytes())


def shrink_the_model(tree: Path) -> None:
    path = tree / read_tree_manifest(tree).manifest.checkpoint
    content = torch.load(path, weights_only=True)
    content["model_state_dict"]["encoder.layers.0.uvqk"] = torch.zeros(4, 4)
    torch.save(content, path)


def drop_the_event_file_s_tail(tree: Path) -> None:
    (path,) = (tree / "tb").rglob("events.out.tfevents.*")
    path.write_bytes(path.read_bytes()[:-7])


def drop_whole_events(tree: Path) -> None:
    (path,) = (tree / "tb").rglob("events.out.tfevents.*")
    content, place, records = path.read_bytes(), 0, []
    while place < len(content):
        length = int.from_bytes(content[place : place + 8], "little") + 16
        records.append(content[place : place + length])
        place += length
    path.write_bytes(b"".join(records[:-40]))


def change_a_step_loss(tree: Path) -> None:
    lines = (tree / STEPS).read_text().splitlines()
    lines[3] = lines[3].replace("0x1.", "0x1.1", 1)
    (tree / STEPS).write_text("\n".join(lines) + "\n")


def improve_a_rank(tree: Path) -> None:
    ranks = read_ranks(tree / RANKS, source=RANKS)
    ranks.ranks_topk[ranks.ranks_topk > 10] = 10
    write_ranks(tree / RANKS, ranks)


def rank_other_targets(tree: Path) -> None:
    ranks = read_ranks(tree / RANKS, source=RANKS)
    ranks.target_ids[0] += 1
    write_ranks(tree / RANKS, ranks)
    results = ResultsRecord.from_json((tree / METRICS).read_bytes(), source=METRICS)
    final = results.final.model_copy(update={"ranks_sha256": ranks.digest()})
    changed = {"final": final, "epochs": (*results.epochs[:-1], final)}
    (tree / METRICS).write_bytes(results.model_copy(update=changed).to_json())


CONTRADICTIONS: dict[Callable[[Path], None], str] = {
    change_a_gin_value: "gin chain",
    add_a_gin_file: "gin chain",
    change_the_policy_afterwards: "run records",
    perturb_the_weights: "checkpoints",
    take_an_earlier_checkpoint: "checkpoints",
    shrink_the_model: "checkpoints",
    drop_the_event_file_s_tail: "event files",
    drop_whole_events: "event files",
    change_a_step_loss: "event files",
    improve_a_rank: "ranks",
    rank_other_targets: "data",
}


@pytest.mark.parametrize(
    ("contradict", "check"), CONTRADICTIONS.items(), ids=lambda value: getattr(value, "__name__", "")
)
def test_a_contradiction_is_found_by_the_check_that_looks_for_it(
    contradict: Callable[[Path], None], check: str, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    unpack("sample", output=tree)
    contradict(tree)
    reseal(tree)
    failed = [one.name for one in list_checks(tree) if not one.passed]
    assert failed == [check]


def test_every_check_has_a_contradiction_that_it_finds() -> None:
    assert set(CONTRADICTIONS.values()) == set(CHECKS)


def test_the_command_exits_3_and_names_the_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = tmp_path / "tree"
    unpack("sample", output=tree)
    improve_a_rank(tree)
    reseal(tree)
    assert main(["verify", str(tree)]) == 0
    assert main(["verify", "--deep", str(tree)]) == 3
    assert "FAILED ranks" in capsys.readouterr().out


def test_the_sample_agrees_with_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--deep", "sample", "--json"]) == 0
    (target,) = json.loads(capsys.readouterr().out)["targets"]
    assert [check["passed"] for check in target["deep"]] == [True] * len(CHECKS)


def test_standard_input_cannot_be_read_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "-", "--deep"]) == 2
    assert "more than once" in "".join(capsys.readouterr())
