"""What it costs to let OpenMP's threads spin less while they wait: training steps on an idle machine and a busy one.

Usage: python -m benchmarks.spinning [--loops N] [--rounds N] [--seconds S]

A step of ml-1m's shape on the fast path, alone and beside N busy loops: the settings take turns, each in a process of
its own. The command line sets `GOMP_SPINCOUNT` to what `cli.main` has. A process that does not take its steps in S
seconds is ended, and counts as S over their number. Writes `benchmarks/results/spinning.json`.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import machine_facts
from benchmarks.own_process import read_figures
from benchmarks.steps import WARM_UP, Bench
from hstu_preserve.cli.main import SPIN_COUNT
from tests.busy_loops import busy_loops

RESULT = Path(__file__).with_name("results") / "spinning.json"
SHAPE = "ml-1m base"
NUM_STEPS = 15
SETTINGS: dict[str, dict[str, str]] = {
    "OpenMP's own": {},
    "as the command line": {"GOMP_SPINCOUNT": SPIN_COUNT},
    "ten times it": {"GOMP_SPINCOUNT": str(int(SPIN_COUNT) * 10)},
    "not at all": {"OMP_WAIT_POLICY": "passive"},
}


def main() -> None:
    """Measure, record and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loops", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=120, help="the most that a process may take")
    parser.add_argument("--steps", action="store_true", help="take steps in this process; prints JSON")
    options = parser.parse_args()
    if options.steps:
        print(json.dumps({"step_seconds": time_steps()}))
        return
    places = {"alone": 0, "beside loops": options.loops}
    content: dict[str, Any] = {
        "command": f"python -m benchmarks.spinning --loops {options.loops} --rounds {options.rounds}",
        "shape": SHAPE,
        "steps": NUM_STEPS,
        "loops": options.loops,
        "rounds": options.rounds,
        "a process that was ended counts as": count_ended(options.seconds),
        "step_seconds": {
            place: measure(loops, rounds=options.rounds, seconds=options.seconds) for place, loops in places.items()
        },
        "machine": machine_facts(),
    }
    RESULT.write_text(json.dumps(content, indent=2) + "\n")
    print(json.dumps(content["step_seconds"], indent=1))


def time_steps() -> float:
    """Return the median seconds of a step."""
    step, seconds = Bench(SHAPE).make_ours("fast"), []
    for number in range(WARM_UP + NUM_STEPS):
        start = time.perf_counter()
        step(number)
        seconds.append(time.perf_counter() - start)
    return round(statistics.median(seconds[WARM_UP:]), 4)


def measure(num_loops: int, *, rounds: int, seconds: int) -> dict[str, list[float]]:
    """Return each setting's median step beside so many busy loops, round by round."""
    found: dict[str, list[float]] = {name: [] for name in SETTINGS}
    with busy_loops(num_loops):
        for _ in range(rounds):
            for name, environment in SETTINGS.items():
                found[name].append(measure_one(environment, seconds))
    return found


def measure_one(environment: dict[str, str], seconds: int) -> float:
    """Return the median step of one setting, or what it is at the least if the time ran out."""
    try:
        figures = read_figures("-m", "benchmarks.spinning", "--steps", environment=environment, seconds=seconds)
    except subprocess.TimeoutExpired:
        return count_ended(seconds)
    step_seconds: float = figures["step_seconds"]
    return step_seconds


def count_ended(seconds: int) -> float:
    """Return the seconds that a step took at the least, on average, if not all were taken in time."""
    return round(seconds / (WARM_UP + NUM_STEPS), 4)


if __name__ == "__main__":
    main()
