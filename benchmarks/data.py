"""Data at scale: preparing, opening and the first batch, beside Meta's csv and `eval()` (`make bench-data`).

Usage: python -m benchmarks.data [--reference FOLDER] [--work FOLDER] [--rounds N] [--also-32m]

Made-up ratings of ml-20m's shape (138,493 users, 26,744 movies, 20,000,000 ratings) are written as MovieLens' own CSV,
sorted by user and movie; with --also-32m ml-32m's shape is prepared too. FOLDER of --reference (or of the environment
variable HSTU_PRESERVE_REFERENCE) holds Meta's generative-recommenders; its own code then prepares the same files, loads
them and makes batches in the same environment, which needs pandas; without it that side is left out. --work keeps the
made-up files for the next time.

Each figure is of a process of its own: seconds without the imports, files in the page cache, and the peak memory of
that process. First batch means: the data opened, the items described, and 128 users of the training order as tensors.
Rounds alternate between the programs; medians count. Writes `benchmarks/results/data.json`.
"""

import argparse
import json
import os
import statistics
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import data_stages
from benchmarks.machine import machine_facts
from benchmarks.own_process import read_figures
from hstu_preserve.data.ratings import Ratings
from hstu_preserve.synthetic.stores import make_data

RESULT = Path(__file__).with_name("results") / "data.json"
Figures = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How much data there is of an edition's shape."""

    edition: str
    num_users: int
    num_items: int
    num_ratings: int


ML_20M = Shape(edition="ml-20m", num_users=138_493, num_items=26_744, num_ratings=20_000_000)
ML_32M = Shape(edition="ml-32m", num_users=200_948, num_items=87_585, num_ratings=32_000_204)
REFERENCE_ZIP = "movielens20m.zip"
"""Where Meta's preprocessing expects the download, below its `tmp`."""
SAMPLED = (
    "batches per second: ours over 200 batches, the reference's over 20 of its first epoch in one process; "
    "an epoch's seconds are extrapolated from them. Everything else was run to its end."
)


def main() -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reference = os.environ.get("HSTU_PRESERVE_REFERENCE")
    parser.add_argument("--reference", type=Path, default=Path(reference) if reference else None)
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--also-32m", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        raw = options.work or Path(folder)
        record = compare(raw, Path(folder), reference=options.reference, rounds=options.rounds)
        if options.also_32m:
            record["ml-32m shape"] = {"prepare": prepare(ML_32M, raw=raw, work=Path(folder))}
    record |= {"command": "python -m benchmarks.data", "machine": machine_facts()}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2) + "\n")
    print(f"written to {RESULT.name}")


def compare(raw: Path, work: Path, *, reference: Path | None, rounds: int) -> dict[str, object]:
    """Return the figures of ml-20m's shape: ours and, where it is there, the reference's."""
    ours: list[Figures] = []
    theirs: dict[str, list[Figures]] = {}
    prepared = prepare(ML_20M, raw=raw, work=work)
    preprocessed = prepare_reference(reference, raw=raw, work=work) if reference else None
    for _ in range(rounds):
        ours.append(run("first_batch", work / ML_20M.edition))
        print(f"ours: {ours[-1]}", flush=True)
        for loader in data_stages.REFERENCE_LOADERS if reference else ():
            figures = run("reference_first_batch", work / "reference", str(reference), loader)
            theirs.setdefault(loader, []).append(figures)
            print(f"reference, {loader}: {figures}", flush=True)
    record: dict[str, object] = {
        "ml-20m shape": {"prepare": prepared, "first batch": median_of(ours)},
        "sampled": SAMPLED,
        "rounds": rounds,
    }
    if reference:
        record["reference"] = {
            "code": "Meta's generative-recommenders: preprocess_rating, get_reco_dataset, create_data_loader",
            "prepare": preprocessed,
            "first batch": {loader: median_of(figures) for loader, figures in theirs.items()},
        }
        record["reference / ours"] = {
            f"{name}, {loader}": compare_rounds(figures, ours, name=name)
            for loader, figures in theirs.items()
            for name in ("first_batch_seconds", "first_batch_cpu_seconds")
            if name in figures[0]
        }
        print(json.dumps(record["reference / ours"], indent=2))
    return record


def compare_rounds(theirs: list[Figures], ours: list[Figures], *, name: str) -> float:
    """Return the median over the rounds of one figure divided by ours."""
    pairs = zip(theirs, ours, strict=True)
    return round(statistics.median(its[name] / mine[name] for its, mine in pairs), 1)


def prepare(shape: Shape, *, raw: Path, work: Path) -> Figures:
    """Return what preparing a shape's CSV takes."""
    folder = raw / f"raw-{shape.edition}"
    if not folder.is_dir():
        print(f"making up {shape.num_ratings:,} ratings of {shape.edition}'s shape", flush=True)
        write_raw(shape, folder)
    counts = (str(shape.num_users), str(shape.num_items), str(shape.num_ratings))
    figures = run("prepare", folder, str(work / shape.edition), shape.edition, *counts)
    print(f"prepare {shape.edition}'s shape: {figures}", flush=True)
    return figures


def prepare_reference(reference: Path, *, raw: Path, work: Path) -> Figures:
    """Return what Meta's preprocessing of the same files takes; they reach it as the stored zip that it unpacks."""
    tmp = work / "reference" / "tmp"
    tmp.mkdir(parents=True)
    with zipfile.ZipFile(tmp / REFERENCE_ZIP, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted((raw / f"raw-{ML_20M.edition}").iterdir()):
            archive.write(path, f"{ML_20M.edition}/{path.name}")
    figures = run("reference_prepare", work / "reference", str(reference))
    print(f"prepare by the reference: {figures}", flush=True)
    return figures


def run(stage: str, *arguments: str | Path) -> Figures:
    """Run one stage in a process of its own and return its figures; a failure stops the benchmark."""
    return read_figures("-m", "benchmarks.data_stages", stage, *map(str, arguments))


def median_of(rounds: list[Figures]) -> Figures:
    """Return each figure's median, and the largest peak memory."""
    return {
        name: max(figures[name] for figures in rounds)
        if name == "peak_megabytes"
        else round(statistics.median(figures[name] for figures in rounds), 4)
        for name in rounds[0]
    }


def write_raw(shape: Shape, folder: Path) -> None:
    """Write made-up data as MovieLens writes its own: sorted by user and movie, halves of stars with a point."""
    data = make_data(1, num_users=shape.num_users, num_items=shape.num_items, num_ratings=shape.num_ratings)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        unfinished = Path(temporary) / folder.name
        unfinished.mkdir()
        with (unfinished / "ratings.csv").open("w", encoding="utf-8") as stream:
            stream.write("userId,movieId,rating,timestamp\n")
            stream.writelines(format_ratings(part) for part in data.parts)
        with (unfinished / "movies.csv").open("w", encoding="utf-8") as stream:
            stream.write("movieId,title,genres\n")
            movies = zip(data.movies.item_ids.tolist(), data.movies.years.tolist(), data.movies.genres, strict=True)
            for item, year, genres in movies:
                stream.write(f"{item},Movie {item} ({year or '?'}),{'|'.join(genres)}\n")
        unfinished.rename(folder)


def format_ratings(part: Ratings) -> str:
    """Return the lines of some users."""
    order = np.lexsort((part.item_ids, part.user_ids))
    columns = (part.user_ids, part.item_ids, part.half_stars / 2, part.timestamps)
    rows = zip(*(column[order].tolist() for column in columns), strict=True)
    return "".join(f"{user},{item},{rating},{time}\n" for user, item, rating, time in rows)


if __name__ == "__main__":
    main()
