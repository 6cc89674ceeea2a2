"""Refuse to run in several processes a command that is one process's work."""

from hstu_preserve.compute.world import find_world
from hstu_preserve.errors import UsageError


def require_alone(verb: str) -> None:
    """Raise UsageError where torchrun started several processes for a command that is one process's work."""
    if find_world().size > 1:
        raise UsageError(f"{verb}: runs in one process; only 'train' shares its work among those of torchrun")
