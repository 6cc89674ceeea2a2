"""Every legacy archive that a person might hold, or forge: the verdict of both profiles, and nothing ever written."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.errors import ContentError
from hstu_preserve.legacy.recognition import is_legacy
from hstu_preserve.legacy.verification import verify_legacy
from hstu_preserve.legacy.walker import LegacyLimits, open_legacy
from hstu_preserve.records.legacy.outcomes import LegacyOutcome
from hstu_preserve.records.legacy.verification import LegacyVerification
from hstu_preserve.report.terminal import render
from tests.bundle.archives import snapshot
from tests.corpus.legacy.generators import (
    EDITS,
    ENDS,
    FRAMES,
    LIST_SHAPES,
    MANIFEST_SHAPES,
    RAW_MANIFESTS,
    Case,
    build,
    count_cases,
    read_cases,
)
from tests.forked import run_in_words

CASES = read_cases()
FIRST_OF_CLASS = list({case.kind: case for case in reversed(CASES) if not case.limits}.values())


def render_text(verification: LegacyVerification) -> str:
    """Return what a person reads in a pipe."""
    output = io.StringIO()
    Console(file=output, width=4000, highlight=False).print(render(verification))
    return output.getvalue()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_canonical_profile_refuses_it_and_says_why(case: Case, tmp_path: Path) -> None:
    verification = verify_bundle(build(case, folder=tmp_path))
    assert not verification.ok
    assert case.canonical in verification.describe()


@pytest.mark.parametrize("case", [case for case in CASES if not case.limits], ids=lambda case: case.id)
def test_the_tolerant_profile_gives_its_verdict(case: Case, tmp_path: Path) -> None:
    archive = build(case, folder=tmp_path)
    before = snapshot(tmp_path)
    if case.outcome == "error":
        with pytest.raises(ContentError, match=case.says):
            verify_legacy(archive)
        return
    verification = verify_legacy(archive)
    findings = [finding.finding_class.value for finding in verification.findings]
    assert verification.outcome.value == case.outcome, verification
    assert bool(findings) == (case.outcome == "refused")
    assert case.finding is None or case.finding in findings, verification.findings
    assert verification.exit_code == case.exit_code
    assert case.says in render_text(verification)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("case", [case for case in CASES if case.limits], ids=lambda case: case.id)
def test_a_bomb_is_not_read_to_its_end(case: Case, tmp_path: Path) -> None:
    with open_legacy(build(case, folder=tmp_path), limits=LegacyLimits(**case.limits)) as walker:
        for member in walker.members():
            for _ in member.chunks:
                pass
    assert [finding.finding_class.value for finding in walker.findings] == [case.finding]
    assert walker.md5 is None


@pytest.mark.parametrize("case", FIRST_OF_CLASS, ids=lambda case: case.kind)
def test_each_class_ends_with_its_exit_code_for_a_user(case: Case, tmp_path: Path) -> None:
    archive = build(case, folder=tmp_path)
    before = snapshot(tmp_path)
    result = run_in_words("verify", archive.name, cwd=tmp_path)
    assert result.returncode == case.exit_code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert case.says in result.stdout
    assert case.finding is None or case.finding in result.stdout
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("case", [case for case in CASES if case.outcome == "matches"], ids=lambda case: case.id)
def test_what_matches_still_says_which_guarantees_are_missing(case: Case, tmp_path: Path) -> None:
    archive = build(case, folder=tmp_path)
    verification = verify_legacy(archive)
    assert is_legacy(archive)
    assert verification.outcome is LegacyOutcome.MATCHES
    assert "nobody signed this" in verification.missing_guarantees
    has_sha256 = "sha256" in {case.manifest, case.md5_list}
    assert ("md5 is no protection against intent" in verification.missing_guarantees) == (not has_sha256)


def test_every_generator_is_used_and_every_id_is_unique() -> None:
    assert {edit["do"] for case in CASES for edit in case.edits} == EDITS.keys()
    assert {case.end["form"] for case in CASES} == ENDS.keys()
    assert {case.frame["form"] for case in CASES} == FRAMES.keys()
    assert {case.md5_list for case in CASES} - {None} == LIST_SHAPES.keys()
    assert {case.manifest for case in CASES} - {None} == MANIFEST_SHAPES.keys() | RAW_MANIFESTS.keys()
    assert len({case.id for case in CASES}) == len(CASES) == sum(count_cases().values())
