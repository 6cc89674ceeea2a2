"""Recorded losses are compared bit by bit: a run whose loss was NaN has the losses that it recorded, and no others."""

import json
import math
from pathlib import Path

import pytest

from hstu_preserve.bundle.layout import STEPS
from hstu_preserve.bundle.opening import open_verified
from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.event_files.reader import read_scalars
from hstu_preserve.event_files.writer import EventWriter
from hstu_preserve.records.verification import DeepCheck
from hstu_preserve.reruns.consistency import check_tree
from hstu_preserve.verbs.unpack import unpack

LOSSES = {"losses/ar_loss", "losses/main_loss", "loss/train"}


def list_checks(path: Path) -> tuple[DeepCheck, ...]:
    with open_verified(path, known=None) as tree:
        return check_tree(tree)


def reseal(tree: Path) -> None:
    """Make every digest fit what lies there now."""
    manifest = read_tree_manifest(tree).manifest
    seal(tree, manifest=manifest.model_copy(update={"contents": record_files(tree)}))


def tell_steps(tree: Path, losses: dict[int, float]) -> None:
    """Let the recorded steps have these losses."""
    lines = [json.loads(line) for line in (tree / STEPS).read_text().splitlines()]
    for step, loss in losses.items():
        lines[step]["loss"] = loss.hex()
    (tree / STEPS).write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def tell_event_file(tree: Path, losses: dict[int, float]) -> None:
    """Let the event file have these losses."""
    (path,) = (tree / "tb").rglob("events.out.tfevents.*")
    points = read_scalars(path)
    path.unlink()
    with EventWriter.create(path.parent, wall_time=points[0].wall_time, suffix="test") as writer:
        for point in points:
            value = losses.get(point.step, point.value) if point.tag in LOSSES else point.value
            writer.scalar(point.tag, value=value, step=point.step, wall_time=point.wall_time)


@pytest.mark.parametrize(
    "losses",
    [{3: math.nan}, {0: math.inf}, {1: -math.inf, 2: math.nan}, {4: 1e300}],
    ids=["nan", "inf", "both", "huge"],
)
def test_losses_that_are_no_numbers_agree_with_themselves_alone(losses: dict[int, float], tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    unpack("sample", output=tree)
    tell_steps(tree, losses)
    reseal(tree)
    assert [one.name for one in list_checks(tree) if not one.passed] == ["event files"]
    tell_event_file(tree, {step: math.inf if loss == 1e300 else loss for step, loss in losses.items()})
    reseal(tree)
    assert [one.name for one in list_checks(tree) if not one.passed] == []
