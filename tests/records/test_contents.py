"""Listings of files, their differences, and what verification makes of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.records.contents import FileRecord, Finding, FindingClass, Role, compare
from hstu_preserve.records.verification import Verification, VerificationReport, VerifiedTarget

listings = st.dictionaries(st.sampled_from("abcdefg"), st.tuples(st.integers(0, 2), st.sampled_from("01")), max_size=6)
Listing = dict[str, tuple[int, str]]


def make_records(listing: Listing) -> list[FileRecord]:
    return [
        FileRecord(path=path, size=size, sha256=digit * 64, role=Role.RESULT) for path, (size, digit) in listing.items()
    ]


@given(before=listings, after=listings)
def test_every_difference_of_two_listings_is_found_once_and_in_order(before: Listing, after: Listing) -> None:
    expected = {
        **dict.fromkeys(before.keys() - after.keys(), FindingClass.MISSING),
        **dict.fromkeys(after.keys() - before.keys(), FindingClass.UNEXPECTED),
        **{path: FindingClass.CHANGED for path in before.keys() & after.keys() if before[path] != after[path]},
    }
    findings = compare(make_records(before), make_records(after))
    assert [(finding.path, finding.finding_class) for finding in findings] == sorted(expected.items())
    for finding in findings:
        assert (finding.expected is None) is (finding.finding_class is FindingClass.UNEXPECTED)
        assert (finding.found is None) is (finding.finding_class is FindingClass.MISSING)


def test_a_listing_does_not_differ_by_its_order() -> None:
    records = make_records({"a": (1, "0"), "b": (2, "1")})
    assert compare(records, records[::-1]) == []


@pytest.mark.parametrize(
    ("expected", "found", "text"),
    [
        (None, None, "a/b: changed"),
        ("x", None, "a/b: changed (expected x)"),
        ("x", "y", "a/b: changed (expected x, found y)"),
    ],
)
def test_a_finding_is_one_line(expected: str | None, found: str | None, text: str) -> None:
    finding = Finding(finding_class=FindingClass.CHANGED, path="a/b", expected=expected, found=found)
    assert finding.describe() == text


def test_a_verification_without_a_manifest_is_not_ok_even_without_findings() -> None:
    verification = Verification(
        source="x",
        identity=None,
        transport_sha256=None,
        manifest=None,
        findings=(),
        members_checked=0,
        bytes_checked=0,
    )
    assert not verification.ok


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 2], 2),
        ([2, 4], 4),
        ([4, 3, 2, 0], 3),
        ([6, 5, 4], 4),
        ([6, 0], 6),
    ],
)
def test_several_targets_exit_with_the_first_of_3_4_5_6_that_occurred(codes: list[int], expected: int) -> None:
    targets = tuple(VerifiedTarget(target="x", verification=None, deep=(), error="e", exit_code=code) for code in codes)
    assert VerificationReport(targets=targets).exit_code == expected
