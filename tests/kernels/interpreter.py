"""Run a piece of Python in a process of its own, in which Triton interprets its kernels on the processor."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


def run(program: str, *, cache: Path, interpret: bool = True) -> str:
    """Return what the program prints; it fails if the program does."""
    environment = {"TRITON_CACHE_DIR": str(cache), "PYTHONPATH": ":".join(filter(None, sys.path)), "HOME": str(cache)}
    if interpret:
        environment["TRITON_INTERPRET"] = "1"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
