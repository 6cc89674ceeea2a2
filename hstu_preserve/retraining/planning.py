"""Fix seeds, looks and policy of retrainings before the first step, in a folder that outlives the command."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count as count_from
from itertools import islice
from pathlib import Path

from hstu_preserve.bundle.destinations import require_writable
from hstu_preserve.errors import UsageError
from hstu_preserve.gin_recipes.writer import write_gin
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.primitives.temporaries import remove_abandoned_below
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.manifest import Manifest
from hstu_preserve.records.record import SCHEMA_VERSION
from hstu_preserve.records.retraining.plan import GivenRun, Look, Plan
from hstu_preserve.retraining.asked import Retraining
from hstu_preserve.retraining.stored_plans import PLAN_NAME, read_plan
from hstu_preserve.runs.lock import hold
from hstu_preserve.verdict.statistics import LEVEL, choose_looks

FIXED = {
    "identity": "another bundle",
    "recipe_sha256": "another recipe",
    "policy_sha256": "other claims",
    "data_fingerprint": "other data",
    "gin": "another recipe's text",
}
"""What no later call may change, and what it is called."""


@contextmanager
def plan_folder(output: Path, *, voice: Voice) -> Iterator[Path]:
    """Yield the folder of a plan and its runs, new or begun before; no other command works in it meanwhile.

    It stays whatever happens, unless it is empty: a run that was cut goes on in it.

    Raises:
        UsageError: It is a file, holds something else, lies inside of a run, or another process works in it.
        UnavailableError: It cannot be written.
    """
    if not output.exists():
        require_writable(output, option="--output")
    with hold(output, voice=voice):
        remove_abandoned_below(output)
        others = sorted(entry.name for entry in output.iterdir())
        if others and PLAN_NAME not in others:
            raise UsageError(
                f"{output}: holds {others[0]} and no {PLAN_NAME}, so that no retrainings go on in it; name a new "
                "directory with --output"
            )
        try:
            yield output
        finally:
            with suppress(OSError):  # it is not empty
                output.rmdir()


@dataclass(frozen=True, kw_only=True)
class SettledPlan:
    """The plan that was fixed first, and the one that is followed.

    Attributes:
        fixed: Before the first step.
        followed: What was asked for now.
        departures: How the two differ, in words; empty if they do not.
    """

    fixed: Plan
    followed: Plan
    departures: Sequence[str]


def settle_plan(wanted: Plan, *, folder: Path | None) -> SettledPlan:
    """Write the plan that is wanted, unless one was fixed before, with which it is compared.

    Raises:
        UsageError: The folder holds the plan of another bundle, recipe or data.
        ContentError: What is there is no plan.
        UnavailableError: It cannot be written.
    """
    if folder is None:
        return SettledPlan(fixed=wanted, followed=wanted, departures=())
    path = folder / PLAN_NAME
    if not path.exists():
        write_atomically(path, wanted.to_json())
        return SettledPlan(fixed=wanted, followed=wanted, departures=())
    fixed = read_plan(path)
    for name, what in FIXED.items():
        if getattr(fixed, name) != getattr(wanted, name):
            raise UsageError(
                f"{folder}: holds the plan of {what} ({name} {shorten(getattr(fixed, name))}, "
                f"now {shorten(getattr(wanted, name))}); name a new directory with --output"
            )
    return SettledPlan(fixed=fixed, followed=wanted, departures=list_departures(fixed, wanted))


def shorten(value: str) -> str:
    """Return the beginning of a digest or text, on one line."""
    return f"{value.splitlines()[0][:16]}…"


def list_departures(fixed: Plan, wanted: Plan) -> list[str]:
    """Return how a later call differs from the plan that was fixed before the first step."""
    departures = []
    before, now = (plan.looks[-1].num_reruns for plan in (fixed, wanted))
    if before != now:
        departures.append(f"{count(now, 'retraining')}, the plan fixed {before} before its first step")
    elif (fixed.given, fixed.seeds) != (wanted.given, wanted.seeds):
        departures.append("other runs are named with --rerun than the plan fixed")
    elif fixed.looks != wanted.looks:
        departures.append("looked at otherwise than the plan fixed")
    for one, other in zip(fixed.margins, wanted.margins, strict=False):
        if one != other:
            departures.append(f"judged by {show_margin(other)}, the plan fixed {show_margin(one)}")
    return list(dict.fromkeys(departures))


def show_margin(margin: float | None) -> str:
    """Return a margin as it is printed."""
    return "no margin" if margin is None else f"±{margin:.4f}"


def make_plan(manifest: Manifest, *, identity: str, asked: Retraining, given: Sequence[GivenRun]) -> Plan:
    """Return the plan of what was asked for: the smallest seeds that nobody used, and when the interval is looked at.

    Args:
        manifest: Of the bundle whose claims are judged.
        identity: Of the bundle.
        asked: How many seeds, and by which margin.
        given: The runs that were named.

    Raises:
        UsageError: A run has a recorded seed, or two have the same.
    """
    require_new_draws(manifest, given)
    run = manifest.run
    used = {*list_recorded_seeds(manifest), *(one.seed for one in given)}
    seeds = tuple(islice((seed for seed in count_from() if seed not in used), asked.num_seeds or 0))
    total = len(given) + len(seeds)
    num_references = 1 + len(manifest.claims[0].references)
    looks = choose_looks(total, num_references=num_references) if seeds else {total: LEVEL}
    return Plan(
        schema_version=SCHEMA_VERSION,
        identity=identity,
        recipe_sha256=run.recipe_sha256,
        policy_sha256=sha256_of_bytes(canonical_dumps([claim.to_json_value() for claim in manifest.claims])),
        data_fingerprint=run.data.fingerprint,
        margins=tuple(asked.margin if asked.margin is not None else claim.policy.margin for claim in manifest.claims),
        given=tuple(given),
        seeds=seeds,
        looks=tuple(Look(num_reruns=number, level=level) for number, level in looks.items()),
        gin=write_gin(run.recipe, run.policies, run.bundle),
    )


def list_recorded_seeds(manifest: Manifest) -> set[int]:
    """Return the seeds behind the claims, whether their runs are in the bundle or not."""
    listed = {seed for policy in manifest.run.policies for seed in policy.seeds}
    return {manifest.run.recipe.training.random_seed, *listed}


def require_new_draws(manifest: Manifest, given: Sequence[GivenRun]) -> None:
    """Raise UsageError if a named run repeats a recorded seed or that of another one: it would be no new draw."""
    recorded = list_recorded_seeds(manifest)
    seen: set[int] = set()
    for run in given:
        if run.seed in recorded:
            raise UsageError(f"--rerun: seed {run.seed} is the recorded draw again; leave --rerun out to judge it")
        if run.seed in seen:
            raise UsageError(f"--rerun: two runs have seed {run.seed}, and one draw made twice is one draw")
        seen.add(run.seed)
