"""Compare a run as it began with the run that would go on; refuse to resume another run."""

from pathlib import Path

from hstu_preserve.bundle.layout import RUN_RECORD
from hstu_preserve.errors import DataMismatchError, UsageError
from hstu_preserve.primitives.json_values import Json, flatten
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.manifest import RunRecord

MAX_SHOWN = 5


def require_same_run(stored: RunRecord, now: RunRecord, *, output: Path) -> None:
    """Require the recipe, policies, settings, data and number of processes that were fixed before the first step.

    Raises:
        DataMismatchError: Another dataset.
        UsageError: Anything else differs; the first differences are named.
    """
    if stored.data.fingerprint != now.data.fingerprint:
        raise DataMismatchError(
            f"{output}: cannot be resumed on other data (fingerprint {stored.data.fingerprint} of {stored.data.name} "
            f"then, {now.data.fingerprint} of {now.data.name} now)"
        )
    then, today = (dict(flatten("", describe(run))) for run in (stored, now))
    differing = [
        f"{name}: {then.get(name)} then, {today.get(name)} now"
        for name in sorted(then.keys() | today.keys())
        if then.get(name) != today.get(name)
    ]
    if differing:
        shown = list_some(differing, at_most=MAX_SHOWN, separator="; ")
        raise UsageError(
            f"{output}: cannot be resumed, since it is another run than {RUN_RECORD} fixed before the first step "
            f"({shown}); name a new directory with --output"
        )


def describe(run: RunRecord) -> dict[str, Json]:
    """Return the settings that must not change while a run is under way."""
    value = run.to_json_value()
    assert isinstance(value, dict)
    numerics = run.environment.numerics
    kept = {name: value[name] for name in ("recipe", "policies", "bundle")}
    return kept | {"data.included": run.data.included, "processes": numerics.processes if numerics else None}


def list_changes(stored: RunRecord, now: RunRecord) -> list[str]:
    """Return how arithmetic and code differ from those the run began with: no bit is promised then."""
    before, after = stored.environment.numerics, now.environment.numerics
    changes = after.list_differences(before) if before and after else []
    if stored.code != now.code:
        changes.append(f"code: {describe_code(now)} here, {describe_code(stored)} recorded")
    return changes


def describe_code(run: RunRecord) -> str:
    """Return release and commit in words."""
    commit = f" at commit {run.code.commit}" if run.code.commit else ""
    return f"{run.code.version}{commit}{' with changes' if run.code.modified else ''}"
