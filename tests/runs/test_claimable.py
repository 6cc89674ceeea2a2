"""A metric over nobody, and a user with nothing left to draw, are refused before the first step."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.data.movie_table import make_plain_table
from hstu_preserve.data.ratings import Ratings
from hstu_preserve.data.store import Store, open_store
from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import Resolution, resolve
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.store import TiePolicy
from hstu_preserve.runs.sealing import require_claimable
from hstu_preserve.synthetic.stores import make_origin
from tests.data.stores_in_memory import build_store


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


NUM_ITEMS = 120


def make_collector(*, missing: int, again: int = 0) -> Store:
    """Return a store whose second user has rated every item but the last `missing`, the first `again` of them twice."""
    own = [[3, 5, 8, 9], [*range(1, NUM_ITEMS + 1 - missing), *range(1, 1 + again)], [NUM_ITEMS, 1, 2, 4]]
    num_events = sum(map(len, own))
    ratings = Ratings(
        user_ids=np.repeat(np.array([1, 2, 3], dtype=np.int32), [len(items) for items in own]),
        item_ids=np.array([item for items in own for item in items], dtype=np.int32),
        half_stars=np.full(num_events, 8, dtype=np.int8),
        timestamps=np.arange(num_events, dtype=np.int64),
    )
    movies = make_plain_table(np.arange(1, NUM_ITEMS + 1))
    return build_store(ratings, movies, name="tiny", tie_policy=TiePolicy.STABLE, origin=make_origin(1))


def sample(tmp_path: Path, kind: EvaluationKind, *, protocol: str) -> Resolution:
    gin = f'eval.kind = "{kind.value}"\ndata.candidates = "rated"\ndata.protocol = "{protocol}"\n'
    (tmp_path / "a.gin").write_text(gin)
    return resolve(read_chain(tmp_path / "a.gin", root=tmp_path))


@pytest.mark.parametrize(
    ("kind", "protocol", "left"),
    [
        (EvaluationKind.SAMPLED_UNSEEN, "upstream", 1),
        (EvaluationKind.SAMPLED_UNSEEN, "validated", 2),
        (EvaluationKind.SAMPLED_UNKNOWN, "upstream", 0),
        (EvaluationKind.SAMPLED_UNKNOWN, "validated", 0),
    ],
)
def test_a_user_with_nothing_left_to_draw_is_refused(
    tmp_path: Path, kind: EvaluationKind, protocol: str, left: int
) -> None:
    """Training holds out one event or two, whose items stay to be drawn: a user must have rated them before as well."""
    resolution = sample(tmp_path, kind, protocol=protocol)
    whole = make_collector(missing=0, again=left)
    with pytest.raises(ContentError, match=rf"^eval\.kind {kind.value}: user 2 has every one of the 120 candidates"):
        require_claimable(resolution, store=whole)
    require_claimable(resolution, store=make_collector(missing=1, again=left))
    require_claimable(resolution, store=make_collector(missing=1, again=20))  # more events than there are items
    if left:
        require_claimable(resolution, store=make_collector(missing=0, again=left - 1))


def test_a_full_kind_draws_nothing(tmp_path: Path) -> None:
    require_claimable(claim(tmp_path, "ndcg@10", protocol="upstream"), store=make_collector(missing=0, again=2))
