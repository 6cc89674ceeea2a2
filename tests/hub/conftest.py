"""A local hub, and the program run against it as its users run it: the client reads its environment when imported."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.forked import can_be_forked, run_program
from tests.hub.local_hub import LocalHub

TOKEN = "hf_reader_of_the_local_hub"
REPOSITORY = "tzchen07/hstu-iter78-preservation"


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        yield hub


NOTING_WAITS = """
import os, threading
wait = threading.Event.wait

def note(self, timeout=None):
    if timeout is not None:
        with open(os.environ["NOTED_WAITS"], "a") as file:
            print(timeout, file=file)
    return wait(self, timeout)

threading.Event.wait = note
"""


@dataclass(kw_only=True)
class Program:
    """The program on a machine of its own: its folder, its home, its token."""

    folder: Path
    environment: dict[str, str]
    prefix: tuple[str, ...] = ()
    """A command that runs the program, as one without root's power over other people's files."""

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*self.prefix, sys.executable, "-W", "error", "-m", "hstu_preserve", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        found = self.complete(arguments, {**self.environment, **environment})
        out, err = found.stdout.decode(), found.stderr.decode()
        assert "Traceback" not in err, err
        assert TOKEN not in out + err
        return subprocess.CompletedProcess(found.args, found.returncode, out, err)

    def complete(self, arguments: tuple[str, ...], environment: dict[str, str]) -> "subprocess.CompletedProcess[bytes]":
        """Run the program to its end, forked where that is the same."""
        if not self.prefix and can_be_forked(environment):
            return run_program(*arguments, cwd=self.folder, environment=environment)
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=600)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def run_json(self, *arguments: str, **environment: str) -> Any:
        result = self.run(*arguments, "--json", **environment)
        return json.loads(result.stdout)

    def note_waits(self) -> Path:
        """Have each process from now on note how many seconds it asks to wait; return the file that it notes them in.

        How long it takes says nothing on a machine that does other work beside it.
        """
        folder = self.folder.parent / "noting"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(NOTING_WAITS)
        noted = folder / "waits"
        noted.touch()
        places = (str(folder), self.environment.get("PYTHONPATH"))
        self.environment |= {
            "NOTED_WAITS": str(noted),
            "PYTHONPATH": os.pathsep.join(place for place in places if place),
        }
        return noted

    @property
    def files(self) -> dict[str, bytes]:
        """What the user sees."""
        return {str(p.relative_to(self.folder)): p.read_bytes() for p in self.folder.rglob("*") if p.is_file()}

    @property
    def home(self) -> Path:
        return Path(self.environment["HF_HOME"])


@pytest.fixture(scope="session")
def byte_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the many processes find what the first one compiled: half of their time, where nothing else keeps it."""
    return tmp_path_factory.mktemp("byte-code")


@pytest.fixture
def program(hub: LocalHub, tmp_path: Path, byte_code: Path) -> Program:
    folder = tmp_path / "work"
    folder.mkdir()
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("HF_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    own = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "300",  # the hub is slow to answer if other work takes its machine
        "HF_HUB_ETAG_TIMEOUT": "300",
        "NO_PROXY": "*",
        "PYTHONPYCACHEPREFIX": str(byte_code),
    }
    return Program(folder=folder, environment={**inherited, **own})
