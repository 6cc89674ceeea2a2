"""The preservation report says one thing of one bundle, and calls nothing reproduced that was not."""

from pathlib import Path

import pytest

from hstu_preserve.compute.machine import describe_this_machine
from hstu_preserve.library.listing import list_experiments
from hstu_preserve.library.sources import find_here
from hstu_preserve.library.targets import SAMPLE
from hstu_preserve.records.results import ListedExperiment, Reproduction
from hstu_preserve.records.verdict import Outcome, Rung, Verdict
from hstu_preserve.report.preservation_report import describe_reproduction, summarize, write_preservation_report
from hstu_preserve.verbs.keygen import keygen
from hstu_preserve.verbs.report import read_certificate_beside
from tests.certificates.certified import certify

ID = "iter8-exp4-SOTA"


@pytest.fixture
def listed() -> ListedExperiment:
    return next(one for one in list_experiments().experiments if one.entry.id == ID)


def judge(
    target: str, *, path: str = "somewhere.tar.gz", outcome: Outcome = Outcome.REPRODUCED_BITWISE
) -> Reproduction:
    verdict = Verdict(rung=Rung.BYTES, outcome=outcome, claim=None, reason="a test", evidence=(), is_required=True)
    return Reproduction(
        target=target, path=Path(path), identity="a" * 64, title="a title", verdicts=(verdict,), evaluation=None,
        environment=None, limits=("nobody asked",), exit_code=0,
    )  # fmt: skip


@pytest.mark.parametrize("outcome", [Outcome.REPRODUCED_BITWISE, Outcome.NOT_REPRODUCED, Outcome.INCONCLUSIVE])
def test_a_published_bundle_that_was_judged_has_its_outcome_in_both_places(
    outcome: Outcome, listed: ListedExperiment
) -> None:
    assert summarize(listed, [judge(ID, outcome=outcome)]) == f"judged above: bytes {outcome.value}"


def test_it_is_known_by_its_identity_under_any_name(listed: ListedExperiment) -> None:
    assert listed.entry.bundle is not None
    location = listed.entry.bundle.model_copy(update={"identity": "a" * 64})
    known = listed.model_copy(update={"entry": listed.entry.model_copy(update={"bundle": location})})
    assert summarize(known, [judge("elsewhere.tar.gz")]) == "judged above: bytes REPRODUCED_BITWISE"


def test_a_file_with_its_name_is_not_taken_for_it_and_not_said_to_be_unseen(listed: ListedExperiment) -> None:
    said = summarize(listed, [judge("here.tar.gz", path=f"{ID}.tar.gz")])
    assert said == f"a file with the name {ID}.tar.gz is judged above; that it is the published one is not known"


def test_what_was_not_judged_says_why(listed: ListedExperiment) -> None:
    assert summarize(listed, [judge("another")]).startswith("NOT_RUN: the bundle was never seen here")


def test_no_heading_calls_it_reproduced(listed: ListedExperiment) -> None:
    failed = judge("x", outcome=Outcome.NOT_REPRODUCED)
    text = write_preservation_report(listed=[listed], reproductions=[failed], environment=describe_this_machine())
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert "## Judged here" in headings
    assert not any("reproduced" in heading.lower() for heading in headings)


def test_the_limits_of_a_judgement_stand_below_it() -> None:
    assert describe_reproduction(judge("x")).endswith("* Limit: nobody asked.")


def test_a_certificate_is_told_below_what_it_is_about_and_is_nobodys_word(tmp_path: Path) -> None:
    bundle = tmp_path / "x.tar.gz"
    bundle.write_bytes(find_here(SAMPLE).path.read_bytes())
    stored = find_here(str(bundle)).require_manifest()
    one = judge("x", path=str(bundle)).model_copy(update={"identity": stored.identity})
    assert read_certificate_beside(one) is None
    certificate = certify(bundle, keygen(tmp_path / "key").path)
    text = describe_reproduction(one, certificate=read_certificate_beside(one))
    assert "* A certificate with 2 statements lies beside it. Nobody named a key to check it with" in text
    assert "PASSED; passed: bytes, evaluation-numeric ndcg@10; by keyid " in text
    certificate.write_bytes(b"*my* notes\n")
    text = describe_reproduction(one, certificate=read_certificate_beside(one))
    assert "What lies beside it as a certificate is none of it: " in text
    assert "*my*" not in text
