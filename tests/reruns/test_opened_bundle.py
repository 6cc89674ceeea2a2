"""An opened bundle: what it records is read once."""

from pathlib import Path

from hstu_preserve.bundle.layout import METRICS, RANKS, STEPS
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.verbs.unpack import unpack


def test_results_ranks_and_steps_are_read_once_and_kept(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    unpack("sample", output=root)
    bundle = OpenedBundle(root=root, manifest=read_tree_manifest(root).manifest)
    results, ranks, steps = bundle.results, bundle.ranks, bundle.steps
    for name in (METRICS, RANKS, STEPS):
        (root / name).unlink()
    assert bundle.results is results
    assert bundle.ranks is ranks
    assert bundle.steps is steps
    assert [step.number for step in steps] == list(range(len(steps)))
