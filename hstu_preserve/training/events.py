"""The events that the training loop yields: steps taken and epochs ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class StepEvent:
    """One optimizer step is done.

    Attributes:
        epoch: From 0.
        step: From 0, over the whole run: upstream's batch id.
        loss: The one that the step minimised.
        main_loss: Mean over the step's supervised positions, without the components' own losses.
        load_balance: PRISM's auxiliary loss before its weight, None if there is none.
        learning_rate: The one used.
        steps_per_epoch: Steps that an epoch has.
        auxiliary: The losses that `loss.weights` weighs, before their weights, by name.
    """

    epoch: int
    step: int
    loss: float
    main_loss: float
    load_balance: float | None
    learning_rate: float
    steps_per_epoch: int
    auxiliary: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EpochEvent:
    """One epoch is done.

    Attributes:
        epoch: From 0.
        batch_id: Steps done since the start of the run.
        is_last: Whether the run ends here.
    """

    epoch: int
    batch_id: int
    is_last: bool
