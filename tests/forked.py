"""Run the program in a process of its own, forked from one that has imported it: imports take most of a short run."""

import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CLIENT_NEEDS = ("asyncio", "filelock", "httpx", "httpx2", "idna", "tqdm", "yaml")
"""What the Hub's client imports. It is not imported itself: it reads the environment when it is."""
CONTEXT.set_forkserver_preload(
    [
        "hstu_preserve.cli.app",
        "hstu_preserve.verbs.train",
        "fbgemm_gpu",
        "tests.forked_preload",
        "tensorboard.compat.proto.event_pb2",
        *CLIENT_NEEDS,
    ]
)
FORKED_CHANGES = ("HF_", "HSTU_", "NO_PROXY", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "PYTEST_")
"""How variables begin that the program reads itself, so that one that was forked reads them as one that was started."""
STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
PATIENCE_SECONDS = 600


def run_program(
    *arguments: str | bytes, cwd: Path, stdin: bytes = b"", environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[bytes]":
    """Run one command as the console script does, warnings being errors, and return what it printed."""
    words = [os.fsdecode(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "stdin").write_bytes(stdin)
        process = CONTEXT.Process(target=be_the_program, args=(words, str(cwd), dict(environment), name))
        process.start()
        process.join(PATIENCE_SECONDS)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{words} did not end in {PATIENCE_SECONDS} s")
        out, err = ((folder / stream).read_bytes() for stream in ("stdout", "stderr"))
    return subprocess.CompletedProcess(words, process.exitcode, out, err)


def can_be_forked(environment: Mapping[str, str]) -> bool:
    """Whether the program in this environment is the same when it is forked as when it is started."""
    names = environment.keys() | os.environ.keys()
    return all(name.startswith(FORKED_CHANGES) for name in names if environment.get(name) != os.environ.get(name))


def be_the_program(arguments: list[str], cwd: str, environment: dict[str, str], folder: str) -> None:
    """Be the new process."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for descriptor, (name, mode) in enumerate(STREAMS):
        with open(Path(folder) / name, f"{mode}b") as stream:  # noqa: PTH123
            os.dup2(stream.fileno(), descriptor)
        raw = open(descriptor, f"{mode}b", closefd=False)  # noqa: SIM115  until the process ends
        setattr(sys, name, io.TextIOWrapper(raw, encoding="utf-8", line_buffering=name == "stderr"))
    sys.argv = ["hstu-preserve", *arguments]
    warnings.simplefilter("error")
    from hstu_preserve.cli.main import run

    run()
