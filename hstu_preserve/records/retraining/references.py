"""Another recorded run of a bundle's recipe, which differs from the bundle's own in the seed alone."""

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.numbers import NaturalInt, Share
from hstu_preserve.records.environment import NumericsRecord
from hstu_preserve.records.record import Record


class ReferenceRun(Record):
    """One recorded run, whose policy, results and ranks the bundle holds in `references/SEED/`."""

    seed: NaturalInt
    value: Share
    """Of the claim's metric."""
    epoch: NaturalInt
    """Whose checkpoint gave the value."""
    ranks_sha256: Sha256
    state_sha256: Sha256
    environment: NumericsRecord
    """The arithmetic that it was trained with."""
