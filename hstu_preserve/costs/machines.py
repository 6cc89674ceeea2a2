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

    Attributes:
        products: For 10⁹ of them.
        drawn: For 10⁹ numbers of the drawn items' embeddings.
        pairs: For 10⁹ of attention.
        weights: For 10⁹ that the optimizer moves.
        step: For being a step.
    """

    products: float
    drawn: float
    pairs: float
    weights: float
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

CPU_STEP = StepRates(products=0.182, drawn=11.8, pairs=193.0, weights=112.0, step=0.0698)
CPU_RANKING = RankingRates(products=0.384, pairs=31.3, user=0.00206)
CPU_MEMORY = MemoryRates(weights=37.3, activations=6.79, drawn=54.9, pairs=20.4, program=3.55e8)
TYPICAL_ERROR = 0.09
"""Of the recorded steps, of 29 recipes whose work is counted, with batches of 16 to 128."""
WORST_ERROR = 0.4
"""Of those steps: that of ml-32m's, which takes longer than estimated."""
