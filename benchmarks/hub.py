"""Fetch one file from a hub on this machine: ours with digests, the Hub's client and curl without (`make bench-hub`).

Usage: python -m benchmarks.hub [--rounds N] [--megabytes M] [--folder DIR]...

In every round, another one beginning each: `hstu-preserve download`, which compares sha256; `hf_hub_download` over
plain HTTP, which does not; curl on the same address. Each is a process of its own with an empty home, its byte code
cached as an installed program's is, and begins a second after everything was written back. The hub is another
process. Time and processor time are the operating system's. A file of 1 KiB tells how much of it is starting up.
Ratios are medians of the rounds' own ratios. Several folders, on a disk and in memory say, are measured one after the
other. Writes `benchmarks/results/hub.json`.
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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing import Pipe, Process
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, sleep

from benchmarks.machine import machine_facts
from hstu_preserve.primitives.json_values import Json
from tests.hub.local_hub import Handler, LocalHub

RESULTS = Path(__file__).with_name("results")
REPOSITORY, LARGE, SMALL = "owner/benchmark", "large.tar.gz", "small.tar.gz"
OURS, CLIENT, CURL = "hstu-preserve", "hf_hub_download", "curl"
CLIENT_SCRIPT = "import sys; from huggingface_hub import hf_hub_download; hf_hub_download(*sys.argv[1:])"
RECORDED_FROM_MEBIBYTES = 1024


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


@dataclass(frozen=True, kw_only=True)
class Served:
    """Where the hub is, and each file's address without the hub."""

    endpoint: str
    addresses: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What is measured: programs that fetch from a hub into new folders."""

    served: Served
    folder: Path
    byte_code: Path

    def list_commands(self, file: str) -> dict[str, list[str]]:
        """Return how each fetches a file."""
        commands = {
            OURS: [sys.executable, "-m", "hstu_preserve", "download", file, "--repo", REPOSITORY],
            CLIENT: [sys.executable, "-c", CLIENT_SCRIPT, REPOSITORY, file],
        }
        fetch = ["curl", "--silent", "--fail", "--output", file, self.served.addresses[file]]
        return {**commands, CURL: fetch} if shutil.which(CURL) else commands

    def measure(self, command: list[str]) -> Figure:
        """Run one command with an empty home."""
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        settings = {
            "HF_ENDPOINT": self.served.endpoint,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "*",
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "PYTHONPYCACHEPREFIX": str(self.byte_code),
        }
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            environment = {**inherited, **settings, "HF_HOME": f"{folder}/home"}
            os.sync()
            sleep(1)  # what that leaves to the disk, discarded blocks for one, is done then
            before, begin = os.times(), perf_counter()
            subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
            seconds, after = perf_counter() - begin, os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        return Figure(seconds=seconds, processor_seconds=used)

    def run(self, *, rounds: int, mebibytes: int) -> dict[str, Json]:
        """Return every figure and what follows from them."""
        large, small = self.list_commands(LARGE), self.list_commands(SMALL)
        for command in small.values():
            self.measure(command)  # compiles what it imports
        starting = {name: self.measure(command).seconds for name, command in small.items()}
        figures: dict[str, list[Figure]] = {name: [] for name in large}
        for number in range(rounds):
            names = [*large][number % len(large) :] + [*large][: number % len(large)]  # another one begins each round
            for name in names:
                figures[name].append(self.measure(large[name]))
                rate = mebibytes / figures[name][-1].seconds
                print(f"{self.folder}, round {number + 1}: {rate:5.0f} MiB/s {name}", flush=True)
        ratios: dict[str, Json] = {
            name: compare(figures[OURS], others) for name, others in figures.items() if name != OURS
        }
        for name, ratio in ratios.items():
            print(f"{self.folder}: {ratio:.2f} x the throughput of {name}")
        return {
            "medium": find_medium(self.folder),
            "mebibytes_per_second": {
                name: mebibytes / statistics.median(one.seconds for one in some) for name, some in figures.items()
            },
            "throughput_ratio_of_ours_to": ratios,
            "seconds_for_one_kibibyte": {**starting},
            "rounds": {name: [asdict(one) for one in some] for name, some in figures.items()},
        }


def compare(ours: Sequence[Figure], others: Sequence[Figure]) -> float:
    """Return the median of how many times faster ours was, round by round."""
    return statistics.median(other.seconds / own.seconds for own, other in zip(ours, others, strict=True))


def find_medium(folder: Path) -> str:
    """Return the type of the file system that a folder is on."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    above = {str(folder.resolve()), *map(str, folder.resolve().parents)}
    return max((len(place), kind) for place, kind in mounts if place in above)[1]


def serve(connection: Connection, *, mebibytes: int) -> None:
    """Serve a large and a small file until the other side hangs up."""
    block = hashlib.shake_128(b"hub").digest(1 << 20)
    contents = {LARGE: block * mebibytes, SMALL: block[:1024]}
    with FastHub() as hub:
        hub.add(REPOSITORY, contents)
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        addresses = {
            name: f"{hub.storage_url}/lfs/{digest}?signature={hub.sign(digest)}" for name, digest in digests.items()
        }
        connection.send(Served(endpoint=hub.url, addresses=addresses))
        connection.recv()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=RECORDED_FROM_MEBIBYTES, help="MiB")
    parser.add_argument("--folder", type=Path, action="append", help="may be repeated; default: the temporary folder")
    chosen = parser.parse_args()
    here, there = Pipe()
    server = Process(target=serve, args=(there,), kwargs={"mebibytes": chosen.megabytes}, daemon=True)
    server.start()
    served = here.recv()
    with tempfile.TemporaryDirectory() as byte_code:
        results = [
            Bench(served=served, folder=folder, byte_code=Path(byte_code)).run(
                rounds=chosen.rounds, mebibytes=chosen.megabytes
            )
            for folder in chosen.folder or [Path(tempfile.gettempdir())]
        ]
    here.send(None)
    server.join()
    if chosen.megabytes >= RECORDED_FROM_MEBIBYTES:
        RESULTS.mkdir(exist_ok=True)
        record = {"machine": machine_facts(), "mebibytes": chosen.megabytes, "media": results}
        (RESULTS / "hub.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
