"""The processes that torchrun started, as its environment tells of them; needs no PyTorch, so that any verb may ask."""

import os
import re
from dataclasses import dataclass

from hstu_preserve.errors import UsageError

MAX_PORT = 65535
MAX_PROCESSES = 100_000
"""More than any run has: a number beyond it is a slip."""
ADVICE = "torchrun sets it; unset RANK and WORLD_SIZE to train in one process"


@dataclass(frozen=True, kw_only=True)
class Processes:
    """What this process is among those of one run.

    Attributes:
        rank: Which one, from 0.
        size: How many there are.
        address: Of the machine on which they meet; None if there is one process.
        port: On that machine; 0 if there is one process.
    """

    rank: int = 0
    size: int = 1
    address: str | None = None
    port: int = 0


def find_processes() -> Processes:
    """Return what the environment says of the processes, one process if it says nothing.

    Raises:
        UsageError: A variable is missing, empty, no number or out of range, or contradicts another one.
    """
    if os.environ.get("RANK") is None and os.environ.get("WORLD_SIZE") is None:
        return Processes()
    size = read_number("WORLD_SIZE", least=1, most=MAX_PROCESSES)
    rank = read_number("RANK", least=0, most=MAX_PROCESSES)
    if rank >= size:
        raise UsageError(f"RANK={rank}: WORLD_SIZE={size} numbers its processes from 0 to {size - 1}")
    if size == 1:
        return Processes()
    find_local_rank(size=size)  # before the others wait for a process that will be refused
    address = read_variable("MASTER_ADDR").strip()
    if not address or re.search(r"[\s/]", address):
        raise UsageError(f"MASTER_ADDR={address!r}: no address of a machine, on which the processes meet; {ADVICE}")
    return Processes(rank=rank, size=size, address=address, port=read_number("MASTER_PORT", least=1, most=MAX_PORT))


def find_local_rank(*, size: int) -> int | None:
    """Return which of the processes on this machine this one is, from 0; None if the environment does not say.

    Args:
        size: How many processes there are on all machines; there cannot be more on this one.

    Raises:
        UsageError: LOCAL_RANK is empty, no number, or out of range.
    """
    if os.environ.get("LOCAL_RANK") is None:
        return None
    return read_number("LOCAL_RANK", least=0, most=size - 1)


def read_variable(name: str) -> str:
    """Return a variable of the environment.

    Raises:
        UsageError: It is not set, or empty.
    """
    value = os.environ.get(name)
    if not value:
        others = [other for other in ("RANK", "WORLD_SIZE") if os.environ.get(other) and other != name]
        beside = f", though {' and '.join(others)} {'is' if len(others) == 1 else 'are'} set" if others else ""
        raise UsageError(f"{name}: {'not set' if value is None else 'empty'}{beside}; {ADVICE}")
    return value


def read_number(name: str, *, least: int, most: int) -> int:
    """Return the whole number that a variable of the environment holds.

    Raises:
        UsageError: It is not set or empty, or holds no whole number within the limits.
    """
    value = read_variable(name)
    # Not `int` alone, which takes " 1_0 " and a thousand digits.
    if not re.fullmatch(r"-?[0-9]{1,9}", value.strip()) or not least <= int(value) <= most:
        raise UsageError(f"{name}={value[:40]}: not a whole number from {least} to {most}; {ADVICE}")
    return int(value)


def require_alone(verb: str) -> None:
    """Require that a command that is one process's work runs in one process.

    Raises:
        UsageError: torchrun started several, or nobody knows how many.
    """
    if os.environ.get("WORLD_SIZE") and read_number("WORLD_SIZE", least=1, most=MAX_PROCESSES) > 1:
        raise UsageError(f"{verb}: runs in one process; only 'train' shares its work among those of torchrun")
