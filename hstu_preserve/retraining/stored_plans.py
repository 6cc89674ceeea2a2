"""Read a plan that was stored before the first retraining."""

from pathlib import Path

from hstu_preserve.primitives.files import read_small
from hstu_preserve.records.retraining.plan import Plan

PLAN_NAME = "plan.json"
MAX_PLAN_BYTES = 2 * 2**20


def read_plan(path: Path) -> Plan:
    """Return a stored plan.

    Raises:
        MissingPathError: There is none.
        ContentError: It is none of this program's.
    """
    return Plan.from_json(read_small(path, max_bytes=MAX_PLAN_BYTES), source=str(path))
