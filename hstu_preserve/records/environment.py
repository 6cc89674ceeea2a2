"""The machine and the software a run was made with."""

from typing import Literal

from pydantic import Field

from hstu_preserve.primitives.numbers import NumThreads
from hstu_preserve.records.record import Record

TrainingPath = Literal["reference", "fast", "fused"]
"""How a training step is computed: as `model/` states it, in the fewer passes of `model/fast/`, which is for a CPU, or
with the kernels of `model/fused/`, which is for a GPU."""


class EnvironmentRecord(Record):
    """What could move a number without anybody touching the recipe."""

    python: str
    platform: str
    machine: str
    """The processor family, as `platform.machine()`."""
    packages: dict[str, str]
    """Version of each installed package that the program depends on."""
    numerics: "NumericsRecord | None"
    """None where no tensor was computed (no torch installed)."""
    training_path: TrainingPath = Field(default="reference", exclude_if=lambda path: path == "reference")
    """How each step was computed; absent from what was recorded before there was more than the reference path."""


class NumericsRecord(Record):
    """What decides the last bits of a float: bitwise comparison is asked for only when all of it is equal."""

    torch: str
    device: str
    """`cpu`, or the GPU's name."""
    processor: str
    """Its model: libraries choose other kernels on another, even among those with the same vector instructions."""
    cpu_capability: str
    """The vector instructions torch chose, e.g. AVX2 or AVX512."""
    threads: NumThreads
    code_path: str
    """`fbgemm` or `plain` jagged operators."""
    dtype: str
    tf32: bool
    deterministic_algorithms: bool
    processes: NumThreads

    def list_differences(self, other: "NumericsRecord") -> list[str]:
        """Return each field that differs, as `name: here, there`."""
        return [
            f"{name}: {getattr(self, name)} here, {getattr(other, name)} recorded"
            for name in type(self).model_fields
            if getattr(self, name) != getattr(other, name)
        ]
