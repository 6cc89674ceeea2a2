"""Require that another run is of a bundle's recipe, but for the seed: only such runs are draws of one number."""

from hstu_preserve.errors import ContentError
from hstu_preserve.gin_recipes.reseeding import find_first_difference
from hstu_preserve.records.claim import ClaimPolicy
from hstu_preserve.records.manifest import RunRecord
from hstu_preserve.records.recipe import Protocol


def require_same_recipe(recorded: RunRecord, found: RunRecord, *, where: str) -> None:
    """Require recipe, data, protocol and selection rule of a bundle's run; seed, title and margins may be others.

    Args:
        recorded: The bundle's own run.
        found: The other one.
        where: What the other one is, for the message.

    Raises:
        ContentError: Something differs; the first difference is named as a gin file names it.
    """
    difference = find_first_difference(recorded.recipe, found.recipe)
    if difference is None and recorded.data.fingerprint != found.data.fingerprint:
        difference = (
            f"the data's fingerprint is {found.data.fingerprint} there, {recorded.data.fingerprint} in the bundle"
        )
    if difference is None:
        difference = find_other_selection(recorded.policies[0], found.policies[0])
    if difference is not None:
        raise ContentError(f"{where}: another recipe than the bundle's ({difference}); only the seed may differ")


def find_other_selection(recorded: ClaimPolicy, found: ClaimPolicy) -> str | None:
    """Return how the reported epoch was chosen otherwise, None if it was not; the first claim's metric chooses it."""
    names = ["selection_rule", *(["metric"] if recorded.protocol is Protocol.VALIDATED else [])]
    return name_difference(recorded, found, names=names)


def find_other_policy(recorded: RunRecord, found: RunRecord) -> str | None:
    """Return the first part of a policy, its seeds apart, in which two runs differ; None if there is none."""
    if len(recorded.policies) != len(found.policies):
        return f"{len(found.policies)} claims there, {len(recorded.policies)} in the bundle"
    names = [name for name in ClaimPolicy.model_fields if name != "seeds"]
    differences = (
        name_difference(one, other, names=names) for one, other in zip(recorded.policies, found.policies, strict=True)
    )
    return next((difference for difference in differences if difference is not None), None)


def name_difference(recorded: ClaimPolicy, found: ClaimPolicy, *, names: list[str]) -> str | None:
    """Return the first of some settings of a claim that differs, with both values."""
    for name in names:
        one, other = getattr(recorded, name), getattr(found, name)
        if one != other:
            return f"claim.{name} is {other} there, {one} in the bundle"
    return None
