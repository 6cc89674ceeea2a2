"""Means over a batch, of which a process may hold only a part.

Shape suffixes: T rows (supervised positions or events), K any width.
"""

from collections.abc import Callable

from torch import Tensor


class Share:
    """The whole batch, on one process; `training.shared_loss` overrides the means for a part of one."""

    def mean(self, value_T: Tensor) -> Tensor:
        """Return the mean over the whole batch, of values without gradients."""
        return value_T.mean()

    def contribute(self, value_T: Tensor) -> Tensor:
        """Return what this process adds to the mean over the whole batch; the mean over processes is that mean."""
        return value_T.mean()

    def sum_squared_means(self, value_TK: Tensor) -> Tensor:
        """Return Σ_k (mean_t v_tk)²; its mean over processes, and that of its gradients, is the whole batch's."""
        return value_TK.mean(0).square().sum()

    def sum_of_means(self, value_TK: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return Σ_k f(mean_t v_tk); its mean over processes, and that of its gradients, is the whole batch's."""
        return function(value_TK.mean(0)).sum()


WHOLE = Share()
