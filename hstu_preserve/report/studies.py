"""Describe studies: the seeds that were trained, and recipes compared over seeds and users."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hstu_preserve.gin_recipes.differences import RecipeDiff
from hstu_preserve.primitives.wording import count, describe_duration, printable
from hstu_preserve.report.tables import list_fields, list_warnings, new_table
from hstu_preserve.studies.results import Comparison, MeanDifference, TrainedSeeds

NOTHING = "–"


def describe_comparison(record: Comparison) -> RenderableType:
    """Return the recipes with their runs, their differences to the baseline, and their cost."""
    fields = {
        "metric": f"{record.metric} of {count(record.num_users, 'user')}",
        "data": f"{record.data_name}, fingerprint {record.data_fingerprint}",
        "protocol": f"{record.protocol.value}, {record.selection_rule.value}",
        "evaluation": record.kind.words,
    }
    parts: list[RenderableType] = [list_fields(fields), list_means(record)]
    if len(record.recipes) > 1:
        parts.append(list_differences(record))
    parts.append(list_costs(record))
    parts += [Text(line, style="dim") for line in explain(record)]
    parts += [Text(f"note: {printable(note)}", style="yellow") for note in record.notes]
    return Group(*parts)


def list_means(record: Comparison) -> Table:
    """Return each recipe's mean and the values behind it, seed by seed: a collapsed run must be seen."""
    table = new_table("recipe", record.metric, "seed by seed")
    for one in record.recipes:
        values = "  ".join(f"{run.seed}:{'diverged' if run.is_diverged else f'{run.value:.4f}'}" for run in one.runs)
        table.add_row(escape(printable(one.name)), describe_interval(one.mean, one.half_width), values)
    return table


def list_differences(record: Comparison) -> Table:
    """Return each recipe's difference to the baseline, over seeds and over users."""
    table = new_table(
        f"against {escape(printable(record.baseline))}", "over seeds", "p (Holm)", "over users", "p (Holm)"
    )
    for column in table.columns[1:]:
        column.no_wrap = True
    for one in record.recipes:
        if one.over_seeds is not None and one.over_users is not None:
            table.add_row(
                escape(printable(one.name)),
                describe_difference(one.over_seeds),
                describe_p(one.over_seeds.p_holm),
                describe_difference(one.over_users),
                describe_p(one.over_users.p_holm),
            )
    return table


def list_costs(record: Comparison) -> Table:
    """Return each recipe's coverage and cost, averaged over its runs."""
    table = new_table("recipe", "runs", "coverage@10", "detectable", "took", "steps/s")
    for one in record.recipes:
        table.add_row(
            escape(printable(one.name)),
            str(len(one.runs)),
            describe_number(one.coverage_at_10),
            describe_number(one.detectable),
            NOTHING if one.seconds is None else describe_duration(one.seconds),
            NOTHING if one.steps_per_second is None else f"{one.steps_per_second:.1f}",
        )
    return table


def explain(record: Comparison) -> Iterator[str]:
    """Yield what the columns mean."""
    if record.spread is not None:
        yield (
            f"±: 95 % interval. That of a mean rests on the spread from run to run within all recipes, "
            f"{record.spread:.4f} ({count(record.degrees, 'degree')} of freedom)."
        )
    others = [one for one in record.recipes if one.over_seeds is not None]
    if others:
        yield (
            "over seeds: would other seeds differ? over users: would other users, with the very models trained here? "
            f"p: two-sided t test of no difference, Holm's correction for {count(len(others), 'recipe')}."
        )
        yield "detectable: the difference over seeds that so many runs find 4 times in 5, by the shared spread."
    if any(one.over_seeds is not None and one.over_seeds.num_pairs is None for one in record.recipes):
        yield "*: other seeds than the baseline's, compared as two groups."
    yield "took: steps and evaluations at their median times, without pauses."


def describe_interval(center: float, half_width: float | None) -> str:
    """Return a mean with its interval."""
    return f"{center:.4f}" if half_width is None else f"{center:.4f} ± {half_width:.4f}"


def describe_difference(tested: MeanDifference) -> str:
    """Return a difference with its sign and interval; one of two groups is marked."""
    mark = "" if tested.num_pairs is not None else " *"
    interval = "" if tested.half_width is None else f" ± {tested.half_width:.4f}"
    return f"{tested.difference:+.4f}{interval}{mark}".replace("-", "−")


def describe_p(value: float | None) -> str:
    """Return a p value with three digits that say something."""
    if value is None:
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:#.3g}"


def describe_number(value: float | None) -> str:
    """Return a number with four decimals, or a dash."""
    return NOTHING if value is None else f"{value:.4f}"


def describe_trained_seeds(record: TrainedSeeds) -> RenderableType:
    """Return the runs of a study."""
    table = new_table("seed", record.metric, "run", "")
    for run in record.runs:
        state = "diverged" if run.is_diverged else "trained before" if run.was_there else ""
        table.add_row(str(run.seed), describe_number(run.value), escape(printable(str(run.path))), state)
    advice = Text(printable(f"next: hstu-preserve compare {record.path}"), style="dim")
    return Group(*list_warnings(record.warnings), table, advice)


def describe_recipe_diff(record: RecipeDiff) -> RenderableType:
    """Return the settings in which two recipes differ, side by side."""
    sides = {record.left: f"recipe sha256:{record.left_sha256}", record.right: f"recipe sha256:{record.right_sha256}"}
    if not record.differences:
        return Group(list_fields(sides), Text("no difference", style="green"))
    table = new_table("setting", *(escape(printable(name)) for name in (record.left, record.right)))
    for one in record.differences:
        table.add_row(escape(printable(one.name)), *map(describe_side, (one.left, one.right)))
    return Group(list_fields(sides), table)


def describe_side(value: str | None) -> Text:
    """Return one side's value, or that nothing reads the setting there."""
    return Text("(not read)", style="dim") if value is None else Text(printable(value))
