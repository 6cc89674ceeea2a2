"""The formats in which scores are computed, and how far apart two of them may put the scores of the same weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from hstu_preserve.records.recipe import Recipe


class NumberFormat(StrEnum):
    """In which format the products behind a score are computed; float16 is none of this program's."""

    FLOAT32 = "float32"
    TF32 = "TF32"
    """On a GPU, if the recipe allows it: factors are rounded to 10 bits."""
    BFLOAT16 = "bfloat16 scores"
    """`main_module_bf16` makes the whole model bfloat16: the encoder, the item table and the scores."""


TOLERANCES: Mapping[NumberFormat, float] = MappingProxyType(
    {NumberFormat.FLOAT32: 1e-5, NumberFormat.TF32: 1e-3, NumberFormat.BFLOAT16: 8e-3}
)
"""How near a candidate's score must be to the target's for the two to change places in the format; of cosines.

The smallest of 1e-5, 1e-4, 1e-3, 2e-3, 4e-3 and 8e-3 within which no user's rank moved further than there are
candidates, for every model that was measured. Two HSTU models of 943 users (ml-100k): float64 for float32, other vector
instructions, threads and batch sizes 1e-5, TF32 1e-3, bfloat16 8e-3. A model of upstream's ml-20m shape, 2,048 users,
27,000 items (`benchmarks/number_formats.py`): float32 on a GPU 1e-5, TF32 1e-4, float16 1e-3, bfloat16 2e-3.
"""
SMALLEST_SEEN: Mapping[NumberFormat, str] = MappingProxyType({NumberFormat.TF32: "1 %", NumberFormat.BFLOAT16: "5 %"})
"""The least noise, of each tensor's spread, that moved more users than may be moved; 0.1 % and 1 % of it did not."""


@dataclass(frozen=True, kw_only=True)
class FormatPair:
    """The formats of the recorded scores and of those of the re-run."""

    recorded: NumberFormat
    present: NumberFormat

    @property
    def coarser(self) -> NumberFormat:
        """The one with the larger tolerance."""
        return max(self.recorded, self.present, key=TOLERANCES.__getitem__)

    @property
    def tolerance(self) -> float:
        """Within which scores may change places."""
        return TOLERANCES[self.coarser]

    @property
    def is_crossed(self) -> bool:
        """Whether the scores were recorded in another format."""
        return self.recorded is not self.present

    @property
    def limits(self) -> str | None:
        """What the comparison cannot see, in words; None if it sees next to everything."""
        smallest = SMALLEST_SEEN.get(self.coarser)
        return smallest and f"this pair of formats sees changes of {smallest} of the weights, not smaller ones"


def find_format(recipe: Recipe, *, device: str | None) -> NumberFormat:
    """Return the format of a recipe's scores on a device.

    The recipe decides, and not what a bundle says of its arithmetic: a format that is said to be coarser than the
    recipe's own would let more pass.

    Args:
        recipe: Decides the weights' type, and whether TF32 is allowed.
        device: `cpu` or a GPU's name; None if it is not known.
    """
    if recipe.model.main_module_bf16:
        return NumberFormat.BFLOAT16
    is_rounded = recipe.training.enable_tf32 and device != "cpu"
    return NumberFormat.TF32 if is_rounded else NumberFormat.FLOAT32
