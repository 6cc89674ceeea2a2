"""Retraining a bundle that bears a published id says of the published number what can be said of it."""

from pathlib import Path

import pytest

from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.retraining.retrainings import find_reservation
from hstu_preserve.verdict.agreement import Reservation
from tests.factories import make_manifest, make_run_record, make_sealed_run


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("iter8-exp4-SOTA", Reservation.RECONSTRUCTION),
        ("ITER8-EXP4-sota", Reservation.RECONSTRUCTION),
        ("paper-hstu-ml-1m", Reservation.NO_FINGERPRINT),
        ("my-own", None),
    ],
)
def test_a_published_number_is_not_confirmed_by_what_was_made_up_for_it(
    name: str, expected: Reservation | None, tmp_path: Path
) -> None:
    make_sealed_run(tmp_path)
    settings: Json = {"id": name, "title": "x", "licence": "MIT", "citation": "", "include_data": False}
    for generated in ("MANIFEST.json", "SHA256SUMS"):
        (tmp_path / generated).unlink()
    manifest = make_manifest(tmp_path, run=make_run_record(bundle=settings))
    assert find_reservation(OpenedBundle(root=tmp_path, manifest=manifest)) is expected
    by_id = OpenedBundle(root=tmp_path, manifest=manifest, entry=read_catalog()["iter8-exp4-SOTA"])
    assert find_reservation(by_id) is Reservation.RECONSTRUCTION
