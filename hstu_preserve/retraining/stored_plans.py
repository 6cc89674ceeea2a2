"""Read a plan that was stored before the first retraining."""

from pathlib import Path

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.files import read_small
from hstu_preserve.records.retraining.plan import Plan

PLAN_NAME = "plan.json"
MAX_PLAN_BYTES = 2 * 2**20
ORIGIN = "a plan is the plan.json that 'hstu-preserve reproduce BUNDLE --rung training --seeds N --output DIR' writes"


def read_plan(path: Path) -> Plan:
    """Return a stored plan.

    Raises:
        MissingPathError: There is none.
        ContentError: It is none of this program's.
    """
    try:
        return Plan.from_json(read_small(path, max_bytes=MAX_PLAN_BYTES), source=str(path))
    except ContentError as error:
        why = str(error).removeprefix(f"{path}: ")
        raise ContentError(f"{path}: no plan of this program ({why}); {ORIGIN}") from None
