"""The work that the roofline counts is what PyTorch counts of the reference path, where both count the same."""

from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.roofline import Ceilings, Size, Work, count_bytes, count_flops, measure_size
from hstu_preserve.model.objective import training_losses
from tests.model.tiny_models import draw_for, make_histories, make_model, make_model_recipe


def test_operations_are_those_that_pytorch_counts() -> None:
    recipe = make_model_recipe("HSTU")
    model = make_model(recipe)
    histories = make_histories([3, 7, 5], recipe=recipe)
    draws = draw_for(model, histories)
    with FlopCounterMode(display=False) as counter:
        training_losses(model, draws).total.backward()  # type: ignore[no-untyped-call]
    positions = histories.item_BN.shape[1]
    padded = Size(tokens=15, pairs=3 * positions**2, supervised=15, parameters=0)
    # The positive's product is a sum to PyTorch, and counted here.
    positives = 3 * 2 * 15 * recipe.model.item_embedding_dim
    assert count_flops(recipe, padded) - positives == counter.get_total_flops()


def test_only_pairs_that_a_query_sees_are_needed() -> None:
    size = measure_size(torch.tensor([1, 4]), supervised=5, parameters=10)
    assert size == Size(tokens=5, pairs=1 + 10, supervised=5, parameters=10)
    recipe = make_model_recipe("HSTU")
    more = replace(size, parameters=11)
    assert count_bytes(recipe, more) - count_bytes(recipe, size) == 9 * 4
    assert count_flops(recipe, more) == count_flops(recipe, size)


def test_the_slower_of_both_limits_decides() -> None:
    ceilings = Ceilings(flops_per_second=100.0, bytes_per_second=10.0)
    assert ceilings.seconds(Work(flops=100, num_bytes=1)) == 1.0
    assert ceilings.seconds(Work(flops=100, num_bytes=20)) == 2.0
