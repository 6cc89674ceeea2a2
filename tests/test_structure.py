"""The plan of the house: how deep imports go, how large a room may be, how long a function."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "hstu_preserve"
LONGEST_CHAIN = 22
LARGEST_ROOM_LINES = 2600
LONGEST_BODY_LINES = 40


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


TREES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}


def list_imports(module: str) -> Iterator[str]:
    """Every module of the package that a module imports, within functions and for type checkers, too."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ImportFrom) and node.module in TREES:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if below in TREES else node.module


@cache
def find_longest_chain(module: str) -> tuple[str, ...]:
    below = [find_longest_chain(one) for one in set(list_imports(module)) - {module}]
    return (module, *max(below, key=len, default=()))


def test_no_chain_of_imports_is_too_long() -> None:
    longest = max(map(find_longest_chain, TREES), key=len)
    assert len(longest) <= LONGEST_CHAIN, " -> ".join(longest)


def test_no_room_is_too_large() -> None:
    for room in (file.parent for file in PACKAGE.glob("*/**/__init__.py")):  # one within another counts by itself
        num_lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in room.glob("*.py"))
        assert num_lines <= LARGEST_ROOM_LINES, room.name


def test_no_function_is_too_long() -> None:
    for module, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                num_lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                assert num_lines <= LONGEST_BODY_LINES, f"{module}.{node.name}"


def test_verbs_stand_on_two_floors() -> None:
    verbs = [module for module in TREES if module.startswith("hstu_preserve.verbs.")]
    leaning = {module for module in verbs if any(one in verbs for one in list_imports(module))}
    assert leaning == {"hstu_preserve.verbs.report"}  # a report is of reproductions
