"""The three jagged operators: fbgemm's registered ones if they load, plain torch where not.

Shape suffixes: B batch, N padded position, T all valid positions of a batch in row order, D any width.
"""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from hstu_preserve.primitives.environment import installed_versions


@dataclass(frozen=True, kw_only=True)
class JaggedOperators:
    """One implementation of the three operators.

    Attributes:
        name: `fbgemm` or `plain`; recorded, because the two may differ in the last bits of a gradient.
        complete_cumsum: lengths_B (int64) -> offsets of B + 1 entries, starting with 0.
        to_padded: (values_TD, offsets, N) -> dense_BND, zero where padded.
        to_jagged: (dense_BND, offsets) -> values_TD.
    """

    name: str
    complete_cumsum: Callable[[Tensor], Tensor]
    to_padded: Callable[[Tensor, Tensor, int], Tensor]
    to_jagged: Callable[[Tensor, Tensor], Tensor]


def plain_complete_cumsum(length_B: Tensor) -> Tensor:
    """Return the offsets of rows of the given lengths (int64), with the total last."""
    return torch.cat([length_B.new_zeros(1), length_B.cumsum(0)])


def valid_positions(offsets: Tensor, padded_length: int) -> Tensor:
    """Return the index of every valid position in the flattened (B * N) padded form."""
    length_B = offsets.diff()
    position_N = torch.arange(padded_length, device=offsets.device)
    return torch.nonzero((position_N < length_B[:, None]).flatten()).squeeze(1)


def plain_to_padded(values_TD: Tensor, offsets: Tensor, padded_length: int) -> Tensor:
    """Return dense_BND with zeros where padded."""
    batch, width = offsets.numel() - 1, values_TD.shape[-1]
    dense = values_TD.new_zeros(batch * padded_length, width)
    filled = dense.index_copy(0, valid_positions(offsets, padded_length), values_TD)
    return filled.view(batch, padded_length, width)


def plain_to_jagged(dense_BND: Tensor, offsets: Tensor) -> Tensor:
    """Return the valid rows of `dense_BND` in row order."""
    return dense_BND.flatten(0, 1).index_select(0, valid_positions(offsets, dense_BND.shape[1]))


PLAIN_OPERATORS = JaggedOperators(
    name="plain",
    complete_cumsum=plain_complete_cumsum,
    to_padded=plain_to_padded,
    to_jagged=plain_to_jagged,
)


@cache
def fbgemm_problem() -> str | None:
    """Return why fbgemm's operators cannot be used here, or None if they can."""
    try:
        with silence():
            import fbgemm_gpu  # noqa: F401  registers torch.ops.fbgemm
    except ModuleNotFoundError:
        return "fbgemm_gpu is not installed"
    except (ImportError, OSError, RuntimeError):
        return f"{installed_fbgemm()} does not load with torch {torch.__version__}"
    needed = ("asynchronous_complete_cumsum", "jagged_to_padded_dense", "dense_to_jagged")
    missing = [name for name in needed if not hasattr(torch.ops.fbgemm, name)]
    return f"{installed_fbgemm()} lacks {', '.join(missing)} with torch {torch.__version__}" if missing else None


@contextmanager
def silence() -> Iterator[None]:
    """Keep warnings and log records back: a wrong torch/fbgemm pair makes many, and doctor says it in one line."""
    disabled = logging.root.manager.disable
    logging.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def installed_fbgemm() -> str:
    """Return name and version of the installed fbgemm package."""
    versions = installed_versions()
    return next((f"{name} {versions[name]}" for name in versions if name.startswith("fbgemm")), "fbgemm_gpu")


@cache
def load_operators() -> JaggedOperators:
    """Return fbgemm's operators if they load, else the plain ones."""
    if fbgemm_problem() is not None:
        return PLAIN_OPERATORS
    registered = torch.ops.fbgemm
    return JaggedOperators(
        name="fbgemm",
        complete_cumsum=registered.asynchronous_complete_cumsum,
        to_padded=lambda values, offsets, length: registered.jagged_to_padded_dense(values, [offsets], [length], 0.0),
        to_jagged=lambda dense, offsets: registered.dense_to_jagged(dense, [offsets])[0],
    )
