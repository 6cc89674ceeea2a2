"""Find which packages a script needs, by reading its imports and those of the files it imports; nothing is run."""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

MAX_FILES = 2000
MAX_FILE_BYTES = 4 * 2**20
TENSORBOARD_WRITER = "torch.utils.tensorboard"
PACKAGE_OF_MODULE: Mapping[str, str] = {
    "absl": "absl-py",
    "cv2": "opencv-python",
    "fbgemm_gpu": "fbgemm-gpu",
    "gin": "gin-config",
    "google": "protobuf",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
"""The packages whose modules have another name."""


def list_needed(root: Path, *, entry: str) -> tuple[str, ...]:
    """Return the modules, by their first names, that a script imports from neither the code nor Python itself.

    Imports within functions, conditions and `try` are not counted: code may do without them.

    Args:
        root: The code's folder.
        entry: The script below it.
    """
    waiting, seen, needed = [entry], {entry}, set[str]()
    folders = (PurePosixPath(entry).parent, PurePosixPath())
    while waiting and len(seen) <= MAX_FILES:
        file = waiting.pop()
        for module in list_imports(root / file, package=PurePosixPath(file).parent):
            found = [path for folder in folders for path in locate(root, folder, module)]
            if TENSORBOARD_WRITER in module:
                needed.add("tensorboard")
            first = module.partition(".")[0]
            if not found and first not in sys.stdlib_module_names:
                needed.add(first)
            waiting += [path for path in found if path not in seen]
            seen.update(found)
    return tuple(sorted(needed - {""}))


def list_imports(path: Path, *, package: PurePosixPath) -> Iterator[str]:
    """Yield the dotted name of everything that a file imports when it is imported itself."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return  # the run will say more of it
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield from spell_import(statement, package=package)


def spell_import(statement: ast.ImportFrom, *, package: PurePosixPath) -> Iterable[str]:
    """Return `a.b.c` for `from a.b import c`, a relative one from the code's top; c may be a module or none."""
    above = package.parts[: len(package.parts) - statement.level + 1] if statement.level else ()
    base = ".".join([*above, *([statement.module] if statement.module else [])])
    return [f"{base}.{alias.name}" if base else alias.name for alias in statement.names]


def locate(root: Path, folder: PurePosixPath, module: str) -> list[str]:
    """Return the files of the code that importing a module runs; nothing if the module is not of the code."""
    found, place = [], folder
    for part in module.split("."):
        place = place / part
        candidates = (place.with_suffix(".py"), place / "__init__.py")
        found += [candidate.as_posix() for candidate in candidates if (root / candidate).is_file()]
        if not found and not (root / place).is_dir():
            return []
    return found
