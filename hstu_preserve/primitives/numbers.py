"""The ranges of numbers that records hold."""

from typing import Annotated

from pydantic import Field

Probability = Annotated[float, Field(ge=0.0, lt=1.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
PositiveShare = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
OpenShare = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(ge=1)]
LeastEvents = Annotated[int, Field(ge=2)]
"""That a user or item must have; one event is what every user and item has."""
NaturalInt = Annotated[int, Field(ge=0)]
NumBlocks = Annotated[int, Field(ge=1, le=1_024)]
"""Of an encoder: each is built by a step of Python, before any size is compared."""
NumThreads = Annotated[int, Field(ge=1, le=1_024)]
"""Of one process; OpenMP ends the process when the system gives fewer."""
# RFC 8785 writes larger floats with the digits of an integer that JSON readers do not keep.
LARGEST_FLOAT = 2.0**53
PositiveFloat = Annotated[float, Field(gt=0.0, lt=LARGEST_FLOAT, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0.0, lt=LARGEST_FLOAT, allow_inf_nan=False)]
AnyFloat = Annotated[float, Field(gt=-LARGEST_FLOAT, lt=LARGEST_FLOAT, allow_inf_nan=False)]

SMALLEST_SCALE = 1e-6
"""Of what divides scores or gates, and with them their gradients."""
SMALLEST_FLOOR = 1e-30
"""Of what keeps a divisor from 0: well inside float32's normal numbers."""


def require_at_least(lowest: float, value: float | None, *, path: str) -> None:
    """Raise ValueError where a value is so small that float32 does not stay finite; None is no value."""
    if value is not None and value < lowest:
        raise ValueError(f"{path} {value} is below {lowest}, where training in float32 does not stay finite")
