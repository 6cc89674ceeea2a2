"""The catalog's margins and spreads, and what it says of their power."""

import re

import pytest

from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.records.catalog import CatalogClaim
from hstu_preserve.verdict.statistics import pool, power

HEADLINES = {name: claim for name, entry in read_catalog().items() if (claim := entry.find_claim("ndcg@10"))}
PUBLISHED_TWICE = {
    0.00071: ([0.2195, 0.2202], [0.2098, 0.2106, 0.2101], [0.1878, 0.1895]),
    0.0019: ([0.2010, 0.2000], [0.1893, 0.1856]),
}


def measure_power(claim: CatalogClaim, *, num_reruns: int) -> float:
    """Of re-runs against the one published number, whose own scatter adds to what is known of the spread."""
    assert claim.margin is not None
    assert claim.spread is not None
    assert claim.spread_degrees is not None
    return power(
        claim.margin,
        num_reruns=num_reruns,
        num_references=1,
        spread=claim.spread,
        degrees=claim.spread_degrees + num_reruns - 1,
    )


@pytest.mark.parametrize("name", HEADLINES)
def test_every_headline_has_a_margin_with_its_derivation(name: str) -> None:
    claim = HEADLINES[name]
    assert claim.margin is not None
    assert claim.margin_derivation
    assert (claim.spread is None) is ("no spread is known" in claim.margin_derivation)


@pytest.mark.parametrize("name", [name for name, claim in HEADLINES.items() if claim.spread is not None])
def test_the_power_that_the_catalog_states_is_the_claims_and_too_little_of_it_is_said(name: str) -> None:
    claim = HEADLINES[name]
    assert claim.margin_derivation is not None
    stated = re.search(r"come out inside in (\d+) % of cases", claim.margin_derivation)
    assert stated is not None
    assert int(stated[1]) == pytest.approx(100 * measure_power(claim, num_reruns=5), abs=1)
    assert ("underpowered" in claim.margin_derivation) is (measure_power(claim, num_reruns=5) < 0.5)
    if most := re.search(r"no number of them in more than (\d+) %", claim.margin_derivation):
        assert int(most[1]) == pytest.approx(100 * measure_power(claim, num_reruns=200), abs=1)


@pytest.mark.parametrize("spread", PUBLISHED_TWICE)
def test_a_spread_is_that_of_the_numbers_it_is_derived_from(spread: float) -> None:
    groups = PUBLISHED_TWICE[spread]
    found = pool(groups, declared=None)
    assert found is not None
    assert found.value == pytest.approx(spread, rel=0.03)
    assert found.degrees == sum(len(group) - 1 for group in groups)
    claims = [claim for claim in HEADLINES.values() if claim.spread == spread]
    assert claims
    for claim in claims:
        assert found.degrees == claim.spread_degrees
        assert claim.spread_derivation is not None
        assert all(", ".join(f"{value:.4f}" for value in group) in claim.spread_derivation for group in groups)
