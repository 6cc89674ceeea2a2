"""Retraining a bundle that bears a published id says of the published number what can be said of it."""

from pathlib import Path

import pytest

from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.voice import SILENT
from hstu_preserve.records.verdict import Outcome, Rung
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.reruns.published_claims import find_published
from hstu_preserve.retraining.asked import Retraining
from hstu_preserve.retraining.retrainings import Retrainings
from hstu_preserve.verbs.unpack import unpack
from hstu_preserve.verdict.qualifications import NO_FINGERPRINT, RECONSTRUCTION
from tests.factories import make_manifest, make_run_record, make_sealed_run
from tests.retraining.seeds import Workshop


@pytest.mark.parametrize(
    ("name", "expected"),
    [("iter8-exp4-SOTA", "iter8-exp4-SOTA"), ("ITER8-EXP4-sota", "iter8-exp4-SOTA"), ("my-own", None)],
)
def test_a_bundle_is_taken_for_the_published_one_whose_id_it_bears(
    name: str, expected: str | None, tmp_path: Path
) -> None:
    make_sealed_run(tmp_path)
    settings: Json = {"id": name, "title": "x", "licence": "MIT", "citation": "", "include_data": False}
    for generated in ("MANIFEST.json", "SHA256SUMS"):
        (tmp_path / generated).unlink()
    manifest = make_manifest(tmp_path, run=make_run_record(bundle=settings))
    found = find_published(OpenedBundle(root=tmp_path, manifest=manifest))
    assert (None if found is None else found.id) == expected


@pytest.mark.parametrize(
    ("name", "outcome", "says"),
    [
        (None, Outcome.REPRODUCED_STATISTICAL, ()),
        ("paper-hstu-ml-1m", Outcome.INCONCLUSIVE, (NO_FINGERPRINT,)),
        ("iter8-exp4-SOTA", Outcome.INCONCLUSIVE, (RECONSTRUCTION, "is the best of 8 by the test metric")),
    ],
)
def test_a_published_number_is_not_confirmed_by_what_was_made_up_for_it(
    name: str | None, outcome: Outcome, says: tuple[str, ...], workshop: Workshop, tmp_path: Path
) -> None:
    tree = unpack(workshop.bundle(), output=tmp_path / "tree").path
    entry = None if name is None else read_catalog()[name]
    retrainings = Retrainings(
        OpenedBundle(root=tree, manifest=read_tree_manifest(tree).manifest, entry=entry),
        identity="0" * 64,
        asked=Retraining(reruns=[workshop.rerun(seed) for seed in (3, 4, 5)]),
        data=None,
        device="cpu",
        output=None,
        voice=SILENT,
    )
    (verdict,) = [one for one in retrainings.judge() if one.rung is Rung.TRAINING_STATISTICAL]
    assert verdict.outcome is outcome
    assert all(one in verdict.reason for one in says)
