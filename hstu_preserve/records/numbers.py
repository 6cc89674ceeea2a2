"""The ranges of numbers that recipes hold."""

from typing import Annotated

from pydantic import Field

Probability = Annotated[float, Field(ge=0.0, lt=1.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
PositiveShare = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(ge=1)]
NaturalInt = Annotated[int, Field(ge=0)]
# RFC 8785 writes larger floats with the digits of an integer that JSON readers do not keep.
LARGEST_FLOAT = 2.0**53
PositiveFloat = Annotated[float, Field(gt=0.0, lt=LARGEST_FLOAT, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0.0, lt=LARGEST_FLOAT, allow_inf_nan=False)]
AnyFloat = Annotated[float, Field(gt=-LARGEST_FLOAT, lt=LARGEST_FLOAT, allow_inf_nan=False)]
