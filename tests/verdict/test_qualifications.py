"""Which published claims a training of ours cannot decide, and why."""

import pytest

from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.records.verdict import Outcome, Rung, Verdict
from hstu_preserve.verdict.qualifications import qualify

PUBLISHED = read_catalog()["paper-hstu-ml-20m"]
ARCHIVE = read_catalog()["iter8-exp4-SOTA"]
FINGERPRINT = "a" * 64


def make_verdict(rung: Rung, outcome: Outcome) -> Verdict:
    return Verdict(rung=rung, outcome=outcome, claim="ndcg@10", reason="inside", evidence=(), is_required=True)


@pytest.mark.parametrize("rung", [Rung.TRAINING_NUMERIC, Rung.TRAINING_STATISTICAL])
@pytest.mark.parametrize("outcome", [Outcome.REPRODUCED_NUMERIC, Outcome.NOT_REPRODUCED])
def test_a_reconstruction_decides_nothing_of_the_archives_number(rung: Rung, outcome: Outcome) -> None:
    entry = ARCHIVE.model_copy(update={"data_fingerprint": FINGERPRINT, "best_of": None})
    found = qualify(make_verdict(rung, outcome), entry)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.reason == (
        "inside; the recipe is our reconstruction, so that this says nothing of the archive's number"
    )


def test_a_claim_without_a_data_fingerprint_is_not_decided() -> None:
    found = qualify(make_verdict(Rung.TRAINING_STATISTICAL, Outcome.REPRODUCED_STATISTICAL), PUBLISHED)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.reason == (
        "inside; the claim names no data fingerprint; the order among equal timestamps alone moves this metric by "
        "several margins"
    )


def test_the_best_of_eight_is_called_a_selection_on_test() -> None:
    found = qualify(make_verdict(Rung.TRAINING_NUMERIC, Outcome.REPRODUCED_NUMERIC), ARCHIVE)
    assert found.reason.endswith("the published number is the best of 8 by the test metric: a selection on test")


@pytest.mark.parametrize(
    ("rung", "outcome"),
    [
        (Rung.TRAINING_BITWISE, Outcome.REPRODUCED_BITWISE),
        (Rung.EVALUATION_NUMERIC, Outcome.NOT_REPRODUCED),
        (Rung.TRAINING_NUMERIC, Outcome.NOT_RUN),
    ],
)
def test_other_rungs_are_about_the_bundle_itself(rung: Rung, outcome: Outcome) -> None:
    verdict = make_verdict(rung, outcome)
    assert qualify(verdict, ARCHIVE) == verdict


def test_a_claim_of_ones_own_is_judged_as_it_is() -> None:
    verdict = make_verdict(Rung.TRAINING_NUMERIC, Outcome.REPRODUCED_NUMERIC)
    assert qualify(verdict, None) == verdict
    pinned = PUBLISHED.model_copy(update={"data_fingerprint": FINGERPRINT})
    assert qualify(verdict, pinned) == verdict
