"""The one place that catches: every deliberate error becomes one sentence and its exit code."""

import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise, takewhile
from typing import Any, Never

from hstu_preserve.cli.output import complain, report_failure, tell
from hstu_preserve.cli.streams import open_standard_streams
from hstu_preserve.errors import PreserveError, UnavailableError, UsageError
from hstu_preserve.primitives.given_paths import expand_home
from hstu_preserve.primitives.leaving import SIGNALS, Leaving
from hstu_preserve.primitives.threads import is_anything_left_behind, require_threads

INTERRUPTED = 130
MAX_OPENBLAS_THREADS = 64
"""What numpy's wheels are built for."""
SPIN_COUNT = "1000"
"""Looks at what is waited for before a thread sleeps; GNU's OpenMP has 300,000. `benchmarks.spinning` measures what it
costs an idle machine and saves a busy one."""
OBJECTS_BEFORE_COLLECTING = 100_000
"""Importing makes objects that stay: looking for garbage among them took a sixth of a short command's time."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: Without the program's name; None takes the process's own.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        from hstu_preserve.cli.app import app

        require_no_empty(given)
        words = [expand_argument(one) for one in given]
        code = app(args=words, prog_name="hstu-preserve", standalone_mode=False)
    except PreserveError as error:
        return fail(error, exit_code=error.exit_code, arguments=given)
    except KeyboardInterrupt:
        return fail(KeyboardInterrupt("interrupted"), exit_code=INTERRUPTED, arguments=given)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        cause = leaving.__context__
        if isinstance(cause, PreserveError):  # torchrun ends a process that is on its way out of an error
            with signalled_later():
                complain(str(cause))
        return code
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return refuse(error, arguments=given)
    return code or 0


def fail(error: BaseException, *, exit_code: int, arguments: Sequence[str]) -> int:
    """Say why a command ended, as JSON too if it was asked for, and return the exit code."""
    with signalled_later():
        complain(str(error))
        if wants_json(arguments):
            report_failure(str(error), kind=type(error).__name__, exit_code=exit_code)
    return exit_code


def refuse(error: Any, *, arguments: Sequence[str]) -> int:
    """Say what the parser cannot read in a command line, in the voice of every other error.

    Args:
        error: Of the parser, whose exceptions are private and told by the method that makes their message.
        arguments: The command line.
    """
    message, context = error.format_message(), getattr(error, "ctx", None)
    if context is not None and message == context.get_help():  # a group of commands without a command
        tell(message)
        return UsageError.exit_code
    command = "hstu-preserve" if context is None else context.command_path
    sentence = f"{message[:1].lower()}{message[1:].removesuffix('.')} (see '{command} --help')"
    return fail(UsageError(sentence), exit_code=UsageError.exit_code, arguments=arguments)


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the command was asked for JSON; after `--` stand names only."""
    return "--json" in takewhile(lambda one: one != "--", arguments)


@contextmanager
def signalled_later() -> Iterator[None]:
    """Hold signals back inside the block, so that a message is printed to its end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def require_no_empty(arguments: Sequence[str]) -> None:
    """Raise UsageError for an empty argument: as a path it would be the current directory, which nobody meant."""
    for before, argument in pairwise(["", *arguments]):
        if not argument:
            after = f" after {before}" if before else ""
            raise UsageError(f"empty argument{after}; a variable of the shell may not be set")
        if argument.startswith("--") and argument.endswith("=") and argument.count("=") == 1:
            raise UsageError(f"{argument}: empty value; a variable of the shell may not be set")


def expand_argument(argument: str) -> str:
    """Return an argument with the user's home for a `~` that the shell leaves: in quotes, and after `--output=`."""
    name, equals, value = argument.partition("=")
    if name.startswith("--") and equals:
        return f"{name}={expand_home(value)}"
    return expand_home(argument)


def run() -> Never:
    """Be the console script: as `main`, and leave with 128 and the signal's number on a signal, after cleaning up."""
    open_standard_streams()
    leaving = Leaving()
    leaving.listen()
    if "RANK" in os.environ:  # torch would write pages of its own calls about every connection that ends
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    gc.set_threshold(OBJECTS_BEFORE_COLLECTING)
    do_with_fewer_threads()
    sleep_between_parallel_parts()
    try:
        exit_code = main()
        leaving.end()  # the outcome was said, and an exception would be a traceback
    except KeyboardInterrupt:  # the outcome was said already
        exit_code = INTERRUPTED
    gc.freeze()  # the process ends: a last search for garbage takes a tenth of a second and frees nothing
    if is_anything_left_behind():  # it would meet a Python that has ended, and abort the process
        end_at_once(exit_code)
    sys.exit(exit_code)


def end_at_once(exit_code: int) -> Never:
    """End the process without ending Python."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(exit_code)


def sleep_between_parallel_parts() -> None:
    """Let OpenMP's threads give up the processor soon while they wait for each other, unless the user set how.

    They wait by spinning. Where other programs want the processors, too, they spin while the one that they wait for
    waits for a processor: beside four busy programs on two cores a training step took 2 to 16 times as long and more.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def do_with_fewer_threads() -> None:
    """Let numpy's OpenBLAS have one thread if the system gives it too few: it would interrupt the process otherwise."""
    try:
        require_threads(min(os.cpu_count() or 1, MAX_OPENBLAS_THREADS) - 1, purpose="numpy")
    except UnavailableError:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # nothing here multiplies with numpy
