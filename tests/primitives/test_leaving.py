"""Signals end the process even if they come while Python frees an object, where it drops every exception."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, time
from hstu_preserve.primitives.leaving import Leaving

class Freed:
    def __del__(self):
        os.kill(os.getpid(), {number})
        for _ in range(1000):
            pass

leaving = Leaving()
leaving.listen()
try:
    {lose}
    while True:
        time.sleep(0.05)
except SystemExit as error:
    print("cleaned up")
    raise
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(130)
"""
LOSSES = {
    "a destructor": "Freed()",
    "a callback of a weak reference": "import weakref\n    o = Freed.__new__(type('F', (), {{}}))\n"
    "    r = weakref.ref(o, lambda _: (os.kill(os.getpid(), {number}), time.sleep(0.01)))\n    del o",
    "two destructors in a row": "Freed(); Freed()",
    "a collection of garbage": "import gc\n    o = Freed(); o.o = o; del o; gc.collect()",
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_that_is_dropped_comes_again(number: signal.Signals, code: int, lose: str, tmp_path: Path) -> None:
    program = PROGRAM.format(number=int(number), lose=lose.format(number=int(number)))
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False)
    assert (result.returncode, result.stderr) == (code, ""), result.stderr
    assert result.stdout in {"cleaned up\n", "interrupted\n"}


def test_what_else_cannot_be_raised_is_said_as_ever() -> None:
    program = (
        "from hstu_preserve.primitives.leaving import Leaving\n"
        "class Freed:\n    def __del__(self): raise ValueError('theirs')\n"
        "Leaving().listen()\nFreed()\nprint('goes on')"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "goes on\n")
    assert "ValueError: theirs" in result.stderr
