"""How retrainings agree with the recorded runs behind a claim: every value, and the interval of their difference."""

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.numbers import (
    AnyFloat,
    NaturalInt,
    NonNegativeFloat,
    OpenShare,
    PositiveInt,
    Probability,
    Share,
)
from hstu_preserve.records.record import Record


class RunValue(Record):
    """The metric of one run."""

    seed: NaturalInt
    value: Share
    is_diverged: bool
    """Whether its loss became NaN or infinite: it counts as the worst value that there is, and is never dropped."""
    identity: Sha256 | None
    """Of the run's manifest; None of a reference, which is a part of the bundle, and of a run that diverged."""


class Agreement(Record):
    """Retrainings and recorded runs of one recipe, and the interval for the difference of their means."""

    reruns: tuple[RunValue, ...]
    references: tuple[RunValue, ...]
    """The claimed run first."""
    difference: AnyFloat
    """Mean of the retrainings less that of the recorded runs."""
    half_width: NonNegativeFloat | None
    """Of the interval; None if nothing is known of the scatter over seeds, so that there is none."""
    level: OpenShare
    spread: NonNegativeFloat | None
    """From run to run, pooled over retrainings, recorded runs and the claim's declared spread."""
    degrees: PositiveInt | None
    """Of freedom, by which the spread is known."""
    floor: NonNegativeFloat | None
    """The scatter that a finite number of users alone causes, a lower bound of the spread; None without ranks."""
    num_users: NaturalInt
    """Of whom the floor was taken."""
    margin: Probability | None
    """By which the interval was judged; None if the claim fixed none."""
    power: Share | None
    """How often as many retrainings of an equal recipe come out inside the margin; None if that cannot be said."""
    look: PositiveInt
    """Which look this is, from 1."""
    looks: PositiveInt
    """How many there were to be."""
