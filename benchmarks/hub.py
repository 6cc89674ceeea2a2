"""Fetch one file from a hub on this machine: ours with digests, the Hub's client and curl without (`make bench-hub`).

Usage: python -m benchmarks.hub [--rounds N] [--megabytes M] [--folder DIR]

In every round, in turn: `hstu-preserve download`, which compares sha256; `hf_hub_download` over plain HTTP, which does
not; curl on the same address. Each is a process of its own with an empty home; the hub is another one. Time and
processor time are the operating system's. Ratios are medians of the rounds' own ratios. Writes
`benchmarks/results/hub.json`.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.machine import machine_facts
from tests.hub.local_hub import Handler, LocalHub

RESULTS = Path(__file__).with_name("results")
REPOSITORY, NAME = "owner/benchmark", "large.tar.gz"
OURS, CLIENT, CURL = "hstu-preserve", "hf_hub_download", "curl"
CLIENT_SCRIPT = "import sys; from huggingface_hub import hf_hub_download; hf_hub_download(*sys.argv[1:])"


class FastHandler(Handler):
    """Sends whole files at once: what is measured is the client."""

    def send_body(self, body: bytes, *, start: int) -> None:
        self.wfile.write(body)


class FastHub(LocalHub):
    handler = FastHandler


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One process: wall seconds, and seconds of processor time of it and its children."""

    seconds: float
    processor_seconds: float


def serve(connection: Connection, *, num_bytes: int) -> None:
    """Serve one file until the other side hangs up; say where, and under which address without the hub."""
    content = hashlib.shake_128(b"hub").digest(1 << 20) * (num_bytes >> 20)
    with FastHub() as hub:
        hub.add(REPOSITORY, {NAME: content})
        digest = hashlib.sha256(content).hexdigest()
        connection.send((hub.url, f"{hub.storage_url}/lfs/{digest}?signature={hub.sign(digest)}"))
        connection.recv()


def commands(url: str) -> dict[str, list[str]]:
    """Return how each fetches the file."""
    ours = [sys.executable, "-m", "hstu_preserve", "download", NAME, "--repo", REPOSITORY]
    return {
        OURS: ours,
        CLIENT: [sys.executable, "-c", CLIENT_SCRIPT, REPOSITORY, NAME],
        CURL: ["curl", "--silent", "--fail", "--output", NAME, url],
    }


def measure(command: list[str], *, endpoint: str, make_folder: Callable[[], AbstractContextManager[str]]) -> Figure:
    """Run one command with an empty home."""
    settings = {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*"}
    with make_folder() as folder:
        environment = {**os.environ, **settings, "HF_HOME": f"{folder}/home", "PYTHONPATH": str(RESULTS.parents[1])}
        before, begin = os.times(), time.perf_counter()
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        seconds, after = time.perf_counter() - begin, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return Figure(seconds=seconds, processor_seconds=used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=1024, help="MiB")
    parser.add_argument("--folder", type=Path, default=None)
    chosen = parser.parse_args()
    here, there = Pipe()
    server = Process(target=serve, args=(there,), kwargs={"num_bytes": chosen.megabytes << 20}, daemon=True)
    server.start()
    endpoint, address = here.recv()
    runnable = {name: line for name, line in commands(address).items() if name != CURL or shutil.which(CURL)}
    figures: dict[str, list[Figure]] = {name: [] for name in runnable}
    for number in range(chosen.rounds):
        for name, line in runnable.items():
            figure = measure(
                line, endpoint=endpoint, make_folder=lambda: tempfile.TemporaryDirectory(dir=chosen.folder)
            )
            figures[name].append(figure)
            print(f"round {number + 1} {name:16} {chosen.megabytes / figure.seconds:7.0f} MiB/s", flush=True)
    here.send(None)
    server.join()
    ratios = {
        name: statistics.median(o.seconds / ours.seconds for ours, o in zip(figures[OURS], others, strict=True))
        for name, others in figures.items()
        if name != OURS
    }
    for name, ratio in ratios.items():
        print(f"{ratio:.2f} x the throughput of {name}")
    result = {
        "machine": machine_facts(),
        "mebibytes": chosen.megabytes,
        "rounds": {name: [asdict(one) for one in some] for name, some in figures.items()},
        "throughput_ratio_of_ours_to": ratios,
    }
    if chosen.megabytes >= 1024:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "hub.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
