"""A bundle is trained again on the path that its run took, whatever the environment asks of new runs."""

from pathlib import Path

import pytest

from hstu_preserve.bundle.layout import ENVIRONMENT
from hstu_preserve.compute.training_path import VARIABLE
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.verdict import Outcome, Rung
from hstu_preserve.verbs.reproduce import reproduce
from hstu_preserve.verbs.train import train
from tests.runs.crashing import write_gin


@pytest.mark.parametrize(("asked", "path"), [("reference", "reference"), ("auto", "fast")])
def test_a_bundle_is_trained_again_on_its_own_path_to_the_bit(
    asked: str, path: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, asked)
    run = tmp_path / "run"
    trained = train(write_gin(tmp_path), data=store, device="cpu", output=run)
    recorded = EnvironmentRecord.from_json((run / ENVIRONMENT).read_bytes(), source=ENVIRONMENT)
    assert trained.environment.training_path == recorded.training_path == path
    monkeypatch.setenv(VARIABLE, "auto" if asked == "reference" else "reference")
    found = reproduce(run, data=store, device="cpu", rungs=("training", "resume"))
    bitwise = {verdict.rung: verdict for verdict in found.verdicts}
    for rung in (Rung.TRAINING_BITWISE, Rung.RESUME_BITWISE):
        assert bitwise[rung].outcome is Outcome.REPRODUCED_BITWISE
        assert {fact.name: fact.value for fact in bitwise[rung].evidence}["training_path"] == path
