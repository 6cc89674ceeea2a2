"""A process that the system gives no thread beside its first, as where a limit of processes or pids is reached."""

import os
import shutil
import subprocess
from pathlib import Path

IN_C = """
#include <errno.h>
#include <pthread.h>
int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*work)(void *), void *with) { return EAGAIN; }
"""
IN_PYTHON = """
import threading
def refuse(*arguments, **named):
    raise RuntimeError("can't start new thread")
threading._start_new_thread = threading._start_joinable_thread = refuse
"""


def make_threadless(folder: Path) -> dict[str, str]:
    """Return what to add to a process's environment; without a C compiler, only Python's own threads are refused."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is not None:
        source, library = folder / "threadless.c", folder / "threadless.so"
        source.write_text(IN_C)
        command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source)]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return {"LD_PRELOAD": str(library)}
    (folder / "sitecustomize.py").write_text(IN_PYTHON)
    places = (str(folder), os.environ.get("PYTHONPATH"))
    return {"PYTHONPATH": os.pathsep.join(place for place in places if place)}
