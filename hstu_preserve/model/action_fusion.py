"""Action fusion: the rating of a past event joins its item in one token, e + a_rating.

A reconstruction of one reading of the archive's "input compression": item and action merged, as ULTRA-HSTU does
(arXiv:2602.16986), instead of interleaved. Upstream's model ignores ratings. Ratings are indexed in half stars, where
upstream's loader truncates 3.5 to 3.

Shape suffixes: B batch, N padded position, D model width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUM_HALF_STARS = 10


class ActionFusion(nn.Module):
    """A vector for each rating, added to the item's; none if no rating is known, as for the target."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rating = nn.Parameter(torch.empty(NUM_HALF_STARS + 1, width))

    def forward(self, embedding_BND: Tensor, half_star_BN: Tensor) -> Tensor:
        """Return embedding_BND with the ratings' vectors added.

        Args:
            embedding_BND: Of the items, before scaling and positions.
            half_star_BN: int64, rating × 2; 0 is padding or unknown.
        """
        is_rated_BN1 = (half_star_BN != 0)[..., None]
        return embedding_BND + F.embedding(half_star_BN, self.rating) * is_rated_BN1
