"""The window that encoders of this room read: the last T events, padded on the left, the last one at T - 1.

Shape suffixes: B batch, N left-aligned position, T position in the window, D model width.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hstu_preserve.model.windowed.hstu_tf import rotate


@dataclass(frozen=True, kw_only=True)
class Window:
    """A batch in its window.

    Attributes:
        embedding_BTD: Item embeddings, unscaled.
        is_event_BT: bool, where an event stands.
        shift_B: int64, positions by which each user's events were moved.
        positions: N.
    """

    embedding_BTD: Tensor
    is_event_BT: Tensor
    shift_B: Tensor
    positions: int

    def restore(self, x_BTD: Tensor) -> Tensor:
        """Return x_BND, left-aligned as the input: the state after each event, zero elsewhere."""
        events_BTD = x_BTD * self.is_event_BT[..., None]
        return rotate(F.pad(events_BTD, (0, 0, 0, self.positions - x_BTD.shape[1])), -self.shift_B)


def move_to_window(embedding_BND: Tensor, length_B: Tensor, item_BN: Tensor, *, length: int) -> Window:
    """Return left-aligned histories in their window of `length` positions.

    Args:
        embedding_BND: Of the items; N is more than T.
        length_B: int64, events of history, at most T.
        item_BN: int64, 0 is padding; nothing from position `length` on is read.
        length: T.
    """
    positions = item_BN.shape[1]
    is_event_BN = (torch.arange(positions, device=item_BN.device) < length_B[:, None]) & (item_BN != 0)
    shift_B = length - length_B
    is_event_BT, embedding_BTD = (rotate(x, shift_B)[:, :length] for x in (is_event_BN, embedding_BND))
    return Window(embedding_BTD=embedding_BTD, is_event_BT=is_event_BT, shift_B=shift_B, positions=positions)
