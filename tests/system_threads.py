"""What the system says of the threads of a process while they come and go."""

from contextlib import suppress
from pathlib import Path


def read_of_threads(name: str, *, pid: int | str = "self") -> dict[str, str]:
    """Return what a file of /proc says of each thread of a process, by thread; one that ends meanwhile is left out."""
    said: dict[str, str] = {}
    with suppress(FileNotFoundError):  # the process itself has ended
        for thread in Path(f"/proc/{pid}/task").iterdir():
            # Of a thread that has ended, the file is gone or, once open, belongs to nobody.
            with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                said[thread.name] = (thread / name).read_text().strip()
    return said
