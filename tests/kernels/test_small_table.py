"""The look-up in a small table: the plain form on a processor, the kernel on a GPU or under Triton's interpreter."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor

from hstu_preserve.kernels.small_table import look_up

IN_INTERPRETER = """
import torch
from hstu_preserve.kernels.small_table_triton import add_up_blocks
for count, entries in ((1, 1), (31, 512), (1000, 129), (513, 7)):
    generator = torch.Generator().manual_seed(count)
    value = torch.randn(count, generator=generator)
    index = torch.randint(entries, (count,), generator=generator)
    rows = add_up_blocks(value, index, num_entries=entries, indices_per_block=256)
    assert rows.shape == (-(-count // 256), entries)
    exact = torch.zeros(entries, dtype=torch.float64).index_add_(0, index, value.double())
    torch.testing.assert_close(rows.double().sum(0), exact, rtol=1e-6, atol=1e-6)
"""


def differentiate(table: Tensor, index: Tensor, *, by_index_select: bool) -> tuple[Tensor, Tensor]:
    """Return the values, and the table's gradient of their weighted sum."""
    table = table.clone().requires_grad_()
    values = table.index_select(0, index.flatten()).view(index.shape) if by_index_select else look_up(table, index)
    weights = torch.randn(values.shape, generator=torch.Generator().manual_seed(3)).to(table.device)
    (gradient,) = torch.autograd.grad((values * weights).sum(), table)
    return values.detach(), gradient


@pytest.mark.parametrize("shape", [(4, 9, 9), (0,), (5000,)])
def test_on_a_processor_it_is_an_index_select_to_the_bit(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(129, generator=generator)
    index = torch.randint(129, shape, generator=generator)
    for ours, plain in zip(
        differentiate(table, index, by_index_select=False),
        differentiate(table, index, by_index_select=True),
        strict=True,
    ):
        assert torch.equal(ours, plain)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("shape", [(4, 9, 9), (3, 5000), (128, 211, 211)])
def test_on_a_gpu_the_gradient_is_the_same_each_time_and_near_the_plain_one(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(129, generator=generator)
    index = torch.randint(129, shape, generator=generator)
    values, gradient = differentiate(table.cuda(), index.cuda(), by_index_select=False)
    again = differentiate(table.cuda(), index.cuda(), by_index_select=False)
    plain = differentiate(table.double(), index, by_index_select=True)
    assert torch.equal(values.cpu(), plain[0].float())
    assert torch.equal(gradient, again[1])
    torch.testing.assert_close(gradient.cpu().double(), plain[1], rtol=1e-5, atol=1e-4)


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_the_kernel_adds_up_under_the_interpreter() -> None:
    run = subprocess.run(
        [sys.executable, "-c", IN_INTERPRETER],
        env={"TRITON_INTERPRET": "1", "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
