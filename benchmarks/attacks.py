"""What hostile input costs on the command line: exit code, processor seconds and peak memory of every case.

Usage: python -m benchmarks.attacks [--every N]       (every Nth case of each kind; all by default)

Each case is a process of its own, as a user starts it. Of kinds that need PyTorch, whose import alone takes more than
the limit, the memory of an honest bundle is shown beside it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.machine import machine_facts
from hstu_preserve.primitives.json_values import Json
from tests.bundle.archives import compress, join, read_pieces
from tests.corpus.archives.generators import GENERATORS as ARCHIVES
from tests.corpus.archives.generators import assemble
from tests.corpus.bundles import negative_controls
from tests.corpus.cases import read_cases
from tests.corpus.legacy import generators as legacy
from tests.corpus.manifests.generators import GENERATORS as MANIFESTS
from tests.factories import make_sealed_run
from tests.gin_recipes.test_gin_reader import BAD_TEXTS
from tests.hub.faults import ALWAYS, Fault
from tests.hub.local_hub import LocalHub
from tests.hub.test_hostile_answers import ABSURD_LISTINGS
from tests.records.test_large_manifests import MANIFESTS as LARGE_MANIFESTS

RESULT = Path(__file__).with_name("results") / "attacks.json"
MAX_SECONDS, MAX_MEGABYTES = 5.0, 150.0
EXPECTED = frozenset({0, 2, 3, 4, 5, 6})


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One call of the program.

    Attributes:
        kind: What it is an example of.
        name: Of the case.
        arguments: Of the command line.
        environment: Beside the present one.
        needs_torch: Whether the command computes, so that PyTorch is imported.
    """

    kind: str
    name: str
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    needs_torch: bool = False


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one call took."""

    attack: Attack
    exit_code: int
    cpu_seconds: float
    megabytes: float
    has_traceback: bool


class Launcher:
    """A small process that starts the program: what a process once held counts for those that it forks."""

    def __enter__(self) -> Self:
        """Start it."""
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.process.communicate()

    def measure(self, attack: Attack, *, cwd: Path) -> Cost:
        """Run the program and return what it took."""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **dict(attack.environment)}
        said = cwd / "said"
        call = {"arguments": [sys.executable, "-m", "hstu_preserve", *attack.arguments], "environment": environment}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({**call, "cwd": str(cwd), "said": str(said)}) + "\n")
        self.process.stdin.flush()
        status, seconds, kibibytes = json.loads(self.process.stdout.readline())
        return Cost(
            attack=attack,
            exit_code=os.waitstatus_to_exitcode(status),
            cpu_seconds=seconds,
            megabytes=kibibytes / 1024,
            has_traceback=b"Traceback" in said.read_bytes(),
        )


LAUNCHER = """
import json, os, sys
for line in sys.stdin:
    call = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(call["cwd"])
        said = os.open(call["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for place in (1, 2):
            os.dup2(said, place)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execve(call["arguments"][0], call["arguments"], call["environment"])
    _, status, usage = os.wait4(child, 0)
    print(json.dumps([status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]), flush=True)
"""


def list_archives(folder: Path) -> Iterator[Attack]:
    """Yield forged archives of this program's format, of each class of the corpus."""
    run = folder / "honest"
    make_sealed_run(run)
    honest = read_pieces(run)
    for case in read_cases("archives"):
        path = folder / f"{case.id}.tar.gz"
        path.write_bytes(ARCHIVES[case.generator](list(honest), str(folder), **case.arguments))
        yield Attack(kind=f"archive: {case.class_name}", name=case.id, arguments=("verify", str(path)))


def list_manifests(folder: Path) -> Iterator[Attack]:
    """Yield archives whose manifest is forged, or asks for more memory than it has bytes."""
    run = folder / "honest"
    make_sealed_run(run)
    pieces = read_pieces(run)
    honest = (run / "MANIFEST.json").read_bytes()
    forged = {
        case.id: (f"manifest: {case.class_name}", MANIFESTS[case.generator](honest, **case.arguments))
        for case in read_cases("manifests")
    }
    large = {f"large {name}": ("manifest: large", content) for name, content in LARGE_MANIFESTS.items()}
    for name, (kind, content) in (forged | large).items():
        path = folder / f"{name.replace('/', '_')}.tar.gz"
        path.write_bytes(compress(join(assemble(content, pieces[1:-1]))))
        yield Attack(kind=kind, name=name, arguments=("verify", str(path)))


def list_legacy(folder: Path) -> Iterator[Attack]:
    """Yield legacy archives, of each class of the corpus."""
    for case in legacy.read_cases():
        place = folder / case.id
        place.mkdir()
        path = legacy.build(case, folder=place)
        for verb in ("verify", "show"):
            yield Attack(kind=f"legacy archive: {case.kind}", name=f"{case.id} {verb}", arguments=(verb, str(path)))


def list_gins(folder: Path) -> Iterator[Attack]:
    """Yield gin files that cannot be read."""
    for number, (name, (text, _)) in enumerate(BAD_TEXTS.items()):
        path = folder / f"{number}.gin"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        yield Attack(kind="gin file", name=name, arguments=("show", str(path)))


def list_controls(folder: Path) -> Iterator[Attack]:
    """Yield bundles whose digests fit and whose content contradicts itself."""
    material = negative_controls.make_material(folder)
    for case in negative_controls.read_cases():
        place = folder / case.id
        place.mkdir()
        bundle = negative_controls.build(case, material, folder=place)
        command = case.command_line(bundle, material)
        yield Attack(
            kind=f"forged bundle: {case.kind}",
            name=case.id,
            arguments=tuple(command),
            needs_torch="--deep" in command or command[0] in {"reproduce", "evaluate"},
        )


def list_listings(folder: Path) -> Iterator[Attack]:
    """Yield what a Hub answers that means harm; the hub lives as long as its answer is asked for."""
    for number, (body, _) in enumerate(ABSURD_LISTINGS):
        with LocalHub() as hub:
            hub.spoil(Fault(pattern="GET /api/models", status=200, body=body, times=ALWAYS))
            environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "home"), "NO_PROXY": "*"}
            yield Attack(
                kind="listing of a Hub",
                name=str(number),
                arguments=("download", "--all", "--repo", "me/x", "--dry-run"),
                environment=tuple(environment.items()),
            )


KINDS: tuple[Callable[[Path], Iterator[Attack]], ...] = (
    list_archives,
    list_manifests,
    list_legacy,
    list_gins,
    list_controls,
    list_listings,
)


def summarize(costs: list[Cost]) -> dict[str, Json]:
    """Return one row for each kind: how many cases, their exit codes, and the dearest."""
    kinds: dict[str, list[Cost]] = {}
    for cost in costs:
        kinds.setdefault(cost.attack.kind, []).append(cost)
    return {
        kind: {
            "cases": len(found),
            "exit_codes": " ".join(map(str, sorted({cost.exit_code for cost in found}))),
            "most_cpu_seconds": round(max(cost.cpu_seconds for cost in found), 2),
            "most_megabytes": round(max(cost.megabytes for cost in found)),
            "needs_torch": any(cost.attack.needs_torch for cost in found),
        }
        for kind, found in kinds.items()
    }


def find_problems(costs: list[Cost]) -> list[Json]:
    """Return the cases beyond a limit, or that ended as no command may."""
    return [
        {
            "case": f"{cost.attack.kind}, {cost.attack.name}",
            "exit_code": cost.exit_code,
            "cpu_seconds": round(cost.cpu_seconds, 2),
            "megabytes": round(cost.megabytes),
            "traceback": cost.has_traceback,
        }
        for cost in costs
        if cost.has_traceback
        or cost.exit_code not in EXPECTED
        or cost.cpu_seconds > MAX_SECONDS
        or (cost.megabytes > MAX_MEGABYTES and not cost.attack.needs_torch)
    ]


def main(arguments: list[str]) -> int:
    """Measure every case, print a row for each kind, record all of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args(arguments)
    costs: list[Cost] = []
    with Launcher() as launcher:
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                attacks = enumerate(kind(folder))
                costs += [launcher.measure(one, cwd=folder) for number, one in attacks if number % options.every == 0]
    record = {
        "command": f"python -m benchmarks.attacks --every {options.every}",
        "cases": len(costs),
        "kinds": summarize(costs),
        "problems": find_problems(costs),
        "machine": machine_facts(),
    }
    print(json.dumps(record, indent=2))
    RESULT.write_text(json.dumps(record, indent=2) + "\n")
    return 1 if record["problems"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
