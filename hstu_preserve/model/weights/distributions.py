"""Distributions that initial weights are drawn from."""

from collections.abc import Callable

from torch import Generator, Tensor, nn

NARROW_STD = 0.02
TRUNCATION = 2.0  # upstream's truncated_normal, in standard deviations

Initializer = Callable[[Tensor, Generator], object]


def truncated_normal(std: float) -> Initializer:
    """Normal with the given std, cut at two standard deviations."""
    bound = TRUNCATION * std
    return lambda x, generator: nn.init.trunc_normal_(x, std=std, a=-bound, b=bound, generator=generator)


def normal_product(std: float) -> Initializer:
    """Cut normal for both factors of a product, its terms along the last axis, so that the product has the std."""

    def fill(x: Tensor, generator: Generator) -> None:
        truncated_normal((std / x.shape[-1] ** 0.5) ** 0.5)(x, generator)

    return fill


def normal(x: Tensor, generator: Generator) -> None:
    """Normal with std 0.02."""
    nn.init.normal_(x, std=NARROW_STD, generator=generator)


def xavier_normal(x: Tensor, generator: Generator) -> None:
    """Normal with variance 2 / (rows + columns)."""
    nn.init.xavier_normal_(x, generator=generator)


def xavier_uniform(x: Tensor, generator: Generator) -> None:
    """Uniform with variance 2 / (rows + columns)."""
    nn.init.xavier_uniform_(x, generator=generator)


def zeros(x: Tensor, generator: Generator) -> None:
    """All zero."""
    nn.init.zeros_(x)


def uniform_by_fan_in(fan_in: int) -> Initializer:
    """Torch's default for the bias of a linear map with `fan_in` inputs."""
    bound = fan_in**-0.5
    return lambda x, generator: nn.init.uniform_(x, -bound, bound, generator=generator)


def constant(value: float) -> Initializer:
    """Everywhere the same."""
    return lambda x, generator: nn.init.constant_(x, value)


def without_padding(initialize: Initializer) -> Initializer:
    """As given, but for a first row of zeros."""

    def fill(x: Tensor, generator: Generator) -> None:
        initialize(x, generator)
        nn.init.zeros_(x[0])

    return fill


def for_each(initialize: Initializer) -> Initializer:
    """As given, for each of a stack of matrices."""

    def fill(x: Tensor, generator: Generator) -> None:
        for matrix in x:
            initialize(matrix, generator)

    return fill
