"""Parts of the training loss, for tests that look at one of them."""

from torch import Tensor

from hstu_preserve.model.objective import Draws, losses_of_positions, select_supervised, training_losses
from hstu_preserve.model.recommender import Recommender


def training_loss(model: Recommender, draws: Draws) -> Tensor:
    """Return what one step minimises."""
    return training_losses(model, draws).total


def position_losses(model: Recommender, draws: Draws) -> Tensor:
    """Return loss_T, unweighted: position t is asked for the item at t + 1, the last one for the target."""
    encoded = model.encode(draws.histories)
    supervised = select_supervised(model, encoded.tokens, encoded.user_BND)
    return losses_of_positions(model, encoded, supervised, draws)
