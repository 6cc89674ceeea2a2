"""The JSON values of records that several rooms' tests start from."""

from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.metric_names import METRIC_NAMES
from hstu_preserve.records.claim import Claim

EVALUATION: dict[str, Json] = {
    "protocol": "upstream",
    "part": "test",
    "epoch": 1,
    "data_fingerprint": "0" * 64,
    "filter_all_seen": False,
    "num_users": 10,
    "num_users_skipped": 0,
    "coverage_at_10": 0.5,
    "num_candidates": 20,
    "metrics": dict.fromkeys(METRIC_NAMES, 0.5),
    "exact_mrr": 0.5,
    "num_clamped": 0,
    "num_unrankable": 0,
    "num_tied": 0,
    "num_nearly_tied": 0,
    "ranks_sha256": "0" * 64,
}


def make_claim(
    value: float, *, margin: float | None, metric: str = "ndcg@10", name: str | None = None, direction: str = "maximize"
) -> Claim:
    """Return a claim of the last epoch of a run."""
    policy: Json = {
        "name": name or metric,
        "metric": metric,
        "direction": direction,
        "protocol": "upstream",
        "selection_rule": "final-epoch",
        "margin": margin,
        "margin_derivation": None if margin is None else "a test",
        "loss_tolerance": 0.001,
        "seeds": [42],
    }
    return Claim.from_json(canonical_dumps({"policy": policy, "value": value, "epoch": 1}), source="test")
