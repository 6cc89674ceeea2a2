"""Milliseconds of the pieces that a GPU has forms of its own for, each beside the form that it stands for."""

from collections.abc import Callable

import torch

from benchmarks.roofline import measure_best
from hstu_preserve.data.batches import assemble_batch
from hstu_preserve.inputs.histories import to_training_histories
from hstu_preserve.inputs.resident import ResidentEvents
from hstu_preserve.kernels.counter_draws import CounterGenerator, Source, draw_integers
from hstu_preserve.kernels.small_table import look_up
from hstu_preserve.model.fused.objective import sampled_softmax as fused_softmax
from hstu_preserve.model.losses import sampled_softmax
from hstu_preserve.model.time_buckets import NUM_TIME_BUCKETS
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.recipe import SampledSoftmaxSettings
from hstu_preserve.training.loop import TrainingRun


def measure_pieces(run: TrainingRun) -> dict[str, Json]:
    """Return milliseconds of each piece at the size of the training's first batch, the fastest of a few."""
    users = run.split_users(0)[0]
    histories = run.assemble(users)
    positions = int(histories.length_B.sum())
    pieces = list_batches(run) | list_draws(run, positions=positions) | list_softmaxes(run, positions=positions)
    pieces |= list_look_ups(run, shape=(len(users), run.recipe.padded_length, run.recipe.padded_length))
    return {name: round(measure_best(run.device, piece) * 1000, 4) for name, piece in pieces.items()}


def list_batches(run: TrainingRun) -> dict[str, Callable[[], object]]:
    """Return how a batch comes to the device."""
    users, resident = run.split_users(0)[0], ResidentEvents(run.events, run.device)
    length, more = run.recipe.dataset.max_sequence_length, run.recipe.model.gr_output_length + 1

    def assemble() -> object:
        batch = assemble_batch(run.events, users, held_out_events=0, max_sequence_length=length, output_length=more)
        return to_training_histories(batch, run.device)

    return {
        "batch, assembled and copied": assemble,
        "batch, gathered": lambda: resident.assemble_training(users, max_sequence_length=length, output_length=more),
    }


def list_draws(run: TrainingRun, *, positions: int) -> dict[str, Callable[[], object]]:
    """Return how the negatives are drawn."""
    loss = run.recipe.loss
    assert isinstance(loss, SampledSoftmaxSettings)
    shape, below = (positions, loss.num_negatives), len(run.model.candidate_I)

    def draw(source: Source) -> object:
        return draw_integers(below, shape, source=source, device=run.device)

    return {
        "negatives, by PyTorch's generator": lambda: draw(torch.Generator().manual_seed(1)),
        "negatives, by a counter": lambda: draw(CounterGenerator(1)),
    }


def list_softmaxes(run: TrainingRun, *, positions: int) -> dict[str, Callable[[], object]]:
    """Return both forms of the loss, each with its gradients."""
    loss, width = run.recipe.loss, run.recipe.model.item_embedding_dim
    assert isinstance(loss, SampledSoftmaxSettings)
    candidate_I = run.model.candidate_I
    index = draw_integers(
        len(candidate_I), (positions, 1 + loss.num_negatives), source=CounterGenerator(2), device=run.device
    )
    item_TP = candidate_I[index]
    user_TD = torch.randn(positions, width, device=run.device, requires_grad=True)
    table_JD = run.model.item_table().detach().requires_grad_()

    def differentiate(softmax: Callable[..., torch.Tensor]) -> object:
        loss_T = softmax(
            user_TD,
            item_table=table_JD,
            positive_T=item_TP[:, 0],
            negative_TK=item_TP[:, 1:],
            temperature=loss.temperature,
        )
        return torch.autograd.grad(loss_T.mean(), (user_TD, table_JD))

    return {
        "sampled softmax with its gradients, gathered": lambda: differentiate(sampled_softmax),
        "sampled softmax with its gradients, fused": lambda: differentiate(fused_softmax),
    }


def list_look_ups(run: TrainingRun, *, shape: tuple[int, int, int]) -> dict[str, Callable[[], object]]:
    """Return the time bias of one layer, with its gradient."""
    bucket_BNM = draw_integers(NUM_TIME_BUCKETS + 1, shape, source=CounterGenerator(3), device=run.device)
    weight_K = torch.randn(NUM_TIME_BUCKETS + 1, device=run.device, requires_grad=True)
    gradient_BNM = torch.ones(shape, device=run.device)
    return {
        "time bias of a layer with its gradient": lambda: torch.autograd.grad(
            look_up(weight_K, bucket_BNM), weight_K, gradient_BNM
        )
    }
