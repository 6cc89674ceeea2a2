"""Training: repeatable to the last bit, decided by the recipe, blind to what is held out."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from hstu_preserve.evaluation.users import rank_users
from hstu_preserve.inputs.resident import ResidentEvents
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.training.events import StepEvent
from hstu_preserve.training.loop import TrainingRun, select_training_events
from tests.data.stores_in_memory import synthesize
from tests.model.tiny_models import KINDS
from tests.training.tiny_runs import (
    CPU,
    Trained,
    load_store,
    make_training_recipe,
    mark_last_events,
    rewrite_events,
    train,
)

VALIDATED: dict[str, Json] = {"protocol": "validated"}


@cache
def train_base(kind: str) -> Trained:
    """The run of the unchanged recipe."""
    return train(make_training_recipe(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_losses_and_state_bit_by_bit(kind: str) -> None:
    torch.manual_seed(1234)
    again = train(make_training_recipe(kind))
    assert again.losses == train_base(kind).losses
    assert again.digest() == train_base(kind).digest()


def test_events_that_lie_on_the_device_give_the_same_losses() -> None:
    run = TrainingRun(make_training_recipe("HSTU"), load_store(), device=CPU)
    run.resident = ResidentEvents(run.events, CPU)  # as on a GPU
    losses = [event.loss.hex() for event in run.epochs() if isinstance(event, StepEvent)]
    assert losses == train_base("HSTU").losses


def test_negatives_of_a_generator_that_counts_are_the_same_each_time_and_other_ones() -> None:
    recipe = make_training_recipe("HSTU", loss={"negative_draws": "philox4x32-10"})
    losses = train(recipe).losses
    assert train(recipe).losses == losses
    assert not set(losses) & set(train_base("HSTU").losses)


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_gives_another_run(kind: str) -> None:
    other = train(make_training_recipe(kind, training={"random_seed": 43}))
    assert not set(other.losses) & set(train_base(kind).losses)
    assert other.digest() != train_base(kind).digest()


@pytest.mark.parametrize("strategy", ["local", "in-batch"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_falls_over_the_epochs(kind: str, strategy: str) -> None:
    recipe = make_training_recipe(
        kind, training={"num_epochs": 20, "learning_rate": 0.01}, loss={"sampling_strategy": strategy}
    )
    losses = [step.loss for step in train(recipe).steps]
    assert np.mean(losses[-9:]) < 0.8 * np.mean(losses[:9])


@pytest.mark.parametrize("kind", KINDS)
def test_evaluating_between_the_epochs_changes_no_bit(kind: str) -> None:
    def evaluate(run: TrainingRun) -> None:
        torch.rand(5)
        list(rank_users(run.model, load_store(), np.arange(40), held_out_events=0, device=CPU))

    evaluated = train(make_training_recipe(kind), after_epoch=evaluate)
    assert evaluated.losses == train_base(kind).losses
    weights = evaluated.run.model.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in train_base(kind).run.model.state_dict().items())


def test_steps_and_epochs_are_numbered_over_the_whole_run() -> None:
    run = train_base("HSTU")
    assert [(step.epoch, step.step) for step in run.steps] == [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4), (1, 5)]
    assert {step.steps_per_epoch for step in run.steps} == {3}
    assert [(epoch.epoch, epoch.batch_id, epoch.is_last) for epoch in run.epochs] == [(0, 3, False), (1, 6, True)]


def test_every_epoch_takes_every_user_once_in_an_order_of_its_own() -> None:
    run = TrainingRun(make_training_recipe(), load_store(), device=CPU)
    epochs = [np.concatenate(run.split_users(epoch)).tolist() for epoch in range(3)]
    assert all(sorted(users) == list(range(40)) for users in epochs)
    assert len({tuple(users) for users in epochs}) == 3
    assert [len(batch) for batch in run.split_users(0)] == [16, 16, 8]


def test_the_rate_warms_up_linearly_over_the_first_steps() -> None:
    warmed = train(make_training_recipe(training={"num_warmup_steps": 4}))
    assert [step.learning_rate for step in warmed.steps] == [0.00025, 0.0005, 0.00075, 0.001, 0.001, 0.001]
    assert warmed.steps[0].loss == train_base("HSTU").steps[0].loss
    assert warmed.digest() != train_base("HSTU").digest()


def test_without_warm_up_the_rate_is_the_recipes() -> None:
    assert {step.learning_rate for step in train_base("HSTU").steps} == {0.001}


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_a_weight_without_gradient_decays_as_the_recipe_says(weight_decay: float) -> None:
    recipe = make_training_recipe(training={"weight_decay": weight_decay})
    run = TrainingRun(recipe, load_store(), device=CPU)
    padding_row = run.model.item_embedding.weight[0].detach().clone()
    steps = len([event for event in run.epochs() if hasattr(event, "loss")])
    expected = padding_row * (1 - 0.001 * weight_decay) ** steps
    torch.testing.assert_close(run.model.item_embedding.weight[0].detach(), expected)
    assert torch.equal(run.model.item_embedding.weight[0], padding_row) is (weight_decay == 0)


def test_the_optimizer_is_upstreams() -> None:
    group = train_base("HSTU").run.optimizer.param_groups[0]
    assert (group["betas"], group["eps"], group["amsgrad"]) == ((0.9, 0.98), 1e-8, False)


@pytest.mark.parametrize(("protocol", "held_out"), [("upstream", 1), ("validated", 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_protocol_holds_out_is_never_read(kind: str, protocol: str, held_out: int) -> None:
    recipe = make_training_recipe(kind, dataset={"protocol": protocol})
    store = load_store()
    expected = train(recipe)
    unread = rewrite_events(store, mark_last_events(store, held_out))
    assert train(recipe, store=unread).digest() == expected.digest()
    read = rewrite_events(store, mark_last_events(store, held_out + 1))
    assert train(recipe, store=read).digest() != expected.digest()


def test_the_protocols_train_on_different_events() -> None:
    assert train(make_training_recipe(dataset=VALIDATED)).digest() != train_base("HSTU").digest()


@pytest.mark.parametrize(("protocol", "held_out"), [("upstream", 1), ("validated", 2)])
def test_a_share_of_the_events_is_kept_of_what_may_be_read(protocol: str, held_out: int) -> None:
    store = load_store()
    whole = select_training_events(store, make_training_recipe(dataset={"protocol": protocol}))
    recipe = make_training_recipe(dataset={"protocol": protocol, "positional_sampling_ratio": 0.5})
    share = select_training_events(store, recipe)
    assert whole.num_events == 600 - 40 * held_out
    assert share.num_events == pytest.approx(whole.num_events / 2, rel=0.15)
    assert share.num_users == whole.num_users
    for user in range(store.num_users):
        kept = share.item_ids[share.offsets[user] : share.offsets[user + 1]].tolist()
        allowed = whole.item_ids[whole.offsets[user] : whole.offsets[user + 1]].tolist()
        assert [item for item in allowed if item in kept] == kept
    assert np.array_equal(select_training_events(store, recipe).item_ids, share.item_ids)


def test_training_on_a_share_skips_users_left_without_a_target_and_is_repeatable() -> None:
    recipe = make_training_recipe(dataset={"positional_sampling_ratio": 0.1})
    one, two = train(recipe), train(recipe)
    assert one.digest() == two.digest()
    assert 0 < len(one.run.users) < 40


def test_the_share_is_drawn_by_the_seed() -> None:
    one, two = (
        select_training_events(
            load_store(),
            make_training_recipe(dataset={"positional_sampling_ratio": 0.5}, training={"random_seed": seed}),
        )
        for seed in (1, 2)
    )
    assert one.item_ids.tolist() != two.item_ids.tolist()


def test_more_epochs_continue_what_fewer_began() -> None:
    longer = train(make_training_recipe(training={"num_epochs": 4}))
    assert longer.losses[:6] == train_base("HSTU").losses


def test_a_store_read_from_elsewhere_trains_alike() -> None:
    copy = replace(synthesize(seed=7, num_users=40, num_items=60, num_ratings=600))
    assert train(make_training_recipe(), store=copy).digest() == train_base("HSTU").digest()
