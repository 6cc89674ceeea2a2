"""Say in a heading and a few sentences what each record of `benchmarks/results` found, whatever it found."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.primitives.wording import count
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.verdict import Outcome, Rung
from tools.finding import Figures, Finding
from tools.speed_findings import (
    find_in_archive,
    find_in_components,
    find_in_data,
    find_in_evaluation,
    find_in_hub,
    find_in_spinning,
    find_in_steps,
    find_in_whole_run,
)

SIGNIFICANT = 0.05
DOCUMENTED = frozenset({0, 2, 3, 4, 5, 6})
"""Exit codes that a command may have, bugs and interruptions aside."""
DATE = "measured_on"


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One record of `benchmarks/results`.

    Attributes:
        name: Of its file.
        command: That measures it again.
        measured_on: The newest day in it; None if it names none.
        processors: What it was measured on.
        finding: What it found; None if nobody wrote down how to read it.
    """

    name: str
    command: str | None
    measured_on: str | None
    processors: tuple[str, ...]
    finding: Finding | None


def read_benchmark(path: Path) -> Benchmark:
    """Return what a file of `benchmarks/results` found."""
    figures = json.loads(path.read_text(encoding="utf-8"))
    days = [one for one in list_values(figures, DATE) if isinstance(one, str)]
    devices = [str(one) for name in ("device", "processor") for one in list_values(figures, name) if one != "cpu"]
    find = FINDERS.get(path.stem)
    return Benchmark(
        name=path.name,
        command=figures.get("command"),
        measured_on=max(days, default=None),
        processors=tuple(dict.fromkeys(devices)),
        finding=None if find is None else find(figures),
    )


def list_values(figures: object, name: str) -> Iterable[object]:
    """Yield every value that has a name, however deep it lies."""
    if isinstance(figures, dict):
        for key, value in figures.items():
            if key == name:
                yield value
            yield from list_values(value, name)
    elif isinstance(figures, list):
        for value in figures:
            yield from list_values(value, name)


def find_in_recipes(figures: Figures) -> Finding:
    """Say whether a recipe differs from BASE, over seeds or over users."""
    compared = {name: one for name, one in figures["recipes"].items() if one["difference"] is not None}
    apart = [name for name, one in compared.items() if min(one["p_holm"], one["users_p_holm"]) < SIGNIFICANT]
    total = count(len(compared), "recipe")
    what = f"{', '.join(apart)} of {total} differ" if apart else f"Nothing tells {total} apart"
    least = {key: min(one[key] for one in compared.values()) for key in ("p_holm", "users_p_holm")}
    detectable = sorted(one["detectable"] for one in compared.values())[len(compared) // 2]
    best = max(compared, key=lambda name: compared[name]["difference"])
    chosen = [name for name in dict.fromkeys((best, "iter8-exp4-SOTA")) if name in compared]
    said = [
        f"{name}: {compared[name]['difference']:+.4f} ± {compared[name]['difference_half_width']:.4f} NDCG@10 to BASE"
        for name in chosen
    ]
    return Finding(
        heading=f"{what} from BASE on {figures['dataset']}",
        sentences=(
            (
                f"The smallest p, corrected by Holm, is {least['p_holm']:.2f} over seeds and "
                f"{least['users_p_holm']:.2f} over users; the median recipe would have been found if it "
                f"differed by {detectable:.4f}."
            ),
            f"{'; '.join(said)} (95 % over seeds).",
            (
                "The shape is small, the data are small and the recipes are reconstructions: it says nothing of the "
                "archive's claims on ml-20m."
            ),
        ),
    )


def find_in_kinds(figures: Figures) -> Finding:
    """Say how many pairs of models another kind of evaluation puts in another order than BASE's kind does."""
    first = EvaluationKind(figures["selected under"])
    changed = {EvaluationKind(kind): pairs for kind, pairs in figures["pairs in another order"].items()}
    most = max(changed.values(), key=len)
    summary, models = figures["summary"], figures["models"]
    what = (
        f"Another kind of evaluation puts up to {len(most)} of {count(figures['pairs'], 'pair')} of models in another "
        "order"
        if most
        else f"Every kind of evaluation orders {count(len(models), 'model')} alike"
    )
    return Finding(
        heading=f"{what} on {figures['dataset']}",
        sentences=(
            *(
                f"{kind.words}: {'; '.join(say_mean(models[one], found) for one, found in summary[kind.value].items())}"
                f"{'' if kind is first else f'. {describe_changes(changed[kind], models)}'}."
                for kind in EvaluationKind
            ),
            (
                "Orders are those of the means, which so few seeds may turn around by chance. Small models on small "
                "data, each with its recipe's own losses and rates: nothing is said of the published numbers."
            ),
        ),
    )


def say_mean(model: str, found: Figures) -> str:
    """Return a model's mean over seeds with its 95 % half width."""
    half_width = "" if found["half_width"] is None else f" ± {found['half_width']:.3f}"
    return f"{model} {found['mean']:.3f}{half_width}"


def describe_changes(pairs: Sequence[tuple[str, str]], models: Figures) -> str:
    """Return the pairs of models that a kind orders otherwise."""
    if not pairs:
        return "The same order"
    return "Other order: " + "; ".join(f"{models[better]} before {models[other]}" for better, other in pairs)


def find_in_sample_retraining(figures: Figures) -> Finding:
    """Say what other seeds of the sample's recipe gave."""
    judged = [one for one in figures["verdicts"] if one["rung"] == Rung.TRAINING_STATISTICAL.value]
    outcomes = dict.fromkeys(one["outcome"] for one in judged)
    is_open = set(outcomes) == {Outcome.INCONCLUSIVE.value}
    what = "decides neither claim" if is_open and len(judged) == 2 else f"gives {', '.join(outcomes)}"
    return Finding(
        heading=f"Retraining the sample with {count(len(figures['seeds']), 'other seed')} {what}",
        sentences=tuple(f"{one['claim']} {one['outcome']}: {one['reason']}." for one in judged),
    )


def find_in_movielens(figures: Figures) -> Finding:
    """Say how the whole loop ended on real data."""
    ends = dict.fromkeys(verdict.split(": ")[1] for verdict in figures["verdicts"])
    seconds = figures["seconds"]
    return Finding(
        heading=f"The whole loop on {figures['data']}, in {sum(seconds.values()):.0f} s, gives {', '.join(ends)}",
        sentences=(
            f"{'; '.join(figures['verdicts'])}.",
            (
                f"{', '.join(f'{name} {value:.1f} s' for name, value in seconds.items())}; "
                f"{count(figures['epochs'], 'epoch')}, fingerprint {figures['fingerprint']}."
            ),
        ),
    )


def find_in_gpu(figures: Figures) -> Finding:
    """Say what a GPU changes."""
    ranked, twice = figures["evaluation_gpu_against_cpu"], figures["training_twice"]
    resumed = figures["training_cut_off_and_resumed"]["same_state"]
    same = "gives equal bits" if all(twice.values()) else "does not give equal bits"
    shape = figures["ml_20m_shape"]
    return Finding(
        heading=f"A GPU moves the rank of {ranked['users_moved']} of {ranked['users']} users, and training there twice "
        f"{same}",
        sentences=(
            (
                f"The largest move is {count(ranked['largest_move'], 'place')}; a run that was cut off and resumed "
                f"there ends in {'the same' if resumed else 'another'} state."
            ),
            f"A step of ml-20m's shape takes {shape['seconds_per_step']:.4f} s and {shape['peak_gigabytes']:.1f} GB.",
        ),
    )


def find_in_number_formats(figures: Figures) -> Finding:
    """Say how many users another device or number format moves."""
    found = figures["against_float32_on_the_cpu"]
    named = ("float32 on the GPU", "TF32 on the GPU", "float16 scores on the CPU", "bfloat16 scores on the GPU")
    said = [f"{name} {found[name]['moved']}" for name in named]
    return Finding(
        heading=f"Of {figures['users']:,} users, {', '.join(said)} have another rank than in float32 on the CPU",
        sentences=tuple(
            f"{name}: the largest move is {count(found[name]['largest_move'], 'place')}, NDCG@10 differs by "
            f"{found[name]['ndcg_at_10_difference']:.1g}."
            for name in named
        ),
    )


def find_in_attacks(figures: Figures) -> Finding:
    """Say how hostile input ends."""
    kinds = figures["kinds"].values()
    traced = sum(one["traceback"] for one in figures["problems"])
    codes = {int(code) for one in kinds for code in one["exit_codes"].split()}
    odd = ", ".join(map(str, sorted(codes - DOCUMENTED)))
    undocumented = f"some ({odd})" if odd else "none"
    plain = [one for one in kinds if not one["needs_torch"]]
    return Finding(
        heading=f"Of {figures['cases']:,} hostile cases: {count_ends(traced)} in a traceback, "
        f"{undocumented} with an undocumented exit code",
        sentences=(
            (
                f"Without PyTorch a case takes at most {max(one['most_cpu_seconds'] for one in plain):.1f} s of "
                f"processor and {max(one['most_megabytes'] for one in plain)} MB, with it "
                f"{max(one['most_cpu_seconds'] for one in kinds):.1f} s and "
                f"{max(one['most_megabytes'] for one in kinds)} MB."
            ),
        ),
    )


def count_ends(number: int) -> str:
    """Return `none ends`, `1 ends`, `2 end`."""
    return "none ends" if not number else f"{number} ends" if number == 1 else f"{number} end"


def find_in_verdicts(figures: Figures) -> Finding:
    """Say how often a verdict on retrainings is wrong, when it is known what is true."""
    cells = [dict(zip(figures["columns"], cell, strict=True)) for cell in figures["cells"]]
    kept = not figures["limits_not_kept"]
    at_margin = [cell for cell in cells if cell["shift"] == "the margin"]
    many = [cell for cell in at_margin if min(cell["reruns"], cell["references"]) >= 3]
    few = [cell for cell in at_margin if min(cell["reruns"], cell["references"]) < 3]
    return Finding(
        heading=f"Verdicts on retrainings {'keep' if kept else 'do not keep'} the limits of their errors",
        sentences=(
            *(f"Not kept: {limit}." for limit in figures["limits_not_kept"]),
            (
                f"A difference of exactly the margin is called REPRODUCED in at most {largest(many)} with three runs "
                f"and more on both sides, and in {largest(few)} with fewer, where the limits were set as they came out "
                f"({len(cells):,} cells of {figures['draws']:,} draws)."
            ),
        ),
    )


def largest(cells: Sequence[Figures]) -> str:
    """Return the largest share of REPRODUCED, whichever way the runs differ and in the way that skewed runs favour."""
    either, worse = (max(one[name] for one in cells) for name in ("reproduced", "reproduced_in_the_worse_direction"))
    return f"{either:.1f} % of cases ({worse:.1f} % in the worse direction)"


FINDERS: dict[str, Callable[[Figures], Finding]] = {
    "recipes": find_in_recipes,
    "kinds": find_in_kinds,
    "sample_retraining": find_in_sample_retraining,
    "movielens": find_in_movielens,
    "gpu": find_in_gpu,
    "number_formats": find_in_number_formats,
    "evaluation": find_in_evaluation,
    "verdict_operating_characteristics": find_in_verdicts,
    "attacks": find_in_attacks,
    "steps": find_in_steps,
    "whole_run": find_in_whole_run,
    "spinning": find_in_spinning,
    "data": find_in_data,
    "archive": find_in_archive,
    "archive-x9": find_in_archive,
    "hub": find_in_hub,
    "components": find_in_components,
}
"""By the file's stem, in the order of the report."""
