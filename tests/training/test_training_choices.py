"""What a recipe may choose of training: who is drawn, where a history ends, when it stops."""

import numpy as np
import pytest
import torch

from hstu_preserve.compute.determinism import draw_with_replacement
from hstu_preserve.data.batches import list_item_ids
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.training.loop import TrainingRun
from tests.training.tiny_runs import (
    CPU,
    load_store,
    make_training_recipe,
    mark_last_events,
    rewrite_events,
    train,
)


def test_users_drawn_with_replacement_repeat_and_differ_by_epoch() -> None:
    run = sampled_run("with_replacement")
    first, again, second = (np.concatenate(run.split_users(epoch)) for epoch in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    assert len(set(first.tolist())) < len(run.users)
    assert set(first.tolist()) <= set(run.users.tolist())


def test_an_epoch_of_users_drawn_with_replacement_has_full_batches_only() -> None:
    sizes = {
        sampling: [len(batch) for batch in sampled_run(sampling).split_users(0)]
        for sampling in ("shuffled", "with_replacement")
    }
    assert sizes == {"shuffled": [16, 16, 8], "with_replacement": [16, 16, 16]}


def sampled_run(user_sampling: str) -> TrainingRun:
    recipe = make_training_recipe(training={"user_sampling": user_sampling, "local_batch_size": 16})
    return TrainingRun(recipe, load_store(), device=CPU)


def test_a_draw_with_replacement_is_uniform() -> None:
    counts = np.zeros(50)
    for position in range(400):
        drawn = draw_with_replacement(50, count=50, seed=1, purpose="epoch_order", position=position)
        counts += np.bincount(drawn, minlength=50)
    assert counts == pytest.approx(np.full(50, 400), rel=0.25)


def test_the_items_of_a_user_are_all_of_them_however_short_the_window() -> None:
    store = load_store()
    users = np.array([3, 0, 7])
    own = list_item_ids(store, users)
    for row, user in zip(own, users, strict=True):
        events = store.item_ids[store.offsets[user] : store.offsets[user + 1]]
        assert row[: len(events)].tolist() == events.tolist()
        assert not row[len(events) :].any()


def test_no_hard_negative_is_an_item_that_the_window_no_longer_shows() -> None:
    recipe = make_training_recipe(
        dataset={"max_sequence_length": 4},
        hard_negatives={"fraction": 1.0, "pool_size": 60, "warmup_epochs": 0, "exclude_history": True},
    )
    run = TrainingRun(recipe, load_store(), device=CPU)
    own_BH = run.list_own_items(run.users)
    assert own_BH is not None
    lengths = run.events.lengths[run.users]
    assert lengths.max() > 6
    assert torch.equal((own_BH != 0).sum(1), torch.from_numpy(lengths))


def test_no_hard_negative_is_an_item_that_positional_sampling_dropped() -> None:
    recipe = make_training_recipe(
        dataset={"positional_sampling_ratio": 0.5}, hard_negatives={"warmup_epochs": 0, "exclude_history": True}
    )
    store = load_store()
    run = TrainingRun(recipe, store, device=CPU)
    own_BH = run.list_own_items(run.users)
    assert own_BH is not None
    assert (run.events.lengths < store.lengths - 1).any()
    for user, own in zip(run.users, own_BH, strict=True):
        whole = store.item_ids[store.offsets[user] : store.offsets[user + 1] - 1]
        assert own[own != 0].tolist() == whole.tolist()


def test_without_hard_negatives_nobody_lists_the_items_of_users() -> None:
    run = TrainingRun(make_training_recipe(), load_store(), device=CPU)
    assert run.list_own_items(run.users) is None


RANDOM_BOUNDARY: dict[str, Json] = {
    "pooling": "chunk",
    "ratio": 2,
    "recent_len": 3,
    "num_tokens": 3,
    "random_boundary": True,
}


def test_a_random_boundary_is_the_same_in_two_runs_and_changes_what_is_learned() -> None:
    drawn = make_training_recipe(input_compression=RANDOM_BOUNDARY)
    fixed = make_training_recipe(input_compression=RANDOM_BOUNDARY | {"random_boundary": False})
    first, second, other = train(drawn), train(drawn), train(fixed)
    assert first.digest() == second.digest()
    assert first.losses != other.losses


COMPONENTS: dict[str, Recipe] = {
    "additive": make_training_recipe(prism={"variant": "additive"}),
    "film shared": make_training_recipe(prism={"variant": "film", "apply_to": "shared"}),
    "moe with rating": make_training_recipe(prism={"variant": "moe", "features": ["genres", "rating", "popularity"]}),
    "chunk with decay": make_training_recipe(
        input_compression={"pooling": "chunk"}, time_decay={"where": "pool", "mode": "exp"}
    ),
    "category": make_training_recipe(input_compression={"pooling": "category"}),
    "learned": make_training_recipe(input_compression={"pooling": "learned"}),
    "action fusion": make_training_recipe(action_fusion={}),
    "attention decay": make_training_recipe(time_decay={"mode": "exp_power", "per_layer": True}),
    "loss decay and ips": make_training_recipe(
        time_decay={"where": "loss", "learnable": False}, pop_debias={"mode": "ips"}
    ),
    "hard and adjusted": make_training_recipe(hard_negatives={"warmup_epochs": 1}, pop_debias={"mode": "logit_adjust"}),
    "popular negatives": make_training_recipe(pop_debias={"mode": "pop_sampler"}),
    "full softmax": make_training_recipe(
        loss={"loss_module": "FullSoftmaxLoss"}, model={"attention_normalization": "real_length"}
    ),
    "sasrec with everything": make_training_recipe(
        "SASRec", prism={"variant": "film"}, input_compression={"pooling": "chunk"}, action_fusion={}
    ),
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_recipe_with_components_trains_twice_to_the_same_state(name: str) -> None:
    first, second = train(COMPONENTS[name]), train(COMPONENTS[name])
    assert first.losses == second.losses
    assert first.digest() == second.digest()
    assert all(np.isfinite(step.loss) for step in first.steps)
    assert first.losses[-1] != first.losses[0]


def test_a_step_tells_the_main_loss_and_the_balance_of_the_experts_load_apart() -> None:
    for step in train(COMPONENTS["moe with rating"]).steps:
        assert step.load_balance is not None
        assert step.load_balance >= 0.999
        assert step.main_loss < step.loss
        assert step.loss == pytest.approx(step.main_loss + 0.01 * step.load_balance, rel=1e-6)


@pytest.mark.parametrize("name", ["additive", "loss decay and ips"])
def test_without_an_auxiliary_loss_the_main_loss_is_what_is_minimised(name: str) -> None:
    assert [(step.main_loss, step.load_balance) for step in train(COMPONENTS[name]).steps] == [
        (step.loss, None) for step in train(COMPONENTS[name]).steps
    ]


def test_what_is_held_out_reaches_no_component() -> None:
    store = load_store()
    rewritten = rewrite_events(store, mark_last_events(store, 1))
    for name, recipe in COMPONENTS.items():
        assert train(recipe).losses == train(recipe, store=rewritten).losses, name
