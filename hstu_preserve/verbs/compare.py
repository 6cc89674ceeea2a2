"""Compare recipes over the seeds of their finished runs, and over the same users."""

from pathlib import Path

from hstu_preserve.errors import UnknownNameError, UsageError
from hstu_preserve.pages.study_page import compose_comparison, find_margin
from hstu_preserve.pages.writing import prepare_page
from hstu_preserve.primitives.metric_names import METRIC_NAMES
from hstu_preserve.primitives.voice import SILENT, Progress, Voice
from hstu_preserve.reruns.compared_runs import find_runs, read_record, read_run
from hstu_preserve.reruns.recipe_names import find_baseline, name_recipes
from hstu_preserve.studies.comparison import compare_recipes, group_by_recipe
from hstu_preserve.studies.results import Comparison


def compare(
    *targets: str | Path,
    baseline: str | Path | None = None,
    metric: str | None = None,
    html: str | Path | None = None,
    voice: Voice = SILENT,
) -> Comparison:
    """Compare the recipes of finished runs: means, differences over seeds and users, coverage and cost.

    The runs of one recipe differ in their seeds only. Packed bundles are verified whole; of a directory, the files that
    are read are compared with its manifest.

    Args:
        targets: Runs, bundles, and folders that hold them.
        baseline: The recipe that the others are compared with, by its name or one of its runs; None is the first one.
        metric: What is compared; None is what the first run claims.
        html: The page to write; an earlier one there is replaced. None writes none.
        voice: Shows how many runs were read.

    Raises:
        UsageError: No target, one that is no finished run, a run or a seed twice, or an unknown metric or baseline.
        ContentError: The runs' numbers cannot be compared (other data, protocol or filter), or a run is damaged.
        UnavailableError: A published bundle cannot be fetched, or the extra that draws pages is not installed.
    """
    page = prepare_page(html, command="compare")
    if not targets:
        raise UsageError("name the runs to compare: directories, bundles, or folders that hold them")
    found = [(str(target), source) for target in targets for source in find_runs(str(target), voice=voice)]
    policies = read_record(found[0][1]).policies
    chosen = metric or policies[0].metric
    if chosen not in METRIC_NAMES:
        raise UnknownNameError(kind="metric", name=chosen, known=METRIC_NAMES)
    runs = []
    for number, (target, source) in enumerate(found, start=1):
        runs.append(read_run(source, metric=chosen, origin=target))
        voice.show(Progress(activity="reading runs", completed=number, total=len(found)))
    groups = group_by_recipe(runs)
    base = 0 if baseline is None else find_baseline(groups, str(baseline))
    named = name_recipes(groups, baseline=base)
    comparison = compare_recipes(named, baseline=named[base].name, metric=chosen)
    if page is not None:
        page.write(compose_comparison(comparison, margin=find_margin(policies, chosen)))
    return comparison
