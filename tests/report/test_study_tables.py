"""A comparison as Markdown, LaTeX and CSV: whole tables, whatever the names hold."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hstu_preserve.records.claim import SelectionRule
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.recipe import Protocol
from hstu_preserve.report.study_tables import WRITERS, write_csv, write_latex, write_markdown
from hstu_preserve.studies.results import ComparedRecipe, ComparedRun, Comparison, MeanDifference

NASTY = r"""50%_off & #1 {x} $y^2$ ~z~ \input{a} [b] "q" 'r' `s` <t> |u| é ± …"""
ENGINE = next((name for name in ("pdflatex", "xelatex", "lualatex", "tectonic") if shutil.which(name)), None)


def make_recipe(name: str, *, tested: MeanDifference | None) -> ComparedRecipe:
    run = ComparedRun(
        path=f"runs/{name}",
        identity=None,
        seed=42,
        value=0.25,
        is_diverged=False,
        coverage_at_10=0.5,
        seconds=75.0,
        steps_per_second=12.5,
        device=None,
    )
    return ComparedRecipe(
        name=name,
        recipe_sha256="0" * 64,
        settings={},
        runs=(run,),
        mean=0.25,
        half_width=0.0123,
        spread=0.01,
        over_seeds=tested,
        over_users=tested,
        detectable=None if tested is None else 0.02,
        coverage_at_10=0.5,
        seconds=75.0,
        steps_per_second=12.5,
    )


TESTED = MeanDifference(difference=-0.0312, half_width=0.01, p_value=0.0004, p_holm=0.0004, num_pairs=None)
RECORD = Comparison(
    metric="ndcg@10",
    baseline="base",
    data_name="ml_1m",
    data_fingerprint="1" * 64,
    protocol=Protocol.UPSTREAM,
    selection_rule=SelectionRule.FINAL_EPOCH,
    filter_all_seen=False,
    kind=EvaluationKind.WINDOW,
    num_users=80,
    spread=0.01,
    degrees=4,
    recipes=(make_recipe("base", tested=None), make_recipe(NASTY, tested=TESTED)),
    notes=("a note with 5 % and an_underscore",),
)


def list_cells(row: str) -> list[str]:
    return re.split(r"(?<!\\)&", row.removesuffix(r" \\"))


def test_latex_is_balanced_and_escapes_every_special_character() -> None:
    text = write_latex(RECORD)
    lines = text.splitlines()
    comments = [line for line in lines if line.startswith("%")]
    table = [line for line in lines if not line.startswith("%")]
    assert "5 \\% and an\\_underscore" in comments[-1]
    assert (table[0], table[-1]) == (r"\begin{tabular}{lrrrrrrrr}", r"\end{tabular}")
    assert text.count(r"\begin{") == text.count(r"\end{") == 1
    rows = [line for line in table if line.endswith(r"\\")]
    assert [len(list_cells(row)) for row in rows] == [9, 9, 9]
    name = list_cells(rows[-1])[0]
    assert re.sub(r"\\[&%#_{}$]|\$\\pm\$", "", name).count("$") == 0
    assert not re.search(r"(?<!\\)[%#_&~^]", name)
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert text.isascii()
    assert r"$-$0.0312 $\pm$ 0.0100 *" in rows[-1]
    assert r"\textless{}0.001" in rows[-1]


@pytest.mark.skipif(ENGINE is None, reason="no LaTeX here")
def test_latex_compiles(tmp_path: Path) -> None:
    document = f"\\documentclass{{article}}\n\\begin{{document}}\n{write_latex(RECORD)}\\end{{document}}\n"
    (tmp_path / "table.tex").write_text(document)
    words = [
        str(ENGINE),
        *([] if ENGINE == "tectonic" else ["-interaction=nonstopmode", "-halt-on-error"]),
        "table.tex",
    ]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=600)
    assert (tmp_path / "table.pdf").exists()


def test_markdown_has_one_row_per_recipe_and_no_cell_more() -> None:
    table = [line for line in write_markdown(RECORD).splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert {line.count("|") for line in table} == {10}
    assert "| base | 1 | 0.2500 ± 0.0123 | (baseline) |  |  |  | 0.5000 | 1 min 15 s |" in table


def test_csv_has_an_empty_field_for_a_figure_that_there_is_not() -> None:
    header, base, *_ = write_csv(RECORD).splitlines()
    fields = dict(zip(header.split(","), base.split(","), strict=True))
    assert fields["seeds_p_holm"] == ""
    assert (fields["mean"], fields["values"], fields["detectable"]) == ("0.25", "0.25", "")


@pytest.mark.parametrize("form", WRITERS)
def test_no_control_character_passes(form: str) -> None:
    recipe = RECORD.recipes[0].model_copy(update={"name": "a\x1b[31m\nb"})
    record = RECORD.model_copy(update={"recipes": (recipe,), "notes": ("c\x07\nd",)})
    text = WRITERS[form](record)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "\nb" not in text
    assert "\nd" not in text
