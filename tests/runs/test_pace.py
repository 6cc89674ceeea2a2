"""What a training says of its speed: the time left counts the evaluations that are still to come."""

import pytest

from hstu_preserve.primitives.wording import describe_duration
from hstu_preserve.runs.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def train_an_epoch(pace: Pace, clock: Clock, *, num_steps: int, step_seconds: float, evaluation_seconds: float) -> None:
    for _ in range(num_steps):
        clock.seconds += step_seconds
        pace.note_step()
    clock.seconds += evaluation_seconds
    pace.note_epoch()


def test_the_time_left_counts_steps_and_evaluations() -> None:
    clock = Clock()
    pace = Pace(num_steps=40, num_epochs=4, now=clock)
    assert pace.estimate_seconds_left(steps_done=5, epochs_done=0) is None
    train_an_epoch(pace, clock, num_steps=10, step_seconds=0.5, evaluation_seconds=60)
    assert pace.estimate_seconds_left(steps_done=10, epochs_done=1) == pytest.approx(30 * 0.5 + 3 * 60)
    line = pace.describe_epoch(0, steps_done=10, figures={"loss": 5.25, "ndcg@10": 0.125})
    assert line == "epoch 0 of 4: loss 5.2500, ndcg@10 0.1250, 2.0 steps/s, 3 min 15 s left"
    train_an_epoch(pace, clock, num_steps=10, step_seconds=0.5, evaluation_seconds=20)
    assert pace.estimate_seconds_left(steps_done=20, epochs_done=2) == pytest.approx(20 * 0.5 + 2 * 40)


def test_a_resumed_run_counts_what_was_done_before_as_done() -> None:
    clock = Clock()
    pace = Pace(num_steps=40, num_epochs=4, now=clock)
    train_an_epoch(pace, clock, num_steps=10, step_seconds=1, evaluation_seconds=10)
    assert pace.estimate_seconds_left(steps_done=40, epochs_done=4) == 0
    assert pace.describe_epoch(3, steps_done=40, figures={"loss": 1}) == "epoch 3 of 4: loss 1.0000, 1.0 steps/s"
    assert pace.summarize(loss=1) == "trained 1 epoch in 20 s: 10 steps, 1.0 steps/s, final loss 1.0000"


def test_a_run_that_goes_on_with_an_evaluation_knows_no_pace_yet() -> None:
    clock = Clock()
    pace = Pace(num_steps=40, num_epochs=4, now=clock)
    train_an_epoch(pace, clock, num_steps=0, step_seconds=1, evaluation_seconds=10)
    assert pace.estimate_seconds_left(steps_done=30, epochs_done=3) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min"), (200, "3 min 20 s"), (7800, "2 h 10 min"), (270_000, "3 d 3 h")],
)
def test_a_duration_has_its_two_largest_units(seconds: float, words: str) -> None:
    assert describe_duration(seconds) == words
