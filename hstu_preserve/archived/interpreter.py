"""Ask the interpreter that is to run the code what it is, in a process of its own; no environment is built here."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.archived.imports import PACKAGE_OF_MODULE
from hstu_preserve.errors import UnavailableError
from hstu_preserve.primitives.wording import count, list_some, printable

PROBE_SECONDS = 600.0
"""PyTorch alone may take a minute to import from a network disk."""
MAX_ANSWER_BYTES = 2**20
MARK = "hstu-preserve-probe:"
PROBE = """
import importlib, json, platform, sys
found, wrong = {"python": platform.python_version()}, {}
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
        found[name] = str(getattr(module, "__version__", "") or "")
    except BaseException as error:
        wrong[name] = type(error).__name__ + ": " + (str(error).splitlines() or [""])[0]
    else:
        if not found[name]:
            try:
                from importlib import metadata
                names = metadata.packages_distributions().get(name, [])
                found[name] = metadata.version(names[0]) if names else "unknown"
            except BaseException:
                found[name] = "unknown"
gpus = []
if "torch" in found:
    import torch
    found["cuda"] = str(torch.version.cuda)
    gpus = [torch.cuda.get_device_name(one) for one in range(torch.cuda.device_count())]
print("hstu-preserve-probe:" + json.dumps({"versions": found, "wrong": wrong, "gpus": gpus}))
"""
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV", "USER")
INHERITED_PREFIXES = ("CUDA", "NVIDIA", "NCCL", "OMP_", "MKL_", "GLOO_", "TORCH", "PYTORCH", "TRITON", "KMP_", "CONDA")
"""No token and no other secret is handed to the code."""


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """The interpreter that runs the code.

    Attributes:
        path: The executable.
        versions: Of Python, CUDA and each package the code imports.
        gpus: Those it sees, by name.
    """

    path: Path
    versions: Mapping[str, str]
    gpus: tuple[str, ...]


def make_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process that runs the code: what arithmetic and libraries need, and `extra`."""
    kept = {
        name: value for name, value in os.environ.items() if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", **extra}


def probe(
    path: Path | None,
    *,
    needed: Sequence[str],
    environment: Mapping[str, str],
    timeout_seconds: float = PROBE_SECONDS,
) -> Interpreter:
    """Import what the code needs in its interpreter, and return the versions.

    Args:
        path: The executable; None is the one that runs this program.
        needed: The modules that the code imports.
        environment: Of the process.
        timeout_seconds: After which an import is taken to hang.

    Raises:
        UnavailableError: It does not start, does not end, or lacks a module; the message says what to install.
    """
    path = Path(sys.executable) if path is None else path
    names = list(dict.fromkeys([*needed, *(["numpy"] if "torch" in needed else [])]))
    try:
        result = subprocess.run(  # noqa: S603  the user's interpreter, our text
            [str(path), "-c", PROBE, *names],
            env=dict(environment),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            f"{path}: importing {list_some(names, at_most=8)} took more than {timeout_seconds:.0f} s, and was ended"
        ) from None
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be started ({error.strerror}); name another with --python") from None
    return read_answer(path, result.stdout[-MAX_ANSWER_BYTES:], return_code=result.returncode)


def read_answer(path: Path, output: bytes, *, return_code: int) -> Interpreter:
    """Return what the interpreter said of itself.

    Raises:
        UnavailableError: It said nothing, or lacks a module.
    """
    lines = [line for line in output.decode(errors="replace").splitlines() if line.startswith(MARK)]
    if not lines:
        raise UnavailableError(f"{path}: ended with {return_code} while it imported what the code needs")
    answer = json.loads(lines[-1].removeprefix(MARK))
    if wrong := answer["wrong"]:
        packages = " ".join(PACKAGE_OF_MODULE.get(name, name) for name in wrong)
        first, problem = next(iter(wrong.items()))
        raise UnavailableError(
            f"{path}: lacks {count(len(wrong), 'module')} that the code imports: {list_some(wrong, at_most=8)} "
            f"({first}: {printable(str(problem))[:200]}); in an environment for this code alone: "
            f"{path} -m pip install {packages}; then name its interpreter with --python"
        )
    versions = {printable(name): printable(version) for name, version in answer["versions"].items()}
    return Interpreter(path=path, versions=versions, gpus=tuple(map(printable, answer["gpus"])))
