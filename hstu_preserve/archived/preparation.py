"""Make ready to run somebody else's code: trust it, unpack it, probe its interpreter. Nothing of it is run before."""

from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.archived import shim
from hstu_preserve.archived.code import Code, describe_code, find_entry, require_trusted, unpack_code
from hstu_preserve.archived.imports import list_needed
from hstu_preserve.archived.interpreter import Interpreter, make_environment, probe
from hstu_preserve.archived.settings import ArchivedSettings
from hstu_preserve.bundle.destinations import require_new
from hstu_preserve.errors import UnavailableError
from hstu_preserve.primitives.files import refuse_unwritable
from hstu_preserve.primitives.removal import remove_tree
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.primitives.wording import printable

CODE_FOLDER = "code"


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Trusted code in a folder, and an interpreter that can import it.

    Attributes:
        settings: What the user asked for.
        code: The code as it was handed in.
        root: Where it was unpacked.
        entry: The script below it.
        interpreter: The one that runs it.
        device: `cpu` or `cuda`.
    """

    settings: ArchivedSettings
    code: Code
    root: Path
    entry: str
    interpreter: Interpreter
    device: str


def prepare(settings: ArchivedSettings, *, voice: Voice) -> Prepared:
    """Unpack the trusted code into the output folder, and probe its interpreter.

    If it cannot be run, the output folder is removed again.

    Raises:
        UsageError: Another digest than the trusted one, or none; no such entry; the output folder exists.
        ContentError: The code's archive cannot be read whole, or changed meanwhile.
        UnavailableError: The interpreter lacks something, or there is no such device.
    """
    code = describe_code(settings.code)
    entry = find_entry(code, settings.entry)
    require_trusted(code, settings.trusted, plan=describe_plan(settings, entry=entry))
    require_new(settings.output, option="--output")
    with refuse_unwritable(settings.output):
        settings.output.mkdir(parents=True)
    try:
        root = settings.output / CODE_FOLDER
        unpack_code(code, root)
        voice.say(f"code sha256:{code.digest} unpacked to {root}; asking its interpreter for what it imports")
        interpreter = probe(
            settings.python,
            needed=list_needed(root, entry=entry),
            environment=make_environment(settings.environment),
        )
        device = choose_device(settings.device, interpreter)
    except BaseException:
        remove_tree(settings.output)
        raise
    return Prepared(settings=settings, code=code, root=root, entry=entry, interpreter=interpreter, device=device)


def describe_plan(settings: ArchivedSettings, *, entry: str) -> str:
    """Say what would be run."""
    python = settings.python or "this program's Python"
    return f"{python} would run {printable(entry)} on {settings.device}"


def choose_device(device: str, interpreter: Interpreter) -> str:
    """Return `cpu` or `cuda`: a GPU if the code's PyTorch sees one.

    Raises:
        UnavailableError: A GPU was asked for, and it sees none.
    """
    if device == "auto":
        return "cuda" if interpreter.gpus else "cpu"
    if device == "cuda" and not interpreter.gpus:
        torch, cuda = (interpreter.versions.get(name) for name in ("torch", "cuda"))
        raise UnavailableError(
            f"--device cuda: {interpreter.path} sees no GPU (torch {torch}, built for CUDA {cuda}); "
            "use --device cpu, or an environment whose torch fits this machine's driver"
        )
    return device


def read_shim() -> bytes:
    """Return the file that adapts PyTorch in the code's processes."""
    return Path(shim.__file__).read_bytes()
