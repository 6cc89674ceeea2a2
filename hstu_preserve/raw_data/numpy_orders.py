"""Find a NumPy that sorts in one of the four ways that Meta's preprocessing was run with, and let it sort.

`sort_values` of pandas is `argsort(kind="quicksort")` of NumPy. Its order among equal times depends on the algorithm
alone, which NumPy chooses by its version and by the processor. A known answer tells which algorithm a process has.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hstu_preserve.errors import ContentError, MissingPathError, UnavailableError, UsageError
from hstu_preserve.primitives.wording import printable
from hstu_preserve.raw_data import argsort_program
from hstu_preserve.records.record import Record
from hstu_preserve.records.store import NUMPY_POLICIES, TiePolicy

KNOWN_ANSWERS = {
    TiePolicy.NUMPY_INTROSORT: "646809b25b490ce4",
    TiePolicy.NUMPY_AVX512_1: "a5bf5eea82e62e08",
    TiePolicy.NUMPY_AVX2: "efd427465714a14e",
    TiePolicy.NUMPY_AVX512_2: "c4a221ff0e744c05",
}
"""Of `argsort_program.answer`, by the algorithm."""
NEEDS = {
    TiePolicy.NUMPY_INTROSORT: "a NumPy whose vector instructions can be switched off",
    TiePolicy.NUMPY_AVX512_1: "NumPy 1.25 or 1.26 and a processor with AVX-512",
    TiePolicy.NUMPY_AVX2: "NumPy 2 and a processor with AVX2",
    TiePolicy.NUMPY_AVX512_2: "NumPy 2 and a processor with AVX-512",
}
AVX512 = ("AVX512_SKX", "X86_V4")
"""NumPy's names of the feature: up to 2.3, and from 2.4."""
AVX2 = ("AVX2", "X86_V3")
SWITCHED_OFF = {
    TiePolicy.NUMPY_INTROSORT: AVX512 + AVX2,
    TiePolicy.NUMPY_AVX512_1: (),
    TiePolicy.NUMPY_AVX2: AVX512,
    TiePolicy.NUMPY_AVX512_2: (),
}
"""Features that NumPy must not use for the order."""
FLAGS = {
    TiePolicy.NUMPY_AVX512_1: "avx512dq",
    TiePolicy.NUMPY_AVX2: "avx2",
    TiePolicy.NUMPY_AVX512_2: "avx512dq",
}
"""What Linux calls the instructions that an order needs."""
NAMES_OF_FLAGS = {"avx512dq": "AVX-512", "avx2": "AVX2"}
PROGRAM = Path(argsort_program.__file__)
ANSWER_SECONDS = 120
SORT_SECONDS = 3600
MAX_ANSWER_BYTES = 2**12


class NumpyAnswer(Record):
    """How a process's NumPy sorts."""

    version: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class NumpySorter:
    """A Python whose NumPy sorts in the order of a policy."""

    policy: TiePolicy
    python: str
    version: str
    """Of NumPy."""

    def sort(self, times: IO[bytes], order: IO[bytes]) -> None:
        """Write to `order` in which order NumPy sorts `times`, both int64; the process takes 8 bytes for each time.

        Raises:
            UnavailableError: It could not.
        """
        times.seek(0)
        run_program(
            self.python,
            "sort",
            KNOWN_ANSWERS[self.policy],
            policy=self.policy,
            stdin=times,
            stdout=order,
            timeout_seconds=SORT_SECONDS,
        )


def find_sorter(policy: TiePolicy, *, numpy_python: Path | None) -> NumpySorter | None:
    """Return a Python that sorts in the order of a policy: this one, or the other one; None if no NumPy is needed.

    Args:
        policy: A tie policy.
        numpy_python: Another Python, with a NumPy of its own.

    Raises:
        MissingPathError: There is no such Python.
        UsageError: Another Python for an order that needs no NumPy.
        UnavailableError: Neither can; the reasons are given.
    """
    if policy not in NUMPY_POLICIES:
        if numpy_python is not None:
            raise UsageError(f"--numpy-python {numpy_python}: {policy.value} needs no other NumPy; leave it out")
        return None
    reasons = []
    for python in list_pythons(numpy_python):
        try:
            found = ask(python, policy=policy)
        except UnavailableError as error:
            reasons.append(str(error))
            continue
        if found.answer == KNOWN_ANSWERS[policy]:
            return NumpySorter(policy=policy, python=python, version=found.version)
        reasons.append(f"NumPy {printable(found.version[:40])} of {python} {describe_answer(found.answer)}")
    if (lack := find_lack(policy)) is not None:
        raise UnavailableError(f"{policy.value}: needs {NEEDS[policy]}; this processor has no {lack}")
    advice = "" if numpy_python else "; name a Python with such a NumPy with --numpy-python"
    raise UnavailableError(f"{policy.value}: needs {NEEDS[policy]} ({'; '.join(reasons)}){advice}")


def list_pythons(numpy_python: Path | None) -> list[str]:
    """Return this Python and the other one, if one is named.

    Raises:
        MissingPathError: It is not there, or may not be run.
    """
    if numpy_python is None:
        return [sys.executable]
    found = shutil.which(numpy_python)
    if found is None:
        raise MissingPathError(f"--numpy-python {numpy_python}: no such program")
    return [sys.executable, os.path.abspath(found)]  # noqa: PTH100  a link into a virtual environment must stay one


def describe_answer(answer: str) -> str:
    """Return which sort an answer is of."""
    known = {known: policy.value for policy, known in KNOWN_ANSWERS.items()}
    return f"sorts as {known[answer]}" if answer in known else "sorts in an order that this program does not know"


def find_lack(policy: TiePolicy) -> str | None:
    """Return which instructions the processor lacks for an order; None if it has them, or if Linux does not say so."""
    if policy not in FLAGS:
        return None
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), None)
    return None if flags is None or FLAGS[policy] in flags else NAMES_OF_FLAGS[FLAGS[policy]]


def ask(python: str, *, policy: TiePolicy) -> NumpyAnswer:
    """Return how the NumPy of a Python sorts once the features that the order must not use are off.

    Raises:
        UnavailableError: It has no NumPy, or does not answer.
    """
    with tempfile.TemporaryFile() as stdout:
        run_program(
            python, "describe", policy=policy, stdin=subprocess.DEVNULL, stdout=stdout, timeout_seconds=ANSWER_SECONDS
        )
        stdout.seek(0)
        content = stdout.read(MAX_ANSWER_BYTES)
    try:
        return NumpyAnswer.from_json(content, source=python)
    except ContentError:
        raise UnavailableError(f"{python} gives no answer") from None


def run_program(
    python: str,
    *arguments: str,
    policy: TiePolicy,
    stdin: IO[bytes] | int,
    stdout: IO[bytes],
    timeout_seconds: float,
) -> None:
    """Run the sorting program in a process of its own, with the processor's features that the policy allows.

    Raises:
        UnavailableError: It cannot be started, fails, or takes too long.
    """
    environment = {key: value for key, value in os.environ.items() if key != "NPY_ENABLE_CPU_FEATURES"}
    environment["NPY_DISABLE_CPU_FEATURES"] = " ".join(SWITCHED_OFF[policy])
    # Given as text and run in the root folder, so that no file beside it stands in for a module that NumPy imports.
    command = [python, "-W", "ignore", "-c", PROGRAM.read_text(encoding="utf-8"), *arguments]
    with tempfile.TemporaryFile() as stderr:
        try:
            subprocess.run(  # noqa: S603  no shell; this Python, or the one that the user names
                command,
                env=environment,
                cwd="/",
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                timeout=timeout_seconds,
                check=True,
            )
        except OSError as error:
            raise UnavailableError(f"{python} cannot be started ({error.strerror})") from None
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"{python} did not end within {timeout_seconds:g} seconds") from None
        except subprocess.CalledProcessError as error:
            raise UnavailableError(f"{python} fails ({read_reason(stderr) or f'exit {error.returncode}'})") from None


def read_reason(stderr: IO[bytes]) -> str:
    """Return the last line that a failed program wrote."""
    end = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, end - MAX_ANSWER_BYTES))
    lines = stderr.read(MAX_ANSWER_BYTES).decode(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    return printable(last.strip()[:300])
