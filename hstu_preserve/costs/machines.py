"""What machines take for the work of a step: measured once, and scaled by a probe that a machine takes itself.

`python -m benchmarks.costs` measures the figures of the processor's, `--fit` computes them from the record; a test
holds them to it. `python -m benchmarks.gpu_check` measured the GPU's one step.
"""

from dataclasses import dataclass

PROBE_RECIPE = "paper-hstu-ml-20m"
PROBE_BATCH = 8
PROBE_ITEMS = 2_000


@dataclass(frozen=True, kw_only=True)
class StepRates:
    """Steps of the probe that a processor takes for one of each kind of work, and for every step.

    Attention's pairs and the optimizer's weights were too little of what was measured to have a factor of their own.

    Attributes:
        products: For 10⁹ of them.
        drawn: For 10⁹ numbers of the drawn items' embeddings.
        step: For being a step.
    """

    products: float
    drawn: float
    step: float


@dataclass(frozen=True, kw_only=True)
class RankingRates:
    """Steps of the probe that a processor takes to rank a user.

    Attributes:
        products: For 10⁹ of a forward pass.
        pairs: For 10⁹ of attention.
        user: For being a user.
    """

    products: float
    pairs: float
    user: float


@dataclass(frozen=True, kw_only=True)
class MemoryRates:
    """Bytes that a processor's step takes.

    Attributes:
        weights: For each, its gradient and moments included.
        activations: For each.
        drawn: For each drawn item, whatever its width.
        pairs: For each padded pair; tiles of the others are given back at once.
        program: Of Python, PyTorch and the data.
    """

    weights: float
    activations: float
    drawn: float
    pairs: float
    program: float


@dataclass(frozen=True, kw_only=True)
class MeasuredStep:
    """One step that was measured on a GPU, of `paper-hstu-ml-20m` on made-up data.

    Attributes:
        gpu: Its name.
        seconds: Of a step.
        peak_bytes: Of its memory.
        num_rows: Of the item table.
        mean_length: Of the histories.
    """

    gpu: str
    seconds: float
    peak_bytes: float
    num_rows: int
    mean_length: float


H100 = MeasuredStep(
    gpu="NVIDIA H100 80GB HBM3",
    seconds=0.0395,
    peak_bytes=5.359e9,
    num_rows=27_001,
    mean_length=150.0,
)
"""`benchmarks/results/gpu.json`, `ml_20m_shape`."""

CPU_STEP = StepRates(products=0.249, drawn=18.3, step=0.108)
CPU_RANKING = RankingRates(products=0.0431, pairs=362.0, user=0.00047)
CPU_MEMORY = MemoryRates(weights=16.0, activations=8.0, drawn=48.0, pairs=12.0, program=3.38e8)
"""Weights by their number, pairs by what softmax keeps; the others fit the recorded peaks and that of 700 events."""
TYPICAL_ERROR = 0.11
"""Of the recorded steps, three recipes with batches of 16 to 128."""
WORST_ERROR = 0.45
"""Of a step of 700 events, which `benchmarks/results/components.json` has; it takes longer than estimated."""
