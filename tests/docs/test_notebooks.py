"""The notebooks: committed without outputs, plain Python, of functions that exist; `make test-slow` runs them."""

import ast
import inspect
import json
import re
from pathlib import Path

import pytest

import hstu_preserve
from tools.notebooks import Cell, list_notebooks, read_cells, run_apart, run_cells, write_part

NOTEBOOKS = list_notebooks()
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)


def list_code(notebook: Path) -> list[Cell]:
    return [cell for cell in read_cells(notebook) if cell.is_code]


def list_calls(notebook: Path) -> list[ast.Call]:
    trees = [ast.parse(cell.source) for cell in list_code(notebook)]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if ast.unparse(call.func).startswith("hstu_preserve.")]


def test_there_are_two() -> None:
    assert [notebook.stem for notebook in NOTEBOOKS] == ["compare-two-recipes", "review-a-paper"]


@each_notebook
def test_it_is_committed_without_outputs(notebook: Path) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@each_notebook
def test_every_function_that_it_calls_takes_what_it_is_given(notebook: Path) -> None:
    calls = list_calls(notebook)
    assert len(calls) >= 4
    for call in calls:
        name = ast.unparse(call.func).removeprefix("hstu_preserve.")
        assert name in hstu_preserve.__all__, name
        given = {keyword.arg: None for keyword in call.keywords if keyword.arg}
        inspect.signature(getattr(hstu_preserve, name)).bind(*call.args, **given)


@each_notebook
def test_its_links_lead_to_files_and_its_page_includes_it(notebook: Path) -> None:
    for cell in read_cells(notebook):
        for link in [] if cell.is_code else LINK.findall(cell.source):
            assert (notebook.parent / link).exists(), link
    assert f"/{notebook.stem}.md" in notebook.with_suffix(".md").read_text(encoding="utf-8")


def test_a_cell_shows_what_it_prints_and_the_value_of_its_last_line() -> None:
    cells = [
        Cell(is_code=True, source="x = 1\nprint('one')\nx + 1"),
        Cell(is_code=False, source="words"),
        Cell(is_code=True, source="y = x"),
        Cell(is_code=True, source="import hstu_preserve\nhstu_preserve.list_experiments()"),
    ]
    first, second, third = run_cells(cells, name="x")
    assert first == "```text\none\n```\n\n```text\n2\n```"
    assert second == ""
    assert third.startswith("<table><caption>CatalogListing")


def test_a_cell_that_fails_ends_the_run() -> None:
    with pytest.raises(ZeroDivisionError):
        list(run_cells([Cell(is_code=True, source="1 / 0")], name="x"))


@pytest.mark.slow
@each_notebook
def test_it_runs_from_its_first_cell_to_its_last(notebook: Path) -> None:
    outputs = run_apart(notebook)
    page = write_part(notebook, outputs=outputs)
    assert page.count("```python") == len(outputs)
    assert all("\x1b" not in output for output in outputs)
    printing = [output for cell, output in zip(list_code(notebook), outputs, strict=True) if "print(" in cell.source]
    assert len(printing) >= 3
    assert all(printing)
