"""Parts of a batch: which rows a process has, and what they weigh in the whole."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hstu_preserve.compute.world import World
from hstu_preserve.model.shares import WHOLE
from hstu_preserve.training.shared_loss import PartOfBatch


class Beside(World):
    """Two processes, the other of which always adds the same."""

    def __init__(self, other: Callable[[Tensor], Tensor]) -> None:
        super().__init__(rank=0, size=2)
        object.__setattr__(self, "other", other)

    def total(self, value: Tensor) -> Tensor:
        theirs: Tensor = self.other(value)  # type: ignore[attr-defined]  # set above, past the frozen class
        return value.detach() + theirs


@pytest.mark.parametrize(("num_rows", "size"), [(0, 2), (1, 2), (1, 3), (2, 3), (7, 3), (128, 5)])
def test_every_row_is_one_process_s(num_rows: int, size: int) -> None:
    parts = [World(rank=rank, size=size).take_rows(num_rows) for rank in range(size)]
    assert [row for part in parts for row in range(num_rows)[part]] == list(range(num_rows))
    lengths = [part.stop - part.start for part in parts]
    assert max(lengths) - min(lengths) <= 1


def test_rows_that_stand_in_for_none_count_for_nothing() -> None:
    value_T = torch.tensor([2.0, 4.0, 9.0])
    part = PartOfBatch(Beside(lambda _: torch.tensor(5.0)), is_stand_in=True)
    assert part.count(value_T) == 5
    assert part.contribute(value_T) == 0
    assert part.mean(value_T) == 1  # the others' sum over the others' count


def test_a_part_and_its_like_are_the_whole() -> None:
    value_TK = torch.tensor([[1.0, 3.0], [5.0, 2.0], [0.5, 0.0]])
    part = PartOfBatch(Beside(lambda own: own.detach().clone()), is_stand_in=False)
    assert part.count(value_TK) == 6
    torch.testing.assert_close(part.mean(value_TK[:, 0]), WHOLE.mean(value_TK[:, 0]))
    torch.testing.assert_close(part.contribute(value_TK[:, 0]), WHOLE.contribute(value_TK[:, 0]))
    torch.testing.assert_close(part.sum_squared_means(value_TK), WHOLE.sum_squared_means(value_TK))


def test_gradients_of_a_part_and_its_like_are_the_whole_s() -> None:
    def entropy(p: Tensor) -> Tensor:
        return p * (p + 1e-6).log()

    halves, whole = (torch.tensor([[1.0, 3.0], [5.0, 2.0], [0.5, 0.0]], requires_grad=True) for _ in range(2))
    part = PartOfBatch(Beside(lambda own: own.detach().clone()), is_stand_in=False)
    found, expected = part.sum_of_means(halves, entropy), WHOLE.sum_of_means(whole, entropy)
    torch.testing.assert_close(found, expected)
    found.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    expected.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    torch.testing.assert_close(halves.grad, whole.grad)
