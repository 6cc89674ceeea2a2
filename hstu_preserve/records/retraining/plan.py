"""What is fixed before a recipe is trained anew with other seeds."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.numbers import NaturalInt, OpenShare, PositiveInt, Probability
from hstu_preserve.records.record import Record, SchemaVersion

MAX_RETRAININGS = 99
GinText = Annotated[str, Field(max_length=2**20)]


class Look(Record):
    """One moment at which the interval is looked at."""

    num_reruns: PositiveInt
    """Retrainings that are there by then."""
    level: OpenShare
    """Of the interval, two-sided."""


class GivenRun(Record):
    """A run that existed before the plan, named with `--rerun`."""

    seed: NaturalInt
    identity: Sha256 | None
    """Of its manifest; None of one that diverged."""


class Plan(Record):
    """Which seeds are trained, when the interval is looked at, and under which policy: `plan.json`."""

    schema_version: SchemaVersion
    identity: Sha256
    """Of the bundle whose claims are judged."""
    recipe_sha256: Sha256
    """Of the bundle's recipe, its own seed included."""
    policy_sha256: Sha256
    """Of the canonical text of the claims, their values and references included."""
    data_fingerprint: Sha256
    margins: tuple[Probability | None, ...]
    """By which each claim is judged."""
    given: tuple[GivenRun, ...]
    """Come first."""
    seeds: Annotated[tuple[NaturalInt, ...], Field(max_length=MAX_RETRAININGS)]
    """Which are still to be trained, in this order."""
    looks: Annotated[tuple[Look, ...], Field(min_length=1, max_length=2)]
    gin: GinText
    """The bundle's recipe as one gin text, so that another machine needs no more than this file and the data."""

    @model_validator(mode="after")
    def require_each_seed_once(self) -> Self:
        """Two runs of one seed are one draw made twice."""
        every = [*(run.seed for run in self.given), *self.seeds]
        if len(set(every)) != len(every):
            raise ValueError("given and seeds name a seed twice")
        if self.looks[-1].num_reruns != len(every):
            raise ValueError("looks do not end with the last of given and seeds")
        return self
