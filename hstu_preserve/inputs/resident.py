"""Events that lie on the device, so that a batch is gathered there: on a GPU nothing waits for the processor's copies.

Shape suffixes: B users, N = max_sequence_length + output_length positions, E events of all users.
"""

import numpy as np
import torch
from torch import Tensor

from hstu_preserve.data.arrays import AnyArray, Int64Array
from hstu_preserve.data.batches import locate_targets
from hstu_preserve.data.sequences import Sequences
from hstu_preserve.model.histories import Histories


class ResidentEvents:
    """All users' events as tensors on a device: 13 bytes each.

    Args:
        sequences: The users' events.
        device: Where batches are needed.
    """

    def __init__(self, sequences: Sequences, device: torch.device) -> None:
        self.sequences = sequences
        self.item_E = to_tensor(sequences.item_ids, device)
        self.half_star_E = to_tensor(sequences.half_stars, device)
        self.time_E = to_tensor(sequences.timestamps, device)

    def assemble_training(self, users: Int64Array, *, max_sequence_length: int, output_length: int) -> Histories:
        """Return the users' histories with their targets, as `assemble_batch` and `to_training_histories` make them.

        Args:
            users: [B], indices into the sequences.
            max_sequence_length: Events of history that are kept.
            output_length: Positions after them, at least 1.

        Raises:
            ValueError: A user has no history and target.
        """
        targets = locate_targets(self.sequences, users, held_out_events=0)
        lengths = np.minimum(targets - self.sequences.starts[users], max_sequence_length)
        ids = self.sequences.user_ids[users].astype(np.int64)
        # One copy, for which the device waits once.
        target_B, length_B, user_B = torch.from_numpy(np.stack([targets, lengths, ids])).to(self.item_E.device)
        position_N = torch.arange(max_sequence_length + output_length, device=target_B.device)
        # The target is the event after the last of the history; beyond it, nothing is read.
        is_given_BN = position_N <= length_B[:, None]
        event_BN = torch.minimum((target_B - length_B)[:, None] + position_N, target_B[:, None])
        return Histories(
            length_B=length_B,
            item_BN=gather(self.item_E, event_BN, where=is_given_BN),
            time_BN=gather(self.time_E, event_BN, where=is_given_BN),
            half_star_BN=gather(self.half_star_E, event_BN, where=position_N < length_B[:, None]),
            user_B=user_B,
        )


def to_tensor(values: AnyArray, device: torch.device) -> Tensor:
    """Return a copy on the device: an array that is mapped from a file may not be written, as a tensor may."""
    return torch.from_numpy(values.copy()).to(device)


def gather(value_E: Tensor, event_BN: Tensor, *, where: Tensor) -> Tensor:
    """Return the events' values as int64, 0 but where `where` (bool) says."""
    return value_E[event_BN].long().masked_fill(~where, 0)
