"""What a training cost, from the times of its event file."""

import math

import pytest

from hstu_preserve.event_files.reader import ScalarPoint
from hstu_preserve.studies.cost import measure_cost


def list_points(*times: tuple[str, float]) -> list[ScalarPoint]:
    tags = {"step": "losses/ar_loss", "end": "eval_epoch/ndcg@10", "other": "lr"}
    return [ScalarPoint(tag=tags[kind], step=0, value=0.5, wall_time=time) for kind, time in times]


def test_steps_and_evaluations_count_at_their_median_times() -> None:
    epoch = [("step", 0.0), ("other", 0.5), ("step", 1.0), ("step", 2.0), ("end", 5.0)]
    later = [(kind, time + 100.0) for kind, time in epoch]  # a pause between two epochs
    cost = measure_cost(list_points(*epoch, *later))
    assert cost is not None
    assert cost.steps_per_second == pytest.approx(1.0)
    assert cost.seconds == pytest.approx(6 * 1.0 + 2 * 3.0)


def test_a_pause_within_an_epoch_does_not_count() -> None:
    cost = measure_cost(list_points(("step", 0.0), ("step", 1.0), ("step", 2.0), ("step", 5000.0), ("step", 5001.0)))
    assert cost is not None
    assert cost.seconds == pytest.approx(5.0)


@pytest.mark.parametrize(
    "times",
    [
        [],
        [("step", 1.0)],
        [("step", 1.0), ("end", 2.0), ("step", 3.0), ("end", 4.0)],
        [("step", 1.0), ("step", 1.0)],
        [("step", 2.0), ("step", 1.0)],
        [("step", 1.0), ("step", math.inf)],
        [("step", 1.0), ("step", math.nan), ("step", 3.0)],
        [("step", -1e300), ("step", 1e300)],
    ],
)
def test_times_that_say_nothing_give_no_cost(times: list[tuple[str, float]]) -> None:
    assert measure_cost(list_points(*times)) is None
