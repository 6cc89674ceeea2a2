"""PRISM: side information conditions the item embedding, by a sum, by scale and shift, or by gated experts.

The archive never published what its PRISM is; this is a reconstruction. Of an item i with embedding e,

    c = concat over features f of the mean of E_f over the item's values      h = SiLU(W₁c + b₁)

and the recipe's variant makes e' of e and h. Scale and shift are FiLM's (Perez et al., AAAI 2018, arXiv:1709.07871);
the router's temperature, its top k and the balance of its load follow the two published models of that name (arXiv
2601.10944 and 2601.16556). Output projections start at zero, where e' equals e: adding zeros and multiplying by one
are exact (only the sign of a -0.0 goes).

Shape suffixes: J item ids from 0 (padding) to the largest, V values of a feature, T positions, K experts,
D model width, S side width (of h), C = D + S. Leading dimensions are the caller's and are not written.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hstu_preserve.model.items import NUM_DECADES, NUM_POPULARITY_LEVELS, Items
from hstu_preserve.model.shares import WHOLE, Share
from hstu_preserve.records.settings.components import EVENT_FEATURES, PrismSettings, SideFeature

MAX_HALF_STARS = 10


@dataclass(frozen=True, kw_only=True)
class Conditioned:
    """Embeddings after conditioning.

    Attributes:
        embedding: (…, D).
        router_weight: (…, K), the share of each expert; None unless there are experts.
    """

    embedding: Tensor
    router_weight: Tensor | None


class Prism(nn.Module):
    """Conditions embeddings on side information of their items.

    Args:
        settings: Decide the variant and the features that it reads.
        items: Genres, decades and counts; held outside the state dict, for they are data.
        width: D.
    """

    def __init__(self, settings: PrismSettings, items: Items, *, width: int) -> None:
        super().__init__()
        self.settings = settings
        self.features = nn.ModuleDict(
            {feature: FeatureMean(tabulate(feature, items), width=settings.side_dim) for feature in settings.features}
        )
        self.encoder = nn.Linear(len(settings.features) * settings.side_dim, settings.hidden_dim)
        self.fusion = FUSIONS[settings.variant](settings, width=width)

    def forward(self, embedding: Tensor, *, item: Tensor, half_star: Tensor | None) -> Conditioned:
        """Return the conditioned embeddings; padding and an item of which nothing is known share c = 0.

        Args:
            embedding: (…, D), of the items.
            item: int64 (…), 0 is padding.
            half_star: int64 (…), 0…10, 0 if unknown; read by the feature `rating` only.
        """
        means = [
            mean(require_rating(half_star) * (item != 0) if name in EVENT_FEATURES else item)
            for name, mean in self.features.items()
        ]
        side = F.silu(self.encoder(torch.cat(means, dim=-1)))
        conditioned: Conditioned = self.fusion(embedding, side)
        return conditioned


class FeatureMean(nn.Module):
    """Mean embedding of the values that an item, or an event, has of one feature; zeros where it has none.

    Args:
        value_JV: 1 where index j has value v.
        width: Of the embeddings.
    """

    value_JV: Tensor

    def __init__(self, value_JV: Tensor, *, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(value_JV.shape[1], width))
        self.register_buffer("value_JV", value_JV, persistent=False)

    def forward(self, index: Tensor) -> Tensor:
        """Return the means (…, width) of the table's rows `index` (int64)."""
        value = F.embedding(index, self.value_JV)
        return value @ self.weight / value.sum(-1, keepdim=True).clamp(min=1)


class Additive(nn.Module):
    """e' = e + W h + b."""

    def __init__(self, settings: PrismSettings, *, width: int) -> None:
        super().__init__()
        self.shift = nn.Linear(settings.hidden_dim, width)

    def forward(self, embedding: Tensor, side: Tensor) -> Conditioned:
        """Return embedding (…, D) after the sum; `side` is h (…, S)."""
        return Conditioned(embedding=embedding + self.shift(side), router_weight=None)


class Film(nn.Module):
    """[δ; β] = W h + b, e' = (1 + δ) ⊙ e + β; with a film scale s, δ gives way to s·tanh(δ/s), within ±s."""

    def __init__(self, settings: PrismSettings, *, width: int) -> None:
        super().__init__()
        self.film_scale = settings.film_scale
        self.modulation = nn.Linear(settings.hidden_dim, 2 * width)

    def forward(self, embedding: Tensor, side: Tensor) -> Conditioned:
        """Return embedding (…, D) after scale and shift; `side` is h (…, S)."""
        delta, shift = self.modulation(side).chunk(2, dim=-1)
        if self.film_scale is not None:
            delta = self.film_scale * torch.tanh(delta / self.film_scale)
        return Conditioned(embedding=(1 + delta) * embedding + shift, router_weight=None)


class Experts(nn.Module):
    """w = softmax(W_r [e; h] / T), e' = e + Σ_k w_k V_k SiLU(U_k [e; h]).

    With a top k, the softmax is over the k largest logits; of equal ones the earlier expert's is kept.
    """

    def __init__(self, settings: PrismSettings, *, width: int) -> None:
        super().__init__()
        self.temperature = settings.router_temperature
        self.num_kept = settings.top_k or settings.num_experts
        read_width = width + settings.hidden_dim
        self.router = nn.Linear(read_width, settings.num_experts, bias=False)
        self.expand = nn.Parameter(torch.empty(settings.num_experts, read_width, settings.expert_dim))
        self.contract = nn.Parameter(torch.empty(settings.num_experts, settings.expert_dim, width))

    def forward(self, embedding: Tensor, side: Tensor) -> Conditioned:
        """Return embedding (…, D) after the experts' sum, and their weights; `side` is h (…, S)."""
        read = torch.cat([embedding, side], dim=-1)
        weight = keep_largest(self.router(read) / self.temperature, num_kept=self.num_kept).softmax(dim=-1)
        hidden = F.silu(torch.einsum("...c,kch->...kh", read, self.expand))
        mixed = torch.einsum("...kh,khd->...d", weight[..., None] * hidden, self.contract)
        return Conditioned(embedding=embedding + mixed, router_weight=weight)


FUSIONS: dict[str, type[Additive | Film | Experts]] = {"additive": Additive, "film": Film, "moe": Experts}


def load_balance(router_weight_TK: Tensor, *, share: Share = WHOLE) -> Tensor:
    """Return K·Σ_k (mean_t w_tk)², which is 1 where all experts carry the same load and K where one carries it all."""
    return router_weight_TK.shape[1] * share.sum_squared_means(router_weight_TK)


def keep_largest(logit: Tensor, *, num_kept: int) -> Tensor:
    """Return logits (…, K) with all but the largest `num_kept` at -∞; of equal ones the first are kept."""
    order = logit.argsort(dim=-1, descending=True, stable=True)
    rank = order.argsort(dim=-1)
    return logit.masked_fill(rank >= num_kept, -torch.inf)


def require_rating(half_star: Tensor | None) -> Tensor:
    """Return the ratings, which the caller must have."""
    if half_star is None:
        raise ValueError("the feature 'rating' needs half_star")
    return half_star


def tabulate(feature: SideFeature, items: Items) -> Tensor:
    """Return value_JV, 1 where an item has a value of the feature (J are half stars for `rating`); row 0 is zeros."""
    match feature:
        case SideFeature.GENRES:
            value_JV = items.genre_JG
        case SideFeature.YEAR:
            value_JV = F.one_hot(items.decade_J, NUM_DECADES)[:, 1:]  # decade 0 is an unknown one
        case SideFeature.POPULARITY:
            value_JV = F.one_hot(find_popularity_levels(items.count_J), NUM_POPULARITY_LEVELS)
        case SideFeature.RATING:
            value_JV = F.one_hot(torch.arange(MAX_HALF_STARS + 1), MAX_HALF_STARS + 1)[:, 1:]
    is_padding_J = torch.arange(len(value_JV), device=value_JV.device) == 0
    return value_JV.float().masked_fill(is_padding_J[:, None], 0.0)


def find_popularity_levels(count_J: Tensor) -> Tensor:
    """Return ⌊log2(1 + count)⌋ (int64), read off the exponent, so that no rounding decides."""
    return torch.frexp((1 + count_J).double()).exponent.long() - 1
