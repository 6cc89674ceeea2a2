"""Every sentence on retrainings with other seeds, word by word, and what decides which one is said."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.retraining.agreement import RunValue
from hstu_preserve.records.retraining.plan import Look
from hstu_preserve.records.verdict import Outcome, Rung, Verdict
from hstu_preserve.verdict.agreement import (
    Floor,
    Terms,
    find_agreement,
    find_departure,
    judge_agreement,
    judge_missing,
)
from hstu_preserve.verdict.qualifications import qualify
from hstu_preserve.verdict.rungs import choose_exit_code, find_deciders, name_deciders
from hstu_preserve.verdict.statistics import LEVEL
from hstu_preserve.verdict.trajectory import judge_trajectory

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "retraining_sentences.json"
MARGIN = 0.0027
RECORDED = (0.1945, 0.1951, 0.1948)
EQUAL = (0.1940, 0.1950, 0.1938, 0.1947, 0.1945)
LOWER = (0.1893, 0.1903, 0.1891, 0.1900, 0.1898)
BETWEEN = (0.1919, 0.1945, 0.1930, 0.1946, 0.1925)
ARCHIVE = read_catalog()["iter8-exp4-SOTA"]


def make_claim(
    value: float = 0.1948, *, margin: float | None = MARGIN, spread: tuple[float, int] | None = None, **others: Json
) -> Claim:
    policy: dict[str, Json] = {
        "name": "ndcg@10",
        "metric": "ndcg@10",
        "direction": "maximize",
        "protocol": "upstream",
        "selection_rule": "final-epoch",
        "margin": margin,
        "margin_derivation": None if margin is None else "a test",
        "loss_tolerance": 0.001,
        "seeds": [42],
    }
    if spread is not None:
        policy |= {"spread": spread[0], "spread_degrees": spread[1], "spread_derivation": "a test"}
    return Claim.from_json(canonical_dumps({"policy": policy | others, "value": value, "epoch": 1}), source="test")


def make_runs(values: tuple[float, ...], *, first_seed: int = 0, diverged: tuple[int, ...] = ()) -> list[RunValue]:
    return [
        RunValue(seed=seed, value=value, is_diverged=seed in diverged, identity=None)
        for seed, value in enumerate(values, start=first_seed)
    ]


def judge(
    reruns: tuple[float, ...],
    references: tuple[float, ...] = RECORDED,
    *,
    claim: Claim | None = None,
    looks: tuple[Look, ...] | None = None,
    departures: tuple[str, ...] = (),
    margin: float | None = None,
    floor: Floor | None = None,
    diverged: tuple[int, ...] = (),
) -> Verdict:
    claim = claim or make_claim()
    terms = Terms(
        margin=claim.policy.margin if margin is None else margin,
        looks=looks or (Look(num_reruns=len(reruns), level=LEVEL),),
        departures=departures,
    )
    runs = make_runs(reruns, first_seed=50, diverged=diverged)
    agreement = find_agreement(runs, make_runs(references), claim=claim, terms=terms, floor=floor)
    assert agreement is not None
    verdict = judge_agreement(agreement, claim, terms=terms)
    assert verdict.rung is Rung.TRAINING_STATISTICAL
    assert verdict.is_required
    assert verdict.agreement == agreement
    assert Verdict.from_json(verdict.to_json(), source="test") == verdict
    return verdict


CASES: dict[str, tuple[Callable[[], Verdict], Outcome]] = {
    "inside": (lambda: judge(EQUAL), Outcome.REPRODUCED_STATISTICAL),
    "outside": (lambda: judge(LOWER), Outcome.NOT_REPRODUCED),
    "more would decide": (lambda: judge(BETWEEN), Outcome.INCONCLUSIVE),
    "no number would decide": (
        lambda: judge(
            (0.1936, 0.1962, 0.1940, 0.1921, 0.1930), (0.1948,), claim=make_claim(margin=0.0044, spread=(0.0017, 2))
        ),
        Outcome.INCONCLUSIVE,
    ),
    "one against one": (lambda: judge((0.1931,), (0.1948,)), Outcome.INCONCLUSIVE),
    "one against one, with a spread": (
        lambda: judge((0.1931,), (0.1948,), claim=make_claim(spread=(0.0003, 4))),
        Outcome.REPRODUCED_STATISTICAL,
    ),
    "reconstruction": (
        lambda: qualify(judge(EQUAL), ARCHIVE.model_copy(update={"data_fingerprint": "a" * 64, "best_of": None})),
        Outcome.INCONCLUSIVE,
    ),
    "best of several": (lambda: qualify(judge(EQUAL), ARCHIVE), Outcome.INCONCLUSIVE),
    "no fingerprint": (lambda: qualify(judge(LOWER), read_catalog()["paper-hstu-ml-1m"]), Outcome.INCONCLUSIVE),
    "exploratory": (
        lambda: judge(
            EQUAL,
            margin=0.005,
            departures=(find_departure(make_claim(), 0.005) or "",),
        ),
        Outcome.INCONCLUSIVE,
    ),
    "no margin": (lambda: judge(EQUAL, claim=make_claim(margin=None)), Outcome.INCONCLUSIVE),
    "wide margin": (lambda: judge(EQUAL, claim=make_claim(margin=0.0662)), Outcome.REPRODUCED_STATISTICAL),
    "both ends": (lambda: judge((0.1900, 0.2000, 0.1950)), Outcome.INCONCLUSIVE),
    "no scatter": (lambda: judge((0.1948, 0.1948), (0.1948, 0.1948, 0.1948)), Outcome.INCONCLUSIVE),
    "copies recorded": (lambda: judge(EQUAL, (0.1948, 0.1948, 0.1948)), Outcome.REPRODUCED_STATISTICAL),
    "a diverged run": (lambda: judge((0.1940, 0.0, 0.1938), diverged=(51,)), Outcome.INCONCLUSIVE),
    "a spread below the floor": (
        lambda: judge(EQUAL, claim=make_claim(spread=(0.0004, 4)), floor=Floor(value=0.0043, num_users=943)),
        Outcome.REPRODUCED_STATISTICAL,
    ),
    "a small margin": (
        lambda: judge((0.19481, 0.19483), (0.19480, 0.19482), claim=make_claim(margin=0.0003)),
        Outcome.REPRODUCED_STATISTICAL,
    ),
}


def test_verdicts_on_retrainings_are_said_in_these_words(updates_goldens: bool) -> None:
    verdicts = {name: make() for name, (make, _) in CASES.items()}
    assert {name: verdict.outcome for name, verdict in verdicts.items()} == {
        name: one for name, (_, one) in CASES.items()
    }
    found = {name: verdict.reason for name, verdict in verdicts.items()}
    if updates_goldens:
        GOLDEN.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_missing_retrainings_are_counted_with_their_cost() -> None:
    verdict = judge_missing(make_claim(), num_there=2, num_planned=5, lasts="2 h 6 min")
    assert verdict.outcome is Outcome.NOT_RUN
    assert verdict.is_required
    again = "the same command without --dry-run"
    assert verdict.reason == f"2 of 5 retrainings are there; {again} goes on (about 3 × 2 h 6 min)"
    unknown = judge_missing(make_claim(), num_there=0, num_planned=1, lasts=None)
    assert unknown.reason == f"0 of 1 retraining is there; {again} goes on (nobody recorded how long one takes)"
    there = judge_missing(make_claim(), num_there=5, num_planned=5, lasts="2 h 6 min")
    assert there.reason == f"5 of 5 retrainings are there; {again} judges them"


def test_the_first_look_ends_it_if_it_decides_and_later_runs_change_nothing() -> None:
    looks = (Look(num_reruns=3, level=0.96), Look(num_reruns=5, level=0.94))
    first = judge((0.1946, 0.1949, 0.1947, 0.1000, 0.1000), looks=looks)
    assert first.outcome is Outcome.REPRODUCED_STATISTICAL
    assert first.agreement is not None
    assert (first.agreement.look, len(first.agreement.reruns), first.agreement.level) == (1, 3, 0.96)
    assert "96 % interval" in first.reason
    second = judge((*BETWEEN[:4], 0.1935), looks=looks)
    assert second.agreement is not None
    assert (second.agreement.look, len(second.agreement.reruns), second.agreement.level) == (2, 5, 0.94)


def test_before_the_first_look_there_is_no_agreement() -> None:
    terms = Terms(margin=MARGIN, looks=(Look(num_reruns=3, level=0.96), Look(num_reruns=5, level=0.94)))
    runs = make_runs(EQUAL[:2], first_seed=50)
    assert find_agreement(runs, make_runs(RECORDED), claim=make_claim(), terms=terms, floor=None) is None


@pytest.mark.parametrize(
    ("fixed", "margin", "says"),
    [
        (0.0027, 0.0027, None),
        (0.0027, 0.0010, None),
        (None, None, None),
        (0.0027, 0.0027 + 1e-13, None),
        (0.0027, 0.0050, "judged by ±0.0050, the claim fixed ±0.0027 before its run"),
        (None, 0.0050, "judged by ±0.0050, the claim fixed none before its run"),
    ],
)
def test_only_a_wider_margin_is_a_departure(fixed: float | None, margin: float | None, says: str | None) -> None:
    assert find_departure(make_claim(margin=fixed), margin) == says


def test_what_is_exploratory_cannot_pass_nor_fail() -> None:
    for reruns in (EQUAL, LOWER):
        verdict = judge(reruns, departures=("5 retrainings, the plan fixed 3 before its first step",))
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert choose_exit_code([verdict]) == 6


def test_the_worst_value_of_a_minimised_metric_is_1() -> None:
    claim = make_claim(direction="minimize")
    assert "diverged and counts as 1" in judge((1.0, 0.1948), claim=claim, diverged=(50,)).reason


CURVES = [[0.01 * epoch + 0.0004 * run for epoch in range(16)] for run in range(5)]
TRAJECTORIES = {
    "leaves": (
        [[0.01 * epoch + (0.03 if epoch >= 4 else 0.001) for epoch in range(16)]],
        CURVES,
        Outcome.NOT_REPRODUCED,
        "leaves the 95 % band of 5 recorded curves at epoch 4 (0.0700, band 0.0364 to 0.0452), inside before",
    ),
    "leaves at once": (
        [[0.5] * 16],
        CURVES,
        Outcome.NOT_REPRODUCED,
        "leaves the 95 % band of 5 recorded curves at epoch 0 (0.5000, band -0.0036 to 0.0052)",
    ),
    "inside": (
        [CURVES[1], CURVES[2]],
        CURVES,
        Outcome.INCONCLUSIVE,
        "inside the 95 % band of 5 recorded curves at all 16 epochs, which refutes nothing and confirms nothing",
    ),
    "too few": (
        [[0.01 * epoch + (0.0071 if epoch == 12 else 0) for epoch in range(16)]],
        [CURVES[0], CURVES[0]],
        Outcome.INCONCLUSIVE,
        "2 recorded curves make no band (5 do): largest distance 0.0071 at epoch 12",
    ),
}


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_a_curve_is_held_against_the_recorded_ones_and_decides_nothing(name: str) -> None:
    reruns, recorded, outcome, sentence = TRAJECTORIES[name]
    verdict = judge_trajectory(make_claim(), reruns=reruns, recorded=recorded)
    assert (verdict.rung, verdict.outcome, verdict.is_required) == (Rung.TRAJECTORY, outcome, False)
    assert verdict.reason == sentence


def test_the_band_is_that_of_bonferroni_and_student() -> None:
    import numpy as np
    from scipy import stats

    from hstu_preserve.verdict.trajectory import make_bands

    draw = np.random.default_rng(1)
    curves = draw.normal(0.2, 0.01, (6, 9))
    bands = make_bands([list(curve) for curve in curves], num_epochs=9, num_reruns=2)
    reach = stats.t.ppf(1 - 0.05 / 9 / 2, 5) * curves.std(0, ddof=1) * (1 / 2 + 1 / 6) ** 0.5
    assert np.allclose([band.low for band in bands], curves.mean(0) - reach, atol=1e-12)
    assert np.allclose([band.high for band in bands], curves.mean(0) + reach, atol=1e-12)


def test_the_exit_code_is_said_with_the_verdict_that_it_rests_on() -> None:
    held, open_one, failed = judge(EQUAL), judge((0.1931,), (0.1948,)), judge(LOWER)
    trajectory = judge_trajectory(make_claim(), reruns=[[0.5] * 16], recorded=CURVES)
    for verdicts, decider in (([held, trajectory], held), ([held, open_one], open_one), ([open_one, failed], failed)):
        assert find_deciders(verdicts) == [decider]
        assert name_deciders([decider]) == "training-statistical ndcg@10"
    assert find_deciders([trajectory]) == []
    assert name_deciders([]) is None


def test_all_claims_that_came_out_alike_on_the_deciding_rung_are_named() -> None:
    held = judge(EQUAL)
    other, failed = (one.model_copy(update={"claim": "hr@10"}) for one in (held, judge(LOWER)))
    identical = Verdict(
        rung=Rung.BYTES, outcome=Outcome.REPRODUCED_BITWISE, claim=None, reason="x", evidence=(), is_required=True
    )
    assert name_deciders(find_deciders([identical, held, other])) == "training-statistical ndcg@10, hr@10"
    assert name_deciders(find_deciders([identical, held, failed])) == "training-statistical hr@10"
    assert name_deciders(find_deciders([identical])) == "bytes"
    many = [held.model_copy(update={"claim": f"hr@{number}"}) for number in range(7)]
    assert name_deciders(many) == "training-statistical hr@0, hr@1, hr@2, hr@3, hr@4 and 2 more"
