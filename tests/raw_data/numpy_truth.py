"""Meta's preprocessing with NumPy alone, in a process of its own whose features are switched off by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.data.arrays import Int64Array
from hstu_preserve.records.store import TiePolicy

FEATURES_OFF = {
    TiePolicy.NUMPY_INTROSORT: "AVX2 X86_V3 AVX512_SKX X86_V4",
    TiePolicy.NUMPY_AVX2: "AVX512_SKX X86_V4",
    TiePolicy.NUMPY_AVX512_2: "",
}
FLAGS = {TiePolicy.NUMPY_AVX2: "avx2", TiePolicy.NUMPY_AVX512_2: "avx512dq"}
SORT = "import json, sys, numpy; print(json.dumps(numpy.argsort(json.load(sys.stdin), kind='quicksort').tolist()))"
Event = tuple[int, int, float, int]
"""User, item, rating, time."""


def has_instructions(policy: TiePolicy) -> bool:
    """Whether this processor has the instructions of an order of NumPy 2."""
    if policy not in FLAGS:
        return True
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and FLAGS[policy] in cpuinfo.read_text(encoding="utf-8").split()


ORDERS = [
    pytest.param(policy, marks=pytest.mark.skipif(not has_instructions(policy), reason="the processor lacks it"))
    for policy in FEATURES_OFF
]
"""The orders of the NumPy that is installed, skipped if the processor cannot make them."""


def argsort(times: list[int], policy: TiePolicy) -> list[int]:
    """Return the order in which NumPy sorts the times."""
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": FEATURES_OFF[policy]}
    command = [sys.executable, "-W", "ignore", "-c", SORT]
    done = subprocess.run(command, env=environment, input=json.dumps(times), capture_output=True, check=True, text=True)
    order: list[int] = json.loads(done.stdout)
    return order


def make_times(number: int, *, seed: int) -> Int64Array:
    """Return times of which many are equal, in no order."""
    return np.random.default_rng(seed).integers(0, max(number // 20, 1), number)


def group(events: list[Event], policy: TiePolicy) -> dict[int, list[Event]]:
    """Sort all events by time, then group them by user."""
    histories: dict[int, list[Event]] = {}
    for place in argsort([event[3] for event in events], policy):
        histories.setdefault(events[place][0], []).append(events[place])
    return histories


def write_csv(histories: dict[int, list[Event]], path: Path) -> Path:
    """Write histories as Meta's preprocessing writes them."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write("index,user_id,sequence_item_ids,sequence_ratings,sequence_timestamps\n")
        for index, (user, events) in enumerate(histories.items()):
            cells = (",".join(str(event[column]) for event in events) for column in (1, 2, 3))
            stream.write(f"{index},{user}," + ",".join(f'"{cell}"' for cell in cells) + "\n")
    return path
