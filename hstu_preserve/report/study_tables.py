"""Write a comparison for papers and programs: one table as Markdown or LaTeX, every figure as CSV."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import StringIO

from hstu_preserve.primitives.wording import count, describe_duration, printable
from hstu_preserve.report import markdown
from hstu_preserve.report.studies import (
    NOTHING,
    describe_difference,
    describe_interval,
    describe_number,
    describe_p,
)
from hstu_preserve.studies.results import ComparedRecipe, Comparison, MeanDifference

LATEX_SPECIALS: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\ttfamily\char34}",
    "[": "{[}",
    "]": "{]}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "…": r"\dots{}",
}
"""Characters with a meaning in LaTeX, or that its oldest engines do not know, and what prints them."""
PLAIN = re.compile(r"[ -~]")


def write_markdown(record: Comparison) -> str:
    """Return the comparison as a Markdown table with what stands below it."""
    lines = [
        f"| {' | '.join(list_headers(record))} |",
        "|---" * len(list_headers(record)) + "|",
        *(f"| {' | '.join(markdown.escape(cell) if cell else '' for cell in cells)} |" for cells in list_rows(record)),
        "",
        *(f"* {markdown.escape(line)}" for line in list_remarks(record)),
    ]
    return "\n".join(lines) + "\n"


def write_latex(record: Comparison) -> str:
    """Return the comparison as a LaTeX table that needs no package; its remarks are comments."""
    headers = list_headers(record)
    rows = [" & ".join(map(escape_latex, cells)) + r" \\" for cells in (headers, *list_rows(record))]
    return "\n".join(
        [
            *(f"% {escape_latex(line)}" for line in list_remarks(record)),
            rf"\begin{{tabular}}{{l{'r' * (len(headers) - 1)}}}",
            r"\hline",
            rows[0],
            r"\hline",
            *rows[1:],
            r"\hline",
            r"\end{tabular}",
            "",
        ]
    )


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is; characters that not every engine knows are spelled by their numbers."""
    return "".join(
        LATEX_SPECIALS.get(character)
        or (character if PLAIN.match(character) else rf"\textless{{}}U+{ord(character):04X}\textgreater{{}}")
        for character in printable(text)
    )


def list_headers(record: Comparison) -> list[str]:
    """Return the names of the columns."""
    return ["recipe", "runs", record.metric, "difference", "p", "over users", "p (users)", "coverage@10", "training"]


def list_rows(record: Comparison) -> Iterator[list[str]]:
    """Yield the cells of each recipe."""
    for one in record.recipes:
        yield [
            one.name,
            str(len(one.runs)),
            describe_interval(one.mean, one.half_width),
            *list_tested(one),
            describe_number(one.coverage_at_10),
            NOTHING if one.seconds is None else describe_duration(one.seconds),
        ]


def list_tested(one: ComparedRecipe) -> list[str]:
    """Return the cells of the differences, which the baseline has not."""
    if one.over_seeds is None or one.over_users is None:
        return ["(baseline)", "", "", ""]
    return [
        describe_difference(one.over_seeds),
        describe_p(one.over_seeds.p_holm),
        describe_difference(one.over_users),
        describe_p(one.over_users.p_holm),
    ]


def list_remarks(record: Comparison) -> Iterator[str]:
    """Yield what the table is of, and what its columns mean."""
    yield (
        f"{record.metric} on {record.data_name} (fingerprint {record.data_fingerprint[:16]}), protocol "
        f"{record.protocol.value}, {record.kind.words}, {count(record.num_users, 'user')}; ± is a 95 % interval"
    )
    if record.spread is not None:
        yield (
            f"intervals of means: spread {record.spread:.4f} from run to run, pooled over the recipes "
            f"({count(record.degrees, 'degree')} of freedom)"
        )
    if len(record.recipes) > 1:
        others = count(len(record.recipes) - 1, "recipe")
        yield f"differences: to {record.baseline}; p: two-sided t tests, corrected for {others} (Holm)"
    if any(one.over_seeds is not None and one.over_seeds.num_pairs is None for one in record.recipes):
        yield "*: other seeds than the baseline's, compared as two groups"
    yield from record.notes


def write_csv(record: Comparison) -> str:
    """Return a line per recipe with every figure in full; an empty field is a figure that there is not."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    rows = [describe_row(record, one) for one in record.recipes]
    writer.writerow(rows[0])
    writer.writerows([["" if value is None else value for value in row.values()] for row in rows])
    return text.getvalue()


def describe_row(record: Comparison, one: ComparedRecipe) -> dict[str, str | float | None]:
    """Return the figures of one recipe by the names of their columns."""
    return {
        "recipe": printable(one.name),
        "recipe_sha256": one.recipe_sha256,
        "data_fingerprint": record.data_fingerprint,
        "evaluation": record.kind.value,
        "metric": record.metric,
        "runs": len(one.runs),
        "seeds": join(one.runs, lambda run: str(run.seed)),
        "values": join(one.runs, lambda run: repr(run.value)),
        "mean": one.mean,
        "half_width": one.half_width,
        "spread": one.spread,
        **describe_tested("seeds", one.over_seeds),
        **describe_tested("users", one.over_users),
        "detectable": one.detectable,
        "coverage_at_10": one.coverage_at_10,
        "seconds": one.seconds,
        "steps_per_second": one.steps_per_second,
    }


def join(runs: Sequence[object], spell: Callable[..., str]) -> str:
    """Return one value of each run, separated by blanks."""
    return " ".join(map(spell, runs))


def describe_tested(kind: str, tested: MeanDifference | None) -> dict[str, float | None]:
    """Return the figures of one difference by the names of their columns."""
    names = ("difference", "half_width", "p_value", "p_holm", "num_pairs")
    return {f"{kind}_{name}": None if tested is None else getattr(tested, name) for name in names}


WRITERS: Mapping[str, Callable[[Comparison], str]] = {
    "markdown": write_markdown,
    "latex": write_latex,
    "csv": write_csv,
}
"""By the name of the option."""
