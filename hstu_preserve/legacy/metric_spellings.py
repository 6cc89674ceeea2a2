"""Recognise metrics by the spellings that event files and other people's manifests give them."""

import re

from hstu_preserve.primitives.metric_names import EPOCH_TAG, FULL_EPOCH_TAG, METRIC_NAMES

NAME_OF_TAG = {re.sub(r"[^-/\w.]", "_", name): name for name in METRIC_NAMES} | {name: name for name in METRIC_NAMES}
"""Older versions of SummaryWriter replace the characters of a tag that are neither letters nor digits."""
MANIFEST_KEY = re.compile(
    r"(?:(?:best|final|test|reported|published|full|eval)_)*"
    r"(?P<family>ndcg|hr|hit_rate|hit|hits|recall|mrr)(?:_?at)?[@_]?(?P<cutoff>[0-9]{1,4})?"
)
FAMILY = {"hit_rate": "hr", "hit": "hr", "hits": "hr", "recall": "hr"}
"""Of one target, the hit rate and the recall are the same."""


def split_test_tag(tag: str) -> tuple[str, str] | None:
    """Return the prefix and the metric of a curve over the test items, None for any other tag."""
    prefix, _, name = tag.rpartition("/")
    if prefix not in {FULL_EPOCH_TAG, EPOCH_TAG} or name not in NAME_OF_TAG:
        return None
    return prefix, NAME_OF_TAG[name]


def names_metric(key: str) -> bool:
    """Whether a key of somebody else's manifest names a metric, one that is computed here or another."""
    return MANIFEST_KEY.fullmatch(spell(key)) is not None


def spell(key: str) -> str:
    """Return a key in lower case with `_` between words."""
    return re.sub(r"[-\s]+", "_", key.casefold())


def read_metric_name(key: str) -> str | None:
    """Return the metric that a key of somebody else's manifest plainly means, None if there is none."""
    found = MANIFEST_KEY.fullmatch(spell(key))
    if found is None:
        return None
    family = FAMILY.get(found["family"], found["family"])
    name = family if found["cutoff"] is None else f"{family}@{found['cutoff']}"
    return name if name in METRIC_NAMES else None
