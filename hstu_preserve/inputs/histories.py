"""Turn assembled batches into the tensors that models read."""

from dataclasses import replace

import torch

from hstu_preserve.data.batches import Batch
from hstu_preserve.model.histories import Histories


def to_evaluation_histories(batch: Batch, device: torch.device) -> Histories:
    """Return the histories without their targets."""
    return Histories(
        length_B=torch.from_numpy(batch.lengths).to(device),
        item_BN=torch.from_numpy(batch.item_ids).to(device),
        time_BN=torch.from_numpy(batch.timestamps).to(device),
        half_star_BN=torch.from_numpy(batch.half_stars).to(device),
        user_B=torch.from_numpy(batch.user_ids).to(device),
    )


def to_training_histories(batch: Batch, device: torch.device) -> Histories:
    """Return the histories with each target standing after its last event, as the next item to predict."""
    histories = to_evaluation_histories(batch, device)
    target_B1 = torch.from_numpy(batch.target_ids).to(device)[:, None]
    with_target_BN = histories.item_BN.scatter(1, histories.length_B[:, None], target_B1)
    return replace(histories, item_BN=with_target_BN)
