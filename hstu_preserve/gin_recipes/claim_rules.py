"""Rules that a claim's policy keeps before a run begins; records of earlier runs are read without them."""

from collections.abc import Iterator

from hstu_preserve.gin_recipes.syntax import show
from hstu_preserve.records.claim import ClaimPolicy

LARGEST_LOSS_TOLERANCE = 0.1
"""Relative. Losses of two recipes, and of one recipe's epochs, are often nearer to each other than a tenth."""


def list_flaws(policy: ClaimPolicy, *, seed: object) -> Iterator[tuple[str, str]]:
    """Yield each argument of `claim` that makes its policy empty of meaning, and why.

    Args:
        policy: Of one claim.
        seed: What `train_fn.random_seed` is bound to, or its default.
    """
    if policy.margin_derivation is not None and not policy.margin_derivation.strip():
        yield "margin_derivation", "is empty: say where the margin comes from"
    if policy.loss_tolerance > LARGEST_LOSS_TOLERANCE:
        yield (
            "loss_tolerance",
            f"{policy.loss_tolerance:g} is above {LARGEST_LOSS_TOLERANCE:g}, where it tells no two runs apart",
        )
    doubles = [one for place, one in enumerate(policy.seeds) if one in policy.seeds[:place]]
    if doubles:
        yield "seeds", f"names {doubles[0]} twice: each run behind the number has a seed of its own"
    if seed not in policy.seeds[:1]:
        found = "it is not there" if seed not in policy.seeds else f"the first is {policy.seeds[0]}"
        yield "seeds", f"begins with train_fn.random_seed, which is {show(seed)}, the bundle's own run: {found}"
