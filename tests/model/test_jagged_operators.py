"""The jagged operators do what their names say, and fbgemm's do the same."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from hstu_preserve.model.jagged import PLAIN_OPERATORS, JaggedOperators, load_operators
from tests.model.tiny_models import OPERATORS, needs_fbgemm


@dataclass(frozen=True, kw_only=True)
class Jagged:
    """Rows of some lengths in both forms, and a padded length they fit in."""

    lengths: list[int]
    padded_length: int
    values_TD: Tensor
    dense_BND: Tensor


@st.composite
def jagged(draw: st.DrawFn) -> Jagged:
    padded_length, width = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(0, padded_length), min_size=1, max_size=5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    return Jagged(
        lengths=lengths,
        padded_length=padded_length,
        values_TD=torch.randn(sum(lengths), width, generator=generator),
        dense_BND=torch.randn(len(lengths), padded_length, width, generator=generator),
    )


def make_jagged(lengths: list[int], padded_length: int) -> Jagged:
    return Jagged(
        lengths=lengths,
        padded_length=padded_length,
        values_TD=torch.arange(2.0 * sum(lengths)).view(-1, 2),
        dense_BND=torch.arange(2.0 * len(lengths) * padded_length).view(-1, padded_length, 2),
    )


def differentiate(output: Tensor, source: Tensor) -> Tensor:
    """Return the gradient of a weighted sum of the output, another weight for each element."""
    weight = torch.linspace(-1, 2, output.numel()).view(output.shape)
    return torch.autograd.grad((output * weight).sum(), source)[0]


EMPTY = make_jagged([0, 0], 3)
FULL = make_jagged([3, 3], 3)
MIXED = make_jagged([0, 3, 1, 0], 3)


@pytest.mark.parametrize("operators", OPERATORS)
@given(case=jagged())
@example(case=EMPTY)
@example(case=FULL)
@example(case=MIXED)
def test_rows_stand_one_after_the_other_or_each_padded_with_zeros(operators: JaggedOperators, case: Jagged) -> None:
    offsets = operators.complete_cumsum(torch.tensor(case.lengths))
    assert offsets.tolist() == [sum(case.lengths[:row]) for row in range(len(case.lengths) + 1)]
    padded = operators.to_padded(case.values_TD, offsets, case.padded_length)
    for row, length in enumerate(case.lengths):
        start = int(offsets[row])
        assert torch.equal(padded[row, :length], case.values_TD[start : start + length])
        assert not padded[row, length:].any()
    kept = [case.dense_BND[row, :length] for row, length in enumerate(case.lengths)]
    assert torch.equal(operators.to_jagged(case.dense_BND, offsets), torch.cat(kept))


@needs_fbgemm
@given(case=jagged())
@example(case=EMPTY)
@example(case=FULL)
@example(case=MIXED)
def test_both_implementations_agree_forward_and_backward(case: Jagged) -> None:
    results = []
    for operators in (PLAIN_OPERATORS, load_operators()):
        offsets = operators.complete_cumsum(torch.tensor(case.lengths))
        values_TD, dense_BND = case.values_TD.clone().requires_grad_(), case.dense_BND.clone().requires_grad_()
        padded = operators.to_padded(values_TD, offsets, case.padded_length)
        flat = operators.to_jagged(dense_BND, offsets)
        results.append((padded, flat, differentiate(padded, values_TD), differentiate(flat, dense_BND)))
    (padded, flat, *gradients), (their_padded, their_flat, *their_gradients) = results
    assert torch.equal(padded, their_padded)
    assert torch.equal(flat, their_flat)
    torch.testing.assert_close(gradients, their_gradients)
