"""How long a training step must take at the least on this device: its work, counted, and the device's limits, measured.

What is counted is what no arrangement of the same mathematics can save: matrix products of valid tokens, attention of
valid pairs, and the traffic of tensors that do not fit on the chip when everything between two matrix products is
fused. Attention matrices, masks, time buckets and the vectors of the negatives never reach memory in it; the
components' own work (experts, pooling, decay) is left out, too. So the share that is printed is of a lower bound.

Shape suffixes: B batch, D model width, C all heads' values, Q all heads' queries.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hstu_preserve.records.encoders import HstuSettings
from hstu_preserve.records.recipe import Recipe, SampledSoftmaxSettings

FLOAT_BYTES = 4
ID_BYTES = 8
FORWARD_AND_BACKWARD = 3
"""Of a product's floating point operations: one forward, one for each factor's gradient."""
OPTIMIZER_TRAFFIC = 9
"""Floats a parameter costs: read by the model, its gradient written, and AdamW, which reads four and writes three."""
REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a step is.

    Attributes:
        tokens: Valid tokens of the encoder.
        pairs: Of a query and a key that it may see.
        supervised: Positions that are asked for the next item.
        parameters: Of the model.
    """

    tokens: int
    pairs: int
    supervised: int
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a step needs at the least."""

    flops: int
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """What the device does at the most, as measured."""

    flops_per_second: float
    bytes_per_second: float

    def seconds(self, work: Work) -> float:
        """Return the shortest time that the work can take."""
        return max(work.flops / self.flops_per_second, work.num_bytes / self.bytes_per_second)


def measure_size(length_B: Tensor, *, supervised: int, parameters: int) -> Size:
    """Return the size of a step whose users have so many tokens (int64)."""
    return Size(
        tokens=int(length_B.sum()),
        pairs=int((length_B * (length_B + 1) // 2).sum()),
        supervised=supervised,
        parameters=parameters,
    )


def count_work(recipe: Recipe, size: Size) -> Work:
    """Return the floating point operations and bytes of a training step of HSTU with a sampled softmax."""
    return Work(flops=count_flops(recipe, size), num_bytes=count_bytes(recipe, size))


def count_flops(recipe: Recipe, size: Size) -> int:
    """Return the operations of all matrix products, a multiplication and an addition being two."""
    model, loss = recipe.model, recipe.loss
    assert isinstance(model, HstuSettings)
    assert isinstance(loss, SampledSoftmaxSettings)
    width, value, query = model.item_embedding_dim, model.num_heads * model.dv, model.num_heads * model.dqk
    gated = value * (3 if model.concat_ua else 1)
    layer = size.tokens * width * (2 * value + 2 * query + gated) + size.pairs * (query + value)
    scored = size.supervised * (1 + loss.num_negatives) * width
    return FORWARD_AND_BACKWARD * 2 * (model.num_blocks * layer + scored)


def count_bytes(recipe: Recipe, size: Size) -> int:
    """Return the traffic between chip and memory of a step in as few kernels as three a layer, in either direction.

    Forward, a layer reads x and writes u, v, q and k; reads q, k and v and writes what attention gives; reads that, u
    and x and writes the next x: 3 D + 6 C + 4 Q floats a token. Backward, it reads and writes 4 D + 11 C + 8 Q.
    """
    model, loss = recipe.model, recipe.loss
    assert isinstance(model, HstuSettings)
    assert isinstance(loss, SampledSoftmaxSettings)
    width, value, query = model.item_embedding_dim, model.num_heads * model.dv, model.num_heads * model.dqk
    layers = model.num_blocks * size.tokens * (7 * width + 17 * value + 12 * query)
    embedded = 2 * 2 * size.tokens * width
    users = 3 * size.supervised * width
    floats = layers + embedded + users + OPTIMIZER_TRAFFIC * size.parameters
    return FLOAT_BYTES * floats + ID_BYTES * size.supervised * loss.num_negatives


def measure_ceilings(device: torch.device, *, width: int) -> Ceilings:
    """Return what a product of two matrices of this width, and a copy of eight, reach; TF32 as it is switched now."""
    one, other = torch.rand(2, width, width, device=device)
    product = torch.empty_like(one)
    flops = 2 * width**3 / measure_best(device, lambda: torch.mm(one, other, out=product))
    source = torch.zeros(8, width, width, device=device)
    copy = torch.empty_like(source)
    seconds = measure_best(device, lambda: copy.copy_(source))
    return Ceilings(flops_per_second=flops, bytes_per_second=2 * source.nbytes / seconds)


def measure_best(device: torch.device, work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of a few repeats."""
    seconds = []
    for _ in range(REPEATS):
        wait(device)
        start = time.perf_counter()
        work()
        wait(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def wait(device: torch.device) -> None:
    """Return once the device has done everything that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
