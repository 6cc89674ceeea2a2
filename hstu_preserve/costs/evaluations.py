"""Count how many users a training ranks, over all of its evaluations."""

from hstu_preserve.records.recipe import Protocol, Recipe


def count_evaluated_users(recipe: Recipe, *, num_users: int) -> int:
    """Return how many users one training ranks, each as often as it is ranked.

    Every epoch ends with an evaluation, a full one or one of a few batches. The reported checkpoint is evaluated once
    more, unless the last epoch's evaluation was of the same users and targets.

    Args:
        recipe: Says which epochs are evaluated fully, and how many users at the most.
        num_users: Who can be evaluated.
    """
    settings, num_epochs = recipe.evaluation, recipe.training.num_epochs
    everybody = num_users if settings.max_users is None else min(num_users, settings.max_users)
    some = min(everybody, settings.partial_eval_num_iters * settings.eval_batch_size)
    num_full = -(-num_epochs // settings.full_eval_every_n)
    is_last_full = (num_epochs - 1) % settings.full_eval_every_n == 0
    is_repeated = recipe.dataset.protocol is Protocol.VALIDATED or not is_last_full
    return num_full * everybody + (num_epochs - num_full) * some + (everybody if is_repeated else 0)
