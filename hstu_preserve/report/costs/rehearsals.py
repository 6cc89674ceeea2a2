"""Describe a dry run of a training."""

from rich.console import Group, RenderableType
from rich.text import Text

from hstu_preserve.primitives.wording import count, describe_duration, printable
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.estimates.costs import Rehearsal
from hstu_preserve.report.tables import describe_numerics, list_fields, list_warnings


def describe_rehearsal(record: Rehearsal) -> RenderableType:
    """Return what was measured, and below it what follows from it."""
    steps = ", ".join(f"{seconds:.3g} s" for seconds in record.step_seconds)
    measured = {
        "recipe": f"{record.target}, sha256:{record.recipe_sha256[:16]}…",
        "data": f"{record.data_name}, fingerprint {record.data_fingerprint[:16]}…",
        "parameters": f"{record.num_parameters:,}",
        "steps": describe_steps(record),
        "measured on": describe_machine(record.environment),
        "first steps": steps,
        "ranking": f"{record.users_per_second:,.3g} users a second",
        "memory": f"{describe_bytes(record.peak_memory_bytes)} at the most, so far",
        "a checkpoint": describe_bytes(record.checkpoint_bytes),
    }
    most = "at most " if record.may_end_early else ""
    seeds = f" for {count(record.num_seeds, 'seed')}" if record.num_seeds > 1 else ""
    users = f"{record.evaluated_users:,} users a seed"
    follows = {
        "training": f"{most}{describe_duration(record.training_seconds)}",
        "evaluations": f"{most}{describe_duration(record.evaluation_seconds)} ({users})",
        "together": f"{most}{describe_duration(record.seconds)}{seeds}",
    }
    basis = Text(printable(f"extrapolated from {record.basis}. Nothing was written."), style="dim")
    return Group(*list_warnings(record.warnings), list_fields(measured), Text(), list_fields(follows), Text(), basis)


def describe_steps(record: Rehearsal) -> str:
    """Return how many steps a training has."""
    epochs = count(record.num_epochs, "epoch")
    return f"{record.num_steps:,}: {epochs} of {record.steps_per_epoch:,} ({record.num_users:,} users)"


def describe_machine(environment: EnvironmentRecord) -> str:
    """Return where it was measured, on one line."""
    numerics = environment.numerics
    return "" if numerics is None else f"{describe_numerics(numerics)}, {environment.training_path} path"


def describe_bytes(number: int) -> str:
    """Return `3.6 GB`, `492 MB` or `0.3 MB`."""
    if number >= 1e9:
        return f"{number / 1e9:.1f} GB"
    return f"{number / 1e6:.0f} MB" if number >= 1e7 else f"{number / 1e6:.1f} MB"
