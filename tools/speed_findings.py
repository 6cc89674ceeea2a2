"""Say what the benchmarks of time and memory found."""

from hstu_preserve.primitives.wording import count
from tools.finding import Figures, Finding, spell_range


def find_in_evaluation(figures: Figures) -> Finding:
    """Say whether all ways of ranking agree, and how fast ours is."""
    moved = sum(number for shape in figures.values() for number in shape["users with another rank"].values())
    others = [ratio for shape in figures.values() for ratio in shape["times as fast"].values()]
    agreed = "Every user has the same rank" if not moved else f"{count(moved, 'user')} have another rank"
    return Finding(
        heading=f"{agreed} by our fast path, our reference path and Meta's code; the fast path is "
        f"{spell_range(others, digits=1)} times as fast",
        sentences=tuple(
            f"{name}, {count(shape['users'], 'user')}: "
            + ", ".join(f"{ratio:.1f} × {other}" for other, ratio in shape["times as fast"].items())
            + f" (medians of {count(shape['rounds'], 'round')}, load average {shape['load average']})."
            for name, shape in figures.items()
        ),
    )


def find_in_steps(figures: Figures) -> Finding:
    """Say what a training step takes beside Meta's."""
    shipped, flattered = "peer with anomaly detection", "peer"
    ratios = {
        name: (shape["steps"]["as it is"]["ratios"][shipped], shape["steps"]["keeps its pages"]["ratios"][flattered])
        for name, shape in figures["shapes"].items()
    }
    memory = {name: shape["memory"] for name, shape in figures["shapes"].items()}
    both = [ratio for pair in ratios.values() for ratio in pair]
    return Finding(
        heading=f"A training step of Meta's code takes {spell_range(both, digits=1)} times as long as ours on a CPU",
        sentences=tuple(
            f"{name}: {pair[0]:.1f} times as Meta's trainer is shipped, {pair[1]:.1f} times without its anomaly "
            f"detection and with an allocator that keeps its pages; {memory[name]['fast']['peak_megabytes']:,} MB "
            f"beside {memory[name]['peer']['peak_megabytes']:,} MB."
            for name, pair in ratios.items()
        ),
    )


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
