"""Record the result of one evaluation: metrics, and the digest of every user's rank."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.metric_names import METRIC_NAMES
from hstu_preserve.primitives.numbers import NaturalInt, Share
from hstu_preserve.records.evaluation_kind import (
    NUM_SAMPLED,
    EvaluationKind,
    NamedKind,
    find_kind,
    require_one_filter,
)
from hstu_preserve.records.recipe import Protocol
from hstu_preserve.records.record import Record


def require_metrics(metrics: dict[str, Share | None]) -> dict[str, Share | None]:
    """Return the metrics if each is there, and no other."""
    if lacking := [name for name in METRIC_NAMES if name not in metrics]:
        raise ValueError(f"lacks {', '.join(lacking)}")
    if len(metrics) > len(METRIC_NAMES):
        raise ValueError(f"holds {len(metrics)} metrics, {len(METRIC_NAMES)} are known")
    return metrics


class TiedMetric(Record):
    """One metric, had each tied target stood first or last among its equals."""

    ties_for: Share | None
    ties_against: Share | None


class RankingPath(StrEnum):
    """Ways to rank the same users by the same model, whose scores differ by rounding.

    A number at the end: a later program that rounds otherwise takes the next one, and keeps this one for its bundles.
    """

    REFERENCE = "reference"
    GROUPED = "grouped-1"


class RankingMethod(Record):
    """How users were ranked; evaluations by the reference path record nothing, as those before there was another."""

    path: RankingPath
    checked_every: Annotated[int, Field(ge=1)]
    """Upstream's own evaluator ranked all users of the first of so many batches, the first one after those, and so on:
    batches are the recipe's size, of users in order of history length. Elsewhere it ranked those with equal scores."""
    num_checked: NaturalInt
    """Users in these batches."""


class EvaluationRecord(Record):
    """One pass over the users with one checkpoint."""

    protocol: Protocol
    part: Annotated[str, Field(pattern="^(validation|test)$")]
    epoch: NaturalInt
    data_fingerprint: Sha256
    filter_all_seen: bool
    """Whether the whole history was filtered from the candidates, or the part the model reads (upstream)."""
    kind: NamedKind | None = Field(default=None, exclude_if=lambda kind: kind is None)
    """The kind of evaluation, if it is none of the two filters; absent otherwise."""
    num_users: NaturalInt
    num_users_skipped: NaturalInt
    """Users with too few events to have both a history and a target."""
    num_candidates: NaturalInt
    """Items that are ranked or, if the evaluation is sampled, drawn from."""
    metrics: Annotated[dict[str, Share | None], AfterValidator(require_metrics)]
    """Means over users of upstream's metrics, from ranks clamped at the top 2,500; null where they are over nobody."""
    exact_mrr: Share | None
    """Mean reciprocal of the exact rank, without a clamp; a target that cannot be ranked counts 0, and a tied one the
    mean over the places that it could take among its equals."""
    coverage_at_10: Share
    """Share of the candidates that are among the first ten, as ranked, of at least one user."""
    num_clamped: NaturalInt
    """Users whose target is not among the top 2,500."""
    num_unrankable: NaturalInt
    """Users whose target was seen before or is no candidate."""
    num_tied: NaturalInt
    """Users with another candidate at exactly the target's score."""
    num_nearly_tied: NaturalInt
    """Users with another candidate within 1e-6 of the target's score."""
    ranks_sha256: Sha256
    """Of every user's id, target, ranks and ties."""
    ties: dict[str, TiedMetric] | None = Field(default=None, exclude_if=lambda ties: ties is None)
    """The bounds of each metric and of `exact_mrr`; absent if no user has an exact tie."""
    ranking: RankingMethod | None = Field(default=None, exclude_if=lambda ranking: ranking is None)
    """How users were ranked; absent if by the reference path."""

    @property
    def ranking_path(self) -> RankingPath:
        """The way in which the same bits come out again."""
        return RankingPath.REFERENCE if self.ranking is None else self.ranking.path

    @property
    def effective_kind(self) -> EvaluationKind:
        """Which items each target was ranked among."""
        return find_kind(self.kind, filter_all_seen=self.filter_all_seen)

    @property
    def num_ranked(self) -> int:
        """Items among which each target was ranked, before any filter."""
        return NUM_SAMPLED + 1 if self.effective_kind.is_sampled else self.num_candidates

    @model_validator(mode="after")
    def require_one_filter(self) -> Self:
        """A kind without a filter has none of its own."""
        require_one_filter(self.kind, filter_all_seen=self.filter_all_seen, section="")
        return self

    def value_of(self, metric: str) -> float:
        """Return a metric's value.

        Raises:
            ContentError: The metric is a mean over nobody.
        """
        value = self.metrics[metric]
        if value is None:
            raise ContentError(f"{metric} is a mean over nobody: no target is rated 4 stars or more")
        return value


class Resumption(Record):
    """A continuation in another environment than the run began in: no bit is promised from there on."""

    batch_id: NaturalInt
    """Steps done before it."""
    differences: tuple[str, ...] = Field(min_length=1)


class ResultsRecord(Record):
    """What a run found: its curve, and the evaluation that the claims rest on."""

    epochs: tuple[EvaluationRecord, ...]
    """One per epoch, of the test part under protocol `upstream`, of the validation part under `validated`."""
    final: EvaluationRecord
    """The test part with the selected epoch's checkpoint."""
    state_sha256: Sha256
    """Of every value in the last checkpoint: weights, optimizer, generators."""
    resumptions: tuple[Resumption, ...]
    """Empty where the whole run was made in the environment that the manifest names."""
