"""The training step for a GPU: kernels where the step of `model/` moves most bytes, and that step elsewhere."""
