"""Find facts about the interpreter, the packages and the checkout, without importing any of them."""

import importlib
import importlib.util
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from hstu_preserve.errors import UnavailableError
from hstu_preserve.primitives.digests import sha256_of_bytes, sha256_of_file
from hstu_preserve.primitives.shipped import PACKAGE

RECORDED_PACKAGES = (
    "torch",
    "fbgemm-gpu",
    "fbgemm-gpu-cpu",
    "numpy",
    "tensorboard",
    "pydantic",
    "gin-config",
    "isal",
)


INSTALL_TORCH = "install this program with its extra 'cpu' or 'cuda', e.g. pip install '.[cpu]' in a checkout"


def require_torch() -> None:
    """Import PyTorch, or raise an error of one sentence.

    Raises:
        UnavailableError: PyTorch is missing or cannot be loaded; the message names the command that installs it.
    """
    problem = find_torch_problem()
    if problem is not None:
        raise UnavailableError(f"{problem}, which training and evaluation need; {INSTALL_TORCH}")


@cache
def find_torch_problem() -> str | None:
    """Return why PyTorch cannot be used here, None if it can.

    Once for the whole process: a second import of half a package fails for another reason.
    """
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed"
    try:
        importlib.import_module("torch")
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # a library is missing, or of another version
        first = next(iter(str(error).splitlines()), type(error).__name__)
        return f"PyTorch is installed but cannot be loaded ({first[:200]})"
    return None


def installed_versions() -> dict[str, str]:
    """Return the version of each recorded package that is installed."""
    versions = {}
    for name in RECORDED_PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def python_version() -> str:
    """Return the interpreter and its version, e.g. `CPython 3.11.7`."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def processor_name() -> str:
    """Return the processor's model if the system tells it, else its family."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def platform_name() -> str:
    """Return the operating system and its C library, e.g. `Linux, glibc 2.36`."""
    libc = " ".join(platform.libc_ver()).strip()
    return f"{platform.system()}, {libc}" if libc else platform.system()


def checkout_commit() -> str | None:
    """Return the commit of the checkout the package runs from, None if it is installed."""
    return run_git("rev-parse", "HEAD")


def checkout_is_modified() -> bool | None:
    """Return whether the checkout has uncommitted changes, None if there is none."""
    status = run_git("status", "--porcelain", "--untracked-files=no")
    return None if status is None else bool(status)


def digest_program() -> str:
    """Return the digest of the package's own files.

    It is the sha256 of what `find . -name '*.py' | LC_ALL=C sort | xargs sha256sum` prints in the package's folder.
    """
    names = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    return sha256_of_bytes("".join(f"{sha256_of_file(PACKAGE / name)}  ./{name}\n" for name in names).encode())


def run_git(*arguments: str) -> str | None:
    """Return git's output in the package's checkout, None if there is no checkout or no git."""
    root: Path = PACKAGE.parent
    if not (root / ".git").exists():
        return None
    try:
        result = subprocess.run(  # noqa: S603  fixed arguments, no shell
            ["git", "-C", str(root), *arguments],  # noqa: S607  git is found on PATH, as its users expect
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
