"""Give the process streams that keep its promises: talk that cannot be said changes nothing, records that cannot do."""

import os
import sys
from collections.abc import Iterable
from io import TextIOWrapper
from typing import TextIO, cast

from hstu_preserve.errors import UnavailableError

READER_GONE = 141
"""What the shell gives for a process that ended because nobody reads its output any more (128 + SIGPIPE)."""


def open_standard_streams() -> None:
    """Give the process the standard streams that whoever started it had closed, and let each take any text.

    Otherwise the next file that is opened would take their descriptors and receive the program's output.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115  open until the process ends
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # paths need not be text
    # Not only what this program prints goes through them: usage errors, help and bars of libraries do, too.
    sys.stdout = cast("TextIO", RecordStream(sys.stdout))
    sys.stderr = cast("TextIO", TalkStream(sys.stderr))


class GuardedStream:
    """A standard stream that decides itself what an error in writing means."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> object:
        """Return what the stream itself has: whether it is a terminal, its encoding, its descriptor."""
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write text, and return how many characters."""
        try:
            return self.stream.write(text)
        except OSError as error:
            self.fail(error)
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand what was written to the system."""
        try:
            self.stream.flush()
        except OSError as error:
            self.fail(error)
        failure, self.failure = self.failure, None  # told once: Python flushes the stream again at exit
        if failure is not None:
            self.tell(failure)

    def fail(self, error: OSError) -> None:
        """Remember an error of the system; what could not be written is dropped, or Python tries it again at exit.

        It is told when the stream is flushed: libraries that try how a stream takes text swallow what they meet.
        """
        self.failure = error
        drop_unwritten(self.stream)

    def tell(self, error: OSError) -> None:
        """Act on an error of the system."""


class TalkStream(GuardedStream):
    """Standard error: talk that nobody can hear, as on a full disk, stops no work and changes no exit code."""


class RecordStream(GuardedStream):
    """Standard output: a record that cannot be written is an error."""

    def tell(self, error: OSError) -> None:
        """End the command, whose record is lost.

        Raises:
            UnavailableError: It cannot be written, as on a full disk.
            SystemExit: Nobody reads it any more.
        """
        if isinstance(error, BrokenPipeError):
            raise SystemExit(READER_GONE) from None
        raise UnavailableError(f"standard output: cannot be written ({error.strerror or error})") from None


def drop_unwritten(stream: TextIO) -> None:
    """Discard the unwritten text of a stream: Python would write it again at exit, and fail again."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123  no path of the user's
        os.dup2(nowhere.fileno(), stream.fileno())
