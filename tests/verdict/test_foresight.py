"""What is said before hours are spent."""

import pytest

from hstu_preserve.records.retraining.plan import Look
from hstu_preserve.verdict.foresight import LEAST_POWER, describe_power, foresee
from hstu_preserve.verdict.statistics import power
from tests.verdict.test_agreement import make_claim, make_runs

EQUAL = "ndcg@10: 5 retrainings of an equal recipe against"
UNKNOWN = (
    "ndcg@10: nothing is known of the scatter over seeds before two retrainings are there (1 recorded run, no "
    "claim.spread), so that nobody can say how likely they decide"
)


@pytest.mark.parametrize(
    ("margin", "references", "spread", "says", "is_weak"),
    [
        (
            0.0027,
            (0.1945, 0.1951, 0.1948),
            None,
            f"{EQUAL} 3 recorded runs come out inside ±0.0027 in 100 % of cases (spread 0.0003)",
            False,
        ),
        (
            0.0052,
            (0.1893,),
            (0.0019, 2),
            f"{EQUAL} 1 recorded run come out inside ±0.0052 in 45 % of cases (spread 0.0019)",
            True,
        ),
        (
            0.0001,
            (0.1893,),
            (0.0019, 2),
            f"{EQUAL} 1 recorded run come out inside ±0.0001 in less than 1 % of cases (spread 0.0019)",
            True,
        ),
        (
            0.0052,
            (0.1893,),
            None,
            UNKNOWN,
            False,
        ),
        (
            None,
            (0.1893,),
            (0.0019, 2),
            "ndcg@10: the claim fixed no margin, so that nothing can be decided; --margin X explores",
            False,
        ),
    ],
    ids=["sure", "weak", "hopeless", "unknown", "no margin"],
)
def test_power_is_said_before_anything_is_trained(
    margin: float | None, references: tuple[float, ...], spread: tuple[float, int] | None, says: str, is_weak: bool
) -> None:
    claim = make_claim(references[0], margin=margin, spread=spread)
    found = foresee(claim, margin=margin, last_look=Look(num_reruns=5, level=0.9), references=make_runs(references))
    assert describe_power(found) == says
    assert found.is_weak is is_weak
    if "less than 1 %" in says:
        assert found.power is not None
        assert found.power < LEAST_POWER


def test_the_degrees_are_those_that_the_last_interval_will_have() -> None:
    claim = make_claim(spread=(0.0019, 2), margin=0.0052)
    found = foresee(claim, margin=0.0052, last_look=Look(num_reruns=5, level=0.9), references=make_runs((0.19,)))
    assert found.power == power(0.0052, num_reruns=5, num_references=1, spread=0.0019, degrees=6)
