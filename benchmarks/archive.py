"""Pack and verify a generated bundle beside the shell tools that people use for it (`make bench-archive`).

Usage: python -m benchmarks.archive [--rounds N] [--scale S] [--alone] [--folder DIR]

The bundle is 4 × 160 MB of float32 weights, 12 × 5 MB of JSON lines and 200 small files, times S. In every round, in
turn: our pack; `tar czf; md5sum`; our verify; `md5sum; tar xzf; md5sum` of everything; reading with inflating, and
hashing, measured apart (the floor of verify). Each is a process of its own; time and peak memory are the operating
system's. Ratios are medians of the rounds' own ratios. Writes `benchmarks/results/archive.json`, or `archive-xS.json`
for another scale. With --alone the peers are left out: for the memory of bundles that tar would take minutes over.
"""

import argparse
import json
import multiprocessing
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import machine_facts
from tests.factories import make_sealed_run

RESULTS = Path(__file__).with_name("results")
WEIGHT_BYTES, NUM_WEIGHTS = 160 * 10**6, 4
LINES_BYTES, NUM_LINES = 5 * 10**6, 12
NUM_SMALL = 200
OURS = ("pack", "verify")
FLOOR_NAME = "floor of verify"
INFLATING_NAME = "inflating alone"

FLOOR = """
import hashlib, sys, time
from isal import igzip_lib
def clock(step):
    start = time.perf_counter(); step(); return time.perf_counter() - start
def inflate():
    inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    with open(sys.argv[1], "rb") as stream:
        while not inflater.eof:
            inflater.decompress(stream.read(1 << 18) if inflater.needs_input else b"", 1 << 17)
def digest():
    total, chunk = hashlib.sha256(), bytes(1 << 20)
    for _ in range(int(sys.argv[2]) >> 20): total.update(chunk)
inflate_seconds = clock(inflate)
print(inflate_seconds, inflate_seconds + clock(digest))
"""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One process: wall seconds, and the peak memory of its largest process in MB."""

    seconds: float
    peak_megabytes: float


def measure(command: list[str], *, environment: dict[str, str]) -> Figure:
    """Run one command to its end; a failure stops the benchmark."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"failed: {shlex.join(command)}")
    return Figure(seconds=seconds, peak_megabytes=usage.ru_maxrss / 1000)


def keep_bytecode(folder: Path) -> dict[str, str]:
    """Return an environment in which Python keeps bytecode, as it does of every installed package."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, "PYTHONPYCACHEPREFIX": str(folder)}


def generate(root: Path, *, scale: int) -> int:
    """Make a sealed run of the benchmark's size and return its bytes."""
    generator = np.random.default_rng(1)
    files = {f"config/part-{n:03}.gin": f"# part {n}\n".encode() * 20 for n in range(NUM_SMALL)}
    make_sealed_run(root, files=files)
    for n in range(NUM_WEIGHTS * scale):
        weights = generator.normal(0, 0.02, WEIGHT_BYTES // 4).astype(np.float32)
        (root / "ckpts" / f"weights-{n}").write_bytes(weights.tobytes())
    for n in range(NUM_LINES * scale):
        losses = generator.normal(5, 1, LINES_BYTES // 50)
        lines = (f'{{"epoch":{k // 1000},"loss":"{loss.hex()}","step":{k}}}\n' for k, loss in enumerate(losses))
        (root / "results" / f"lines-{n}.jsonl").write_text("".join(lines))
    reseal(root)
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def reseal(root: Path) -> None:
    """Bind what was added after the factory sealed the run."""
    from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal

    manifest = read_tree_manifest(root).manifest
    seal(root, manifest=manifest.model_copy(update={"contents": record_files(root)}))


def compare(work: Path, *, rounds: int, tree_bytes: int, alone: bool) -> dict[str, list[Figure]]:
    """Return every round's figures by what was measured; alone, of our pack and verify only."""
    ours, theirs, tree = work / "ours.tar.gz", work / "theirs.tar.gz", work / "tree"
    program = [sys.executable, "-m", "hstu_preserve"]
    shell_verify = (
        f"md5sum {ours} && mkdir {work}/x && tar xzf {ours} -C {work}/x && find {work}/x -type f | xargs md5sum"
    )
    commands = {
        "pack": ["sh", "-c", f"rm -f {ours}; exec {shlex.join([*program, 'pack', str(tree), '--output', str(ours)])}"],
        "tar czf; md5sum": ["sh", "-c", f"tar czf {theirs} -C {tree} . && md5sum {theirs}"],
        "verify": [*program, "verify", str(ours)],
        "md5sum; tar xzf; md5sum": ["sh", "-c", shell_verify],
    }
    if alone:
        commands = {name: commands[name] for name in OURS}
    environment = keep_bytecode(work / "bytecode")
    for verb in (["verify", "sample"], ["pack", "--help"]):  # the first run of each compiles it
        subprocess.run([*program, *verb], env=environment, stdout=subprocess.DEVNULL, check=True)
    figures: dict[str, list[Figure]] = {
        name: [] for name in [*commands, *([] if alone else [INFLATING_NAME, FLOOR_NAME])]
    }
    for _ in range(rounds):
        for name, command in commands.items():
            figures[name].append(measure(command, environment=environment))
            subprocess.run(["rm", "-rf", str(work / "x")], check=True)
        if alone:
            continue
        floor = [sys.executable, "-c", FLOOR, str(ours), str(tree_bytes)]
        printed = subprocess.run(floor, capture_output=True, text=True, check=True).stdout.split()
        for name, seconds in zip((INFLATING_NAME, FLOOR_NAME), map(float, printed), strict=True):
            figures[name].append(Figure(seconds=seconds, peak_megabytes=0.0))
    return figures


def ratio(figures: dict[str, list[Figure]], name: str, peer: str) -> float:
    """Return the median over the rounds of one time divided by its peer's."""
    pairs = zip(figures[name], figures[peer], strict=True)
    return round(statistics.median(mine.seconds / its.seconds for mine, its in pairs), 4)


def list_ratios(figures: dict[str, list[Figure]], *, ours: int, theirs: int) -> dict[str, float]:
    """Return our times and our size divided by the peers'."""
    return {
        "verify / (md5sum; tar xzf; md5sum)": ratio(figures, "verify", "md5sum; tar xzf; md5sum"),
        "inflating alone / (md5sum; tar xzf; md5sum)": ratio(figures, INFLATING_NAME, "md5sum; tar xzf; md5sum"),
        "verify / inflating alone": ratio(figures, "verify", INFLATING_NAME),
        "verify / floor": ratio(figures, "verify", FLOOR_NAME),
        "pack / (tar czf; md5sum)": ratio(figures, "pack", "tar czf; md5sum"),
        "bundle size / tar czf": round(ours / theirs, 5),
    }


def main() -> None:
    """Run the rounds, print and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        work = Path(folder)
        # In a process of its own: a child's peak memory begins with its parent's.
        with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
            tree_bytes = pool.submit(generate, work / "tree", scale=options.scale).result()
        figures = compare(work, rounds=options.rounds, tree_bytes=tree_bytes, alone=options.alone)
        ours = (work / "ours.tar.gz").stat().st_size
        theirs = 0 if options.alone else (work / "theirs.tar.gz").stat().st_size
    record = {
        "command": "python -m benchmarks.archive" + (f" --scale {options.scale}" if options.scale > 1 else ""),
        "tree_bytes": tree_bytes,
        "bundle_bytes": ours,
        "median_seconds": {
            name: round(statistics.median(f.seconds for f in runs), 3) for name, runs in figures.items()
        },
        "peak_megabytes": {name: max(f.peak_megabytes for f in runs) for name, runs in figures.items()},
        **({} if options.alone else list_ratios(figures, ours=ours, theirs=theirs)),
        "rounds": options.rounds,
        "machine": machine_facts(),
    }
    name = "archive.json" if options.scale == 1 else f"archive-x{options.scale}.json"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / name).write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps({key: value for key, value in record.items() if key != "machine"}, indent=2))


if __name__ == "__main__":
    main()
