"""A metric that would be a mean over nobody is refused before the first step."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.data.store import Store, open_store
from hstu_preserve.errors import UsageError
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import Resolution, resolve
from hstu_preserve.runs.sealing import require_claimable


def claim(tmp_path: Path, metric: str, *, protocol: str) -> Resolution:
    (tmp_path / "a.gin").write_text(f'claim.metric = "{metric}"\ndata.protocol = "{protocol}"\n')
    return resolve(read_chain(tmp_path / "a.gin", root=tmp_path))


def rate(store: Store, *, last_but: int) -> Store:
    """Return the store with three stars for each event that stands this many before a user's last."""
    half_stars = np.array(store.half_stars)
    half_stars[store.offsets[1:] - 1 - last_but] = 6
    return replace(store, half_stars=half_stars)


@pytest.mark.parametrize("metric", ["ndcg@10_>=4", "hr@50_>=4", "mrr_>=4"])
@pytest.mark.parametrize(("protocol", "last_but"), [("upstream", 0), ("validated", 1), ("validated", 0)])
def test_a_mean_over_nobody_cannot_be_claimed(
    store: Path, tmp_path: Path, metric: str, protocol: str, last_but: int
) -> None:
    resolution = claim(tmp_path, metric, protocol=protocol)
    require_claimable(resolution, store=open_store(store))
    with pytest.raises(
        UsageError, match=r"none of the \d+ targets in the (test|validation) part of .* is rated 4 stars"
    ):
        require_claimable(resolution, store=rate(open_store(store), last_but=last_but))


def test_other_metrics_count_everybody(store: Path, tmp_path: Path) -> None:
    resolution = claim(tmp_path, "ndcg@10", protocol="upstream")
    require_claimable(resolution, store=rate(open_store(store), last_but=0))
