"""Say what the benchmarks of time and memory found."""

import statistics

from hstu_preserve.primitives.wording import count
from tools.finding import Figures, Finding, spell_range


def find_in_evaluation(figures: Figures) -> Finding:
    """Say whether all ways of ranking agree, and how fast ours is."""
    shapes: dict[str, Figures] = figures["shapes"]
    runs = [run for shape in shapes.values() for run in shape.values()]
    moved = sum(number for run in runs for number in run["users with another rank"].values())
    others = [ratio for run in runs for ratio in run["times as fast"].values()]
    same = "Every user has the same rank"
    agreed = same if not moved else f"{count(moved, 'user')} {'has' if moved == 1 else 'have'} another rank"
    return Finding(
        heading=f"{agreed} by our fast path, our reference path and Meta's code; the fast path is "
        f"{spell_range(others, digits=1)} times as fast",
        sentences=tuple(
            f"{name}, {count(run['users'], 'user')}, {count(run['threads'], 'thread')}, allocator {allocator}: "
            + ", ".join(f"{ratio:.1f} × {other}" for other, ratio in run["times as fast"].items())
            + f" (medians of {count(run['rounds'], 'round')})."
            for name, shape in shapes.items()
            for allocator, run in shape.items()
        ),
    )


SHIPPED, FLATTERED, OF_BASE = "peer with anomaly detection", "peer", "fast, BASE"
"""Whose steps are timed in turns with ours."""


def find_in_steps(figures: Figures) -> Finding:
    """Say what a training step takes beside Meta's, and one that Meta's code has no model for beside BASE's."""
    shapes: dict[str, Figures] = figures["shapes"]
    ratios = [find_ratios(shape) for shape in shapes.values() if is_beside_meta(shape)]
    both = [ratio for pair in ratios for ratio in pair]
    return Finding(
        heading=f"A training step of Meta's code takes {spell_range(both, digits=1)} times as long as ours on a CPU",
        sentences=tuple(f"{name}: {describe_step(shape)}" for name, shape in shapes.items()),
    )


def is_beside_meta(shape: Figures) -> bool:
    """Whether Meta's code stepped on a shape, too."""
    return SHIPPED in shape["steps"]["as it is"]["ratios"]


def find_ratios(shape: Figures) -> tuple[float, float]:
    """Return how many times as long Meta's step takes as it is shipped, and without what slows it down."""
    steps = shape["steps"]
    return steps["as it is"]["ratios"][SHIPPED], steps["keeps its pages"]["ratios"][FLATTERED]


def describe_step(shape: Figures) -> str:
    """Return a shape's step in words."""
    memory = f"{shape['memory']['fast']['peak_megabytes']:,} MB"
    if is_beside_meta(shape):
        shipped, flattered = find_ratios(shape)
        return (
            f"{shipped:.1f} times as Meta's trainer is shipped, {flattered:.1f} times without its anomaly detection "
            f"and with an allocator that keeps its pages; {memory} beside "
            f"{shape['memory']['peer']['peak_megabytes']:,} MB."
        )
    plain = shape["steps"]["as it is"]
    beside = f", {1 / plain['ratios'][OF_BASE]:.2f} of BASE's" if OF_BASE in plain["ratios"] else ""
    return f"a step takes {plain['seconds']['fast']:.2f} s{beside}, and {memory}."


def find_in_data(figures: Figures) -> Finding:
    """Say what preparing 20 million ratings takes beside Meta's code."""
    ours, theirs = figures["ml-20m shape"]["prepare"], figures["reference"]["prepare"]
    ratios = [theirs[name] / ours[name] for name in ("seconds", "peak_megabytes")]
    return Finding(
        heading=f"Preparing 20 million ratings takes Meta's code {ratios[0]:.1f} times as long and "
        f"{ratios[1]:.1f} times the memory",
        sentences=(
            (
                f"{ours['seconds']:.1f} s and {ours['peak_megabytes']:,.0f} MB beside {theirs['seconds']:.1f} s and "
                f"{theirs['peak_megabytes']:,.0f} MB; medians of {count(figures['rounds'], 'round')}."
            ),
        ),
    )


def find_in_archive(figures: Figures) -> Finding:
    """Say what packing and verifying take, beside tar and md5sum if they were measured, too."""
    seconds, memory = figures["median_seconds"], figures["peak_megabytes"]
    size = f"{figures['tree_bytes'] / 1e9:.1f} GB"
    named = "md5sum; tar xzf; md5sum"
    beside = ""
    if named in seconds:
        beside = (
            f": {figures['pack / (tar czf; md5sum)']:.2f} and {figures[f'verify / ({named})']:.2f} of the time of tar "
            "and md5sum"
        )
    return Finding(
        heading=f"{size} are packed in {seconds['pack']:.1f} s and verified in {seconds['verify']:.1f} s{beside}",
        sentences=(
            (
                f"Packing takes {memory['pack']:.0f} MB and verifying {memory['verify']:.0f} MB of memory; "
                f"{count(figures['rounds'], 'round')}."
            ),
        ),
    )


def find_in_hub(figures: Figures) -> Finding:
    """Say how fast a verified download is beside two that verify nothing."""
    ratios: dict[str, list[float]] = {}
    for medium in figures["media"]:
        for other, ratio in medium["throughput_ratio_of_ours_to"].items():
            ratios.setdefault(other, []).append(ratio)
    said = [f"{spell_range(found)} × {other}" for other, found in ratios.items()]
    return Finding(
        heading=f"A verified download is {' and '.join(said)}, neither of which verifies",
        sentences=tuple(
            f"On {medium['medium']}, MiB/s: "
            + ", ".join(f"{name} {value:.0f}" for name, value in medium["mebibytes_per_second"].items())
            + "."
            for medium in figures["media"]
        ),
    )


def find_in_components(figures: Figures) -> Finding:
    """Say what each component costs over BASE."""
    found = figures["components"]
    steps = {name: f"{name} {one['step ratio']:.2f}" for name, one in found.items()}
    ordered = sorted(found, key=lambda name: -found[name]["step ratio"])
    return Finding(
        heading=f"A step with one or several of {count(len(found), 'component')} takes "
        f"{spell_range(one['step ratio'] for one in found.values())} of BASE's time",
        sentences=(
            (
                f"The most: {', '.join(steps[name] for name in ordered[:3])}; the least: "
                f"{', '.join(steps[name] for name in ordered[-3:])}."
            ),
            f"Peak memory is {spell_range(one['memory ratio'] for one in found.values())} of BASE's.",
        ),
    )


def find_in_whole_run(figures: Figures) -> Finding:
    """Say how long a whole training takes on a CPU, and what its curve does."""
    curve = figures["ndcg@10 after each epoch"]
    best = max(range(len(curve)), key=curve.__getitem__)
    steps, evaluation = (figures[f"{name}: seconds of an epoch"] for name in ("steps", "evaluation"))
    return Finding(
        heading=f"{count(figures['epochs'], 'epoch')} of ml-1m's shape, each evaluated on every user, take "
        f"{figures['minutes']:.0f} minutes on {count(figures['machine']['cores'], 'core')}",
        sentences=(
            (
                f"An epoch takes {steps:.1f} s of steps and {evaluation:.1f} s of evaluation; the most memory is "
                f"{figures['peak megabytes']} MB."
            ),
            (
                f"NDCG@10 on made-up data, which says that the model learns and nothing of MovieLens: {curve[0]:.4f} "
                f"after the first epoch, {curve[-1]:.4f} after the last, at best {curve[best]:.4f} (epoch {best})."
            ),
        ),
    )


def find_in_spinning(figures: Figures) -> Finding:
    """Say what it costs and saves that waiting threads spin less."""
    medians = {
        place: {name: statistics.median(rounds) for name, rounds in found.items()}
        for place, found in figures["step_seconds"].items()
    }
    is_cut = medians["beside loops"]["OpenMP's own"] >= figures["a process that was ended counts as"]
    at_least = "at least " if is_cut else ""
    ratio = {place: found["OpenMP's own"] / found["as the command line"] for place, found in medians.items()}
    return Finding(
        heading=f"If waiting threads spin as OpenMP lets them, a step takes {ratio['alone']:.2f} times as long as with "
        f"our setting on an idle machine, and {at_least}{ratio['beside loops']:.1f} times beside "
        f"{count(figures['loops'], 'busy loop')}",
        sentences=tuple(
            f"{place}: "
            + ", ".join(f"{name} {', '.join(f'{one:.3f}' for one in rounds)} s" for name, rounds in found.items())
            + f" a step (a process each, medians of {figures['steps']} steps; {figures['shape']})."
            for place, found in figures["step_seconds"].items()
        ),
    )
