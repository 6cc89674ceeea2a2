"""Run the notebooks of `docs/notebooks` and write each with its outputs, as a part of a page (`make docs`).

Usage: python -m tools.notebooks build/notebooks

The notebooks are committed without outputs. Each runs from its first cell to its last, in a process and an empty folder
of its own, without network. Their cells are plain Python, so that nothing but Python runs them here; Jupyter shows the
same.
"""

import argparse
import ast
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "docs" / "notebooks"
TIMEOUT_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a notebook.

    Attributes:
        is_code: Whether it is run; else it is Markdown.
        source: Its text.
    """

    is_code: bool
    source: str


def main() -> None:
    """Run every notebook, and write its part of a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, nargs="?", help="the folder that the parts are written into")
    parser.add_argument("--run", type=Path, help="run this notebook here; prints its outputs as JSON")
    options = parser.parse_args()
    if options.run:
        outputs = run_cells(read_cells(options.run), name=options.run.name)
        sys.stdout.write(json.dumps(list(outputs)))
        return
    options.output.mkdir(parents=True, exist_ok=True)
    for notebook in list_notebooks():
        part = options.output / f"{notebook.stem}.md"
        part.write_text(write_part(notebook, outputs=run_apart(notebook)), encoding="utf-8")


def list_notebooks() -> list[Path]:
    """Return the notebooks of the documentation."""
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def read_cells(notebook: Path) -> list[Cell]:
    """Return the cells of a notebook of format 4."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    return [Cell(is_code=cell["cell_type"] == "code", source="".join(cell["source"])) for cell in content["cells"]]


def run_apart(notebook: Path) -> list[str]:
    """Return the output of each code cell, as Markdown, from a process in an empty folder.

    Raises:
        SystemExit: A cell fails; its traceback was printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
        result = subprocess.run(  # noqa: S603  a notebook of ours
            [sys.executable, "-m", "tools.notebooks", "--run", str(notebook)],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    if result.returncode:
        raise SystemExit(f"{notebook.relative_to(ROOT)}: a cell failed, see above")
    outputs: list[str] = json.loads(result.stdout)
    return outputs


def run_cells(cells: list[Cell], *, name: str) -> Iterator[str]:
    """Yield the output of each code cell as Markdown: what it printed, and the value of its last line."""
    variables: dict[str, Any] = {"__name__": "__main__"}
    for number, cell in enumerate(cells, start=1):
        if not cell.is_code:
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            value = run_cell(cell.source, name=f"{name}, cell {number}", variables=variables)
        yield describe_output(printed.getvalue(), value)


def run_cell(source: str, *, name: str, variables: dict[str, Any]) -> Any:
    """Run a cell and return the value of its last line, None if that is no expression."""
    tree = ast.parse(source, filename=name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), variables)  # noqa: S102  a notebook of ours
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), name, "eval"), variables)  # noqa: S307  likewise


def describe_output(printed: str, value: Any) -> str:
    """Return what a cell printed, and its value as a notebook shows it, as Markdown."""
    parts = [f"```text\n{printed.rstrip()}\n```"] if printed.strip() else []
    if value is not None and hasattr(value, "_repr_html_"):
        parts.append(value._repr_html_())
    elif value is not None:
        parts.append(f"```text\n{value!r}\n```")
    return "\n\n".join(parts)


def write_part(notebook: Path, *, outputs: list[str]) -> str:
    """Return a notebook with its outputs as Markdown."""
    remaining = iter(outputs)
    parts = []
    for cell in read_cells(notebook):
        parts.append(f"```python\n{cell.source}\n```" if cell.is_code else cell.source)
        parts.extend([next(remaining)] if cell.is_code else [])
    parts.append(f"This page is a notebook that was run: [{notebook.name}]({notebook.name}).")
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    main()
