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

from tests.forked import PATIENCE_SECONDS, PROGRAM, Forked, can_be_forked, run_program, start_program
from tests.hub.local_hub import LocalHub

TOKEN = "hf_reader_of_the_local_hub"
REPOSITORY = "tzchen07/hstu-iter78-preservation"


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    with LocalHub() as hub:
        yield hub


NOTING_WAITS = """
import threading
wait = threading.Event.wait

def note(self, timeout=None):
    if timeout is not None:
        with open({noted!r}, "a") as file:
            print(timeout, file=file)
    return wait(self, timeout)

threading.Event.wait = note
"""


@dataclass(kw_only=True)
class Program:
    """The program on a machine of its own: its folder, its home, its token."""

    folder: Path
    environment: dict[str, str]
    text: str = PROGRAM
    """Its text, if it is another one than the console script's."""
    prefix: tuple[str, ...] = ()
    """A command that runs the program, as one without root's power over other people's files."""

    def start(self, *arguments: str, **environment: str) -> Forked:
        """Begin a command, forked."""
        variables = {**self.environment, **environment}
        return start_program(*arguments, program=self.text, cwd=self.folder, environment=variables)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        found = self.complete(arguments, {**self.environment, **environment})
        out, err = found.stdout.decode(), found.stderr.decode()
        assert "Traceback" not in err, err
        assert TOKEN not in out + err
        return subprocess.CompletedProcess(found.args, found.returncode, out, err)

    def complete(self, arguments: tuple[str, ...], environment: dict[str, str]) -> "subprocess.CompletedProcess[bytes]":
        """Run the program to its end, forked where that is the same."""
        if not self.prefix and can_be_forked(environment):
            return run_program(*arguments, program=self.text, cwd=self.folder, environment=environment)
        assert self.text == PROGRAM
        command = [*self.prefix, sys.executable, "-W", "error", "-m", "hstu_preserve", *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, check=False, timeout=PATIENCE_SECONDS
        )

    def run_json(self, *arguments: str, **environment: str) -> Any:
        result = self.run(*arguments, "--json", **environment)
        return json.loads(result.stdout)

    def note_waits(self) -> Path:
        """Have each process from now on note how many seconds it asks to wait; return the file that it notes them in.

        How long it takes says nothing on a machine that does other work beside it.
        """
        noted = self.folder.parent / "waits"
        noted.touch()
        self.text = NOTING_WAITS.format(noted=str(noted)) + self.text
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
