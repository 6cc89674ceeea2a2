"""Mixture of Logits: a score is the gated mean of the products of a few query vectors with a few item vectors.

As bailuding/rails at 30b1da9 computes it (`rails/similarities/mol/similarity_fn.py`), after Zhai et al., KDD 2023
(arXiv:2306.04039), and Ding and Zhai (arXiv:2407.15462). With query vectors q_n and item vectors k_m:

    c = q_n·k_m / temperature,  g = gq(u) ⊙ gi(x) + gqi(c),  w = softmax(g ⊙ σ(g)),  score = Σ w ⊙ c

Shape suffixes: T users (or positions), X items of each, E encoder's width, P query vectors, M item vectors, A width of
a vector, L = P·M products of a pair.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hstu_preserve.model.embeddings import l2_normalize
from hstu_preserve.records.settings.interactions import MolSettings

MIXTURE_EPS = 1e-6
"""rails' of the mixture's weights: the least sum that they are divided by, and what their logarithms are kept above."""


@dataclass(frozen=True, kw_only=True)
class Queries:
    """The users' side of their scores.

    Attributes:
        vector_TPA: Query vectors, normalised if the settings say so.
        gate_TL: The users' part of the gates.
        uid_norm_T: Σ of the squared norms of each user's own vectors, before dropout; None without tables of them.
    """

    vector_TPA: Tensor
    gate_TL: Tensor
    uid_norm_T: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The items' side of their scores; the leading dimensions are those of the items.

    Attributes:
        vector_MA: Item vectors, [..., M, A].
        gate_L: The items' part of the gates, [..., L].
    """

    vector_MA: Tensor
    gate_L: Tensor


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """Scores and how they came about.

    Attributes:
        score_TX: Of each user and item.
        weight_TXL: Of each product, after dropout and division.
    """

    score_TX: Tensor
    weight_TXL: Tensor


class GatedLayer(nn.Module):
    """SwiGLU or GeGLU (Shazeer, arXiv:2002.05202): one half of a linear map, through its nonlinearity, times the other.

    The bias is a matrix of one row, as rails stores it, which is why it is initialised as a weight.
    """

    def __init__(self, width: int, *, hidden: int, nonlinearity: str) -> None:
        super().__init__()
        self.activation = F.gelu if nonlinearity == "geglu" else F.silu
        self.weight = nn.Parameter(torch.empty(width, 2 * hidden))
        self.bias = nn.Parameter(torch.empty(1, 2 * hidden))

    def forward(self, x: Tensor) -> Tensor:
        """Return the gated values (any shape, width last)."""
        left, right = (x @ self.weight + self.bias).chunk(2, dim=-1)
        return self.activation(left) * right


class Projection(nn.Module):
    """Dropout, a gated layer if its width is positive, and a linear map."""

    def __init__(self, width: int, *, hidden: int, out: int, nonlinearity: str, dropout_rate: float) -> None:
        super().__init__()
        self.dropout_rate = dropout_rate
        if hidden > 0:
            self.expand = GatedLayer(width, hidden=hidden, nonlinearity=nonlinearity)
            self.contract = nn.Linear(hidden, out)
        else:
            self.linear = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """Return the projected values (any shape, width last)."""
        x = drop(x, self.dropout_rate, training=self.training)
        projected: Tensor = self.contract(self.expand(x)) if hasattr(self, "expand") else self.linear(x)
        return projected


class Gate(nn.Module):
    """Dropout, a linear map, SiLU and a second linear map; or one linear map if there is no hidden layer."""

    def __init__(self, width: int, *, hidden: int, out: int, has_bias: bool, dropout_rate: float = 0.0) -> None:
        super().__init__()
        self.dropout_rate = dropout_rate
        if hidden > 0:
            self.expand = nn.Linear(width, hidden)
            self.contract = nn.Linear(hidden, out, bias=has_bias)
        else:
            self.linear = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """Return a gate's part (any shape, width last)."""
        x = drop(x, self.dropout_rate, training=self.training)
        gate: Tensor = self.contract(F.silu(self.expand(x))) if hasattr(self, "expand") else self.linear(x)
        return gate


class MixtureOfLogits(nn.Module):
    """The similarity of users and items that is learned with the encoder.

    Args:
        settings: Of the recipe.
        width: Of user and item embeddings.
    """

    def __init__(self, settings: MolSettings, *, width: int) -> None:
        super().__init__()
        self.settings = settings
        vector, logits = settings.dot_product_dimension, settings.num_logits
        self.query = Projection(
            width,
            hidden=settings.query_hidden_dim,
            out=vector * (settings.query_dot_product_groups - len(settings.uid_embedding_hash_sizes)),
            nonlinearity=settings.query_nonlinearity,
            dropout_rate=settings.query_dropout_rate,
        )
        self.item = Projection(
            width,
            hidden=settings.item_hidden_dim,
            out=vector * settings.item_dot_product_groups,
            nonlinearity=settings.item_nonlinearity,
            dropout_rate=settings.item_dropout_rate,
        )
        # rails looks ids up at one more than their remainder, so that the first row is never read.
        self.uid = nn.ModuleList(
            nn.Embedding(size + 1, vector, padding_idx=0) for size in settings.uid_embedding_hash_sizes
        )
        self.query_gate = Gate(width, hidden=settings.gating_query_hidden_dim, out=logits, has_bias=False)
        self.item_gate = Gate(
            width,
            hidden=settings.gating_item_hidden_dim,
            out=logits,
            has_bias=False,
            dropout_rate=settings.gating_item_dropout_rate,
        )
        self.pair_gate = Gate(
            logits,
            hidden=settings.gating_qi_hidden_dim,
            out=logits,
            has_bias=True,
            dropout_rate=settings.gating_qi_dropout_rate,
        )

    def forward(self, user_TE: Tensor, user_T: Tensor, item_TXE: Tensor) -> tuple[Mixed, Queries]:
        """Return the scores of each user's own items.

        Dropout is drawn in rails' order: of user, user ids, items, then of the items' gates, pairs' gates and weights.

        Args:
            user_TE: Encoder outputs, normalised.
            user_T: int64 ids of the users.
            item_TXE: Item embeddings.
        """
        vector_TPA, uid_norm_T = self.make_query_vectors(user_TE, user_T)
        vector_TXMA = self.make_item_vectors(item_TXE)
        product_TXL = multiply_pairs(vector_TPA, vector_TXMA) / self.settings.temperature
        gate_TL = self.query_gate(user_TE)
        queries = Queries(vector_TPA=vector_TPA, gate_TL=gate_TL, uid_norm_T=uid_norm_T)
        return self.mix(product_TXL, gate_TL=gate_TL, gate_XL=self.item_gate(item_TXE)), queries

    def make_queries(self, user_TE: Tensor, user_T: Tensor) -> Queries:
        """Return the users' side of their scores."""
        vector_TPA, uid_norm_T = self.make_query_vectors(user_TE, user_T)
        return Queries(vector_TPA=vector_TPA, gate_TL=self.query_gate(user_TE), uid_norm_T=uid_norm_T)

    def make_candidates(self, item_XE: Tensor) -> Candidates:
        """Return the items' side of their scores, which is the same for every user once training is over."""
        return Candidates(vector_MA=self.make_item_vectors(item_XE), gate_L=self.item_gate(item_XE))

    def make_query_vectors(self, user_TE: Tensor, user_T: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return vector_TPA, those of user ids last, and uid_norm_T; see `Queries`."""
        vectors = [self.query(user_TE).unflatten(-1, (-1, self.settings.dot_product_dimension))]
        norms: list[Tensor] = []
        for table, size in zip(self.uid, self.settings.uid_embedding_hash_sizes, strict=True):
            uid_TA = table(user_T % size + 1)
            norms.append((uid_TA * uid_TA).sum(-1))
            vectors.append(self.drop_uid(uid_TA)[:, None])
        vector_TPA = self.normalize(torch.cat(vectors, dim=1))
        return vector_TPA, torch.stack(norms).sum(0) if norms else None

    def drop_uid(self, uid_TA: Tensor) -> Tensor:
        """Return the users' own vectors after dropout, of single values or of whole vectors."""
        rate = self.settings.uid_dropout_rate
        if not self.settings.uid_embedding_level_dropout:
            return drop(uid_TA, rate, training=self.training)
        if not self.training or not rate:
            return uid_TA
        is_kept_T = torch.rand(uid_TA.shape[:-1], device=uid_TA.device) > rate
        return uid_TA * is_kept_T[..., None] / (1.0 - rate)

    def make_item_vectors(self, item_XE: Tensor) -> Tensor:
        """Return vector_XMA (any leading dimensions)."""
        return self.normalize(self.item(item_XE).unflatten(-1, (-1, self.settings.dot_product_dimension)))

    def normalize(self, vector: Tensor) -> Tensor:
        """Return vectors of norm 1, if the settings say so."""
        return l2_normalize(vector, eps=self.settings.eps) if self.settings.dot_product_l2_norm else vector

    def mix(self, product_TXL: Tensor, *, gate_TL: Tensor, gate_XL: Tensor) -> Mixed:
        """Return the scores of products, divided by the temperature, and the two parts of their gates that are known.

        Args:
            product_TXL: Of query and item vectors.
            gate_TL: The users' part.
            gate_XL: The items' part, [X, L], or [T, X, L] if each user has items of its own.
        """
        gate_TXL = gate_TL[:, None] * gate_XL + self.pair_gate(product_TXL)
        weight_TXL = F.softmax(gate_TXL * F.sigmoid(gate_TXL), dim=-1)
        rate = self.settings.softmax_dropout_rate
        if rate > 0:  # in evaluation, too: softmax's sum is 1 to rounding only
            weight_TXL = drop(weight_TXL, rate, training=self.training)
            weight_TXL = weight_TXL / weight_TXL.sum(-1, keepdim=True).clamp(min=MIXTURE_EPS)
        return Mixed(score_TX=(weight_TXL * product_TXL).sum(-1), weight_TXL=weight_TXL)


def drop(x: Tensor, rate: float, *, training: bool) -> Tensor:
    """Return x after dropout; a rate of 0 draws nothing."""
    return F.dropout(x, rate, training) if rate > 0 else x


def multiply_pairs(vector_TPA: Tensor, vector_TXMA: Tensor) -> Tensor:
    """Return product_TXL of each query vector with each vector of the user's own items, query by query."""
    return torch.einsum("tpa,txma->txpm", vector_TPA, vector_TXMA).flatten(2)
