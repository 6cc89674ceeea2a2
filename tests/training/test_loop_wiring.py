"""What the loop hands to model and optimizer in each step: the epoch, the user's whole sequence, rates kept in bounds.

Everything is read off a real run: its losses, its weights, and which items' embeddings a step's gradient reaches.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch

from hstu_preserve.model.time_decay import AgeWeight, TimeDecay
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.training.events import StepEvent
from hstu_preserve.training.loop import TrainingRun
from tests.model.tiny_models import KINDS
from tests.training.tiny_runs import CPU, Trained, load_store, make_training_recipe, train

STEPS_PER_EPOCH = 3
WINDOW = 4
Groups = dict[str, dict[str, Json]]

each_kind = pytest.mark.parametrize("kind", KINDS)


@cache
def train_base(kind: str) -> Trained:
    """The run of the unchanged recipe, two epochs."""
    return train(make_training_recipe(kind))


# The epoch.


@each_kind
def test_hard_negatives_start_in_the_first_epoch_after_their_warm_up(kind: str) -> None:
    base = train_base(kind).losses
    hard = train(make_training_recipe(kind, hard_negatives={"fraction": 1.0, "warmup_epochs": 1})).losses
    assert hard[:STEPS_PER_EPOCH] == base[:STEPS_PER_EPOCH]
    assert all(one != other for one, other in zip(hard[STEPS_PER_EPOCH:], base[STEPS_PER_EPOCH:], strict=True))


@pytest.mark.parametrize(("warmup_epochs", "first_hard_step"), [(0, 0), (1, STEPS_PER_EPOCH)])
def test_a_warm_up_is_as_long_as_the_recipe_says(warmup_epochs: int, first_hard_step: int) -> None:
    recipe = make_training_recipe(hard_negatives={"fraction": 1.0, "warmup_epochs": warmup_epochs})
    base, hard = train_base("HSTU").losses, train(recipe).losses
    assert [one == other for one, other in zip(hard, base, strict=True)] == [
        step < first_hard_step for step in range(2 * STEPS_PER_EPOCH)
    ]


# The user's whole sequence.


def start_run(hard: dict[str, Json]) -> TrainingRun:
    """Return a run that reads 4 events and whose negatives are the hardest 30 of all 60 items."""
    recipe = make_training_recipe(
        dataset={"max_sequence_length": WINDOW},
        loss={"num_negatives": 30},
        hard_negatives={"fraction": 1.0, "pool_size": 60, "warmup_epochs": 0, **hard},
    )
    return TrainingRun(recipe, load_store(), device=CPU)


def find_long_users(run: TrainingRun) -> npt.NDArray[np.int64]:
    """Return users with more training events than the model reads, though not so many that too few items are left."""
    lengths = run.events.lengths[run.users]
    return run.users[(lengths > WINDOW + 5) & (lengths < 30)][:6]


def list_hidden_items(run: TrainingRun, user: int) -> set[int]:
    """Return the user's training items that neither the window nor the target shows."""
    sequence = run.events.item_ids[run.events.starts[user] : run.events.ends[user]].tolist()
    return set(sequence[: -WINDOW - 1]) - set(sequence[-WINDOW - 1 :])


def find_touched_items(run: TrainingRun, user: int) -> set[int]:
    """Take a step on one user and return the items that had a part in it: read, asked for, or negatives."""
    run.take_step(np.array([user]), epoch=0, step=0)
    gradient_JD = run.model.item_embedding.weight.grad
    assert gradient_JD is not None
    return set(gradient_JD.any(1).nonzero().flatten().tolist())


def test_no_step_takes_an_item_that_the_window_no_longer_shows_for_a_hard_negative() -> None:
    run = start_run({})
    users = find_long_users(run)
    assert len(users) == 6
    for user in users:
        assert not list_hidden_items(run, user) & find_touched_items(run, user)


def test_steps_do_take_such_items_where_the_recipe_lets_them() -> None:
    run = start_run({"exclude_history": False})
    for user in find_long_users(run):
        assert list_hidden_items(run, user) & find_touched_items(run, user)


# Rates.


def list_rates(run: TrainingRun) -> list[float]:
    """Return every learned rate of the model."""
    parts = [part for part in run.model.modules() if isinstance(part, AgeWeight | TimeDecay)]
    return [rate for part in parts if part.rate is not None for rate in part.rate.detach().flatten().tolist()]


@pytest.mark.parametrize(
    "changes",
    [
        {"time_decay": {"rate": 0.1, "per_layer": True}, "model": {"num_heads": 2, "num_blocks": 3}},
        {"time_decay": {"rate": 0.1, "where": "pool"}, "input_compression": {"recent_len": 2}},
    ],
    ids=["attention", "pool"],
)
def test_no_step_leaves_a_learned_rate_below_zero(changes: Groups) -> None:
    # A rate of learning that leaps over the bound, and a seed whose first gradients lead there in both cases.
    training: dict[str, Json] = {"learning_rate": 0.5, "num_epochs": 3, "random_seed": 46}
    recipe = make_training_recipe("HSTU", training=training, **changes)
    run = TrainingRun(recipe, load_store(), device=CPU)
    rates = [list_rates(run) for event in run.epochs() if isinstance(event, StepEvent)]
    assert all(rate >= 0 for of_step in rates for rate in of_step)
    assert any(rate == 0 for of_step in rates for rate in of_step)


# Components without effect.


@pytest.mark.parametrize(
    "changes",
    [
        {"time_decay": {"rate": 0.0, "learnable": False}},
        {"time_decay": {"rate": 0.0, "learnable": False, "where": "loss"}},
        {"input_compression": {"ratio": 1, "random_boundary": True}},
        {"pop_debias": {"mode": "logit_adjust", "alpha": 0.0}},
        {"pop_debias": {"mode": "ips", "alpha": 0.0}},
        {"pop_debias": {"mode": "pop_sampler", "mix": 0.0}},
    ],
    ids=["attention", "loss", "ratio 1", "logit_adjust", "ips", "pop_sampler"],
)
def test_a_run_with_a_component_that_has_no_effect_is_the_base_run_bit_for_bit(changes: Groups) -> None:
    base, neutral = train_base("HSTU"), train(make_training_recipe("HSTU", **changes))
    assert neutral.losses == base.losses
    weights = neutral.run.model.state_dict()
    expected = base.run.model.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], value) for name, value in expected.items())


@each_kind
@pytest.mark.parametrize(
    "changes",
    [
        {"action_fusion": {}},
        {"prism": {"variant": "additive"}},
        {"prism": {"variant": "film", "apply_to": "shared"}},
        {"prism": {"variant": "moe", "load_balance_weight": 0.0}},
    ],
    ids=["action fusion", "additive", "film", "moe"],
)
def test_the_first_step_of_a_component_that_starts_at_zero_is_the_base_runs(kind: str, changes: Groups) -> None:
    base, fresh = train_base(kind).losses, train(make_training_recipe(kind, **changes)).losses
    assert fresh[0] == base[0]
    assert fresh[-1] != base[-1]
