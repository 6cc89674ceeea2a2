"""Products of pairs: the plain form on a processor, the kernels on a GPU or under Triton's interpreter."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hstu_preserve.kernels.pair_products import PairProducts, multiply_pairs
from tests.kernels.interpreter import needs_triton, run

Products = Callable[[Tensor, Tensor, Tensor], Tensor]
# Users, items for each, rows of the table, width: one of each; few rows and so long segments; rows that no pair names.
SHAPES = [(1, 1, 1, 1), (5, 17, 3, 8), (7, 40, 300, 50), (0, 4, 5, 6)]
IN_INTERPRETER = f"""
from tests.kernels.test_pair_products import SHAPES, require_equal
from hstu_preserve.kernels.pair_products import PairProducts
for shape in {SHAPES}:
    require_equal(PairProducts.apply, shape, device="cpu")
"""
COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from hstu_preserve.kernels import pair_products_triton as kernels
TILE = {"columns": 256, "tile": kernels.ROWS_AT_ONCE}
for kernel, kinds, fixed in (
    (kernels.multiply_kernel, ["*fp32", "*fp32", "*i64", "*fp32", "i32"], TILE | {"num_items": 129}),
    (kernels.sum_rows_kernel, ["*fp32", "*i64", "*fp32", "*i64", "*fp32", "i32"], TILE),
):
    names = kernel.arg_names
    signature = dict(zip(names, kinds)) | dict.fromkeys(fixed, "constexpr")
    constants = {(names.index(name),): value for name, value in fixed.items()}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    print(len(triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]))
"""


def differentiate(products: Products, user: Tensor, table: Tensor, item: Tensor) -> tuple[Tensor, ...]:
    """Return the products, and the gradients of their weighted sum."""
    user, table = user.detach().requires_grad_(), table.detach().requires_grad_()
    product = products(user, table, item)
    weight = torch.randn(product.shape, generator=torch.Generator().manual_seed(3)).to(product)
    return product.detach(), *torch.autograd.grad((product * weight).sum(), (user, table))


def gather_and_multiply(user: Tensor, table: Tensor, item: Tensor) -> Tensor:
    return torch.einsum("td,tpd->tp", user, table[item])


def make_pairs(shape: tuple[int, ...], *, device: str) -> tuple[Tensor, Tensor, Tensor]:
    num_users, num_items, num_rows, width = shape
    generator = torch.Generator().manual_seed(1)
    user = torch.randn(num_users, width, generator=generator)
    table = torch.randn(num_rows, width, generator=generator)
    item = torch.randint(num_rows, (num_users, num_items), generator=generator)
    return user.to(device), table.to(device), item.to(device)


def require_equal(products: Products, shape: tuple[int, ...], *, device: str) -> None:
    """Compare with the plain form in double precision, and with another run to the bit."""
    user, table, item = make_pairs(shape, device=device)
    found = differentiate(products, user, table, item)
    exact = differentiate(gather_and_multiply, user.double(), table.double(), item)
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)
    for one, other in zip(found, differentiate(products, user, table, item), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("shape", SHAPES)
def test_on_a_processor_it_is_the_plain_form(shape: tuple[int, ...]) -> None:
    require_equal(multiply_pairs, shape, device="cpu")


@needs_triton
def test_the_kernels_are_the_plain_form_under_the_interpreter(tmp_path: Path) -> None:
    run(IN_INTERPRETER, cache=tmp_path)


@needs_triton
def test_the_kernels_compile_for_an_h100(tmp_path: Path) -> None:
    sizes = run(COMPILE, cache=tmp_path, interpret=False).split()
    assert [int(size) > 1000 for size in sizes] == [True, True]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("shape", [*SHAPES, (1000, 129, 3000, 256), (4000, 129, 2, 50)])
def test_on_a_gpu_the_kernels_are_the_plain_form(shape: tuple[int, ...]) -> None:
    require_equal(PairProducts.apply, shape, device="cuda")
