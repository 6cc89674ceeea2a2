"""Find the numbers that an archive reports, as they are printed, and judge them by what its run wrote down."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from hstu_preserve.legacy.contents import LegacyContents
from hstu_preserve.legacy.metric_spellings import read_metric_name
from hstu_preserve.legacy.recorded_run import describe_run
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.verdict import Verdict
from hstu_preserve.verdict.recorded import ReportedNumber, judge_recorded

EPOCH_KEYS = ("epoch", "best_epoch", "final_epoch", "checkpoint_epoch", "at_epoch")
NAME_KEYS = ("metric", "name")
MAX_NUMBERS = 1000
"""More are no report of results but their history, of which these are the first."""


def judge_reported(contents: LegacyContents, *, entry: CatalogEntry | None) -> tuple[Verdict, ...]:
    """Return one verdict for each metric that the catalog or the archive itself reports.

    Args:
        contents: Of the archive.
        entry: The catalog's, if the archive is a published experiment's.
    """
    published = () if entry is None else list_published(entry)
    run = describe_run(contents.evaluated, chains=contents.chains, checkpoints=contents.checkpoints)
    return tuple(judge_recorded([*published, *list_reported(contents)], run))


def list_reported(contents: LegacyContents) -> tuple[ReportedNumber, ...]:
    """Return the numbers that the archive's own manifest names plainly, in its order, equal ones once.

    Its JSON was read strictly before, so that this second reading, which keeps the printed places, cannot fail.
    """
    if contents.manifest_path is None or not contents.manifest_text:
        return ()
    value = json.loads(contents.manifest_text, parse_float=Decimal, parse_int=Decimal)
    found: dict[ReportedNumber, None] = {}
    for number in find_numbers(value, epoch=find_epoch(value), file=contents.manifest_path, pointer=""):
        found[number] = None
        if len(found) == MAX_NUMBERS:
            break
    return tuple(found)


def list_published(entry: CatalogEntry) -> tuple[ReportedNumber, ...]:
    """Return the numbers that the catalog has of a published experiment."""
    return tuple(
        ReportedNumber(
            metric=claim.metric,
            text=f"{claim.value:.{claim.decimals}f}",
            value=claim.value,
            decimals=claim.decimals,
            epoch=claim.epoch,
            place=f"published as {entry.id}",
        )
        for claim in entry.claims
    )


def find_numbers(value: Any, *, epoch: int | None, file: str, pointer: str) -> Iterator[ReportedNumber]:
    """Yield each number under a key that names a metric, with the nearest epoch at its side or above it."""
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from find_numbers(item, epoch=epoch, file=file, pointer=f"{pointer}/{position}")
    if not isinstance(value, dict):
        return
    own = find_epoch(value)
    epoch = epoch if own is None else own
    for key, item, place in list_pairs(value, pointer=pointer):
        metric = read_metric_name(key)
        written = read_written(item) if metric is not None else None
        if metric is not None and written is not None:
            yield make_number(metric, written, epoch=epoch, place=f"{file} at {place}")
        elif metric is not None and isinstance(item, dict) and (inner := read_written(item.get("value"))) is not None:
            below = find_epoch(item)
            yield make_number(metric, inner, epoch=epoch if below is None else below, place=f"{file} at {place}/value")
        else:
            yield from find_numbers(item, epoch=epoch, file=file, pointer=place)


def list_pairs(value: dict[str, Any], *, pointer: str) -> Iterator[tuple[str, Any, str]]:
    """Yield key, value and place of each entry; the `value` beside `"metric": "ndcg@10"` stands under that name."""
    names = (value[key] for key in NAME_KEYS if isinstance(value.get(key), str))
    name = next((name for name in names if read_metric_name(name) is not None), None)
    for key, item in value.items():
        place = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
        yield (name if name is not None and key == "value" else key), item, place


def find_epoch(value: Any) -> int | None:
    """Return the epoch that an object names itself, None if it names none or several."""
    if not isinstance(value, dict):
        return None
    found = {int(value[key]) for key in EPOCH_KEYS if isinstance(value.get(key), Decimal) and is_epoch(value[key])}
    return found.pop() if len(found) == 1 else None


def is_epoch(value: Decimal) -> bool:
    """Whether a number can count epochs."""
    return value == value.to_integral_value() and 0 <= value < 10**9


def read_written(item: Any) -> Decimal | None:
    """Return a number as it is written, from JSON's own or from a text of nothing but its digits."""
    if isinstance(item, str) and len(item) <= 32 and item.isascii() and item.replace(".", "", 1).isdecimal():
        item = Decimal(item)
    return item if isinstance(item, Decimal) and 0 <= item <= 100 else None


def make_number(metric: str, written: Decimal, *, epoch: int | None, place: str) -> ReportedNumber:
    """Return a number; one above 1 is a percentage."""
    exponent = written.as_tuple().exponent
    assert isinstance(exponent, int)
    decimals = max(0, -exponent)
    is_percentage = written > 1
    return ReportedNumber(
        metric=metric,
        text=f"{written} %" if is_percentage else f"{written}",
        value=float(written / 100 if is_percentage else written),
        decimals=decimals + 2 if is_percentage else decimals,
        epoch=epoch,
        place=place,
    )
