"""Compare a bundle that goes by a published experiment's id with what was published."""

from hstu_preserve.bundle.deep_checks import require_equal
from hstu_preserve.errors import ContentError
from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.records.catalog import CatalogClaim, CatalogEntry
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.evaluation_kind import NOT_COMPARABLE, EvaluationKind
from hstu_preserve.records.manifest import Manifest
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.verdict.slack import SLACK

OWN_ID = "a run of your own needs an id of its own (bundle.id)"


def check_catalog(bundle: OpenedBundle) -> str:
    """A bundle with a published experiment's id, or fetched by it, makes that experiment's claims."""
    manifest, entry = bundle.manifest, find_published(bundle)
    if entry is None:
        return f"{manifest.experiment_id}: not the id of a published result, so that nothing published contradicts it"
    require_equal("id of the published result", expected=entry.id, found=manifest.experiment_id)
    require_published_data(manifest, entry)
    for published in entry.claims:
        require_published_claim(manifest, published, entry=entry)
    return f"{entry.id}: data and claims are the published ones"


def find_published(bundle: OpenedBundle) -> CatalogEntry | None:
    """Return the published experiment that a bundle was fetched by, or goes by the id of; None if it is of none."""
    return bundle.entry or find_namesake(bundle.manifest.experiment_id)


def find_namesake(name: str) -> CatalogEntry | None:
    """Return the published experiment that an id is taken for, in upper or lower case; None if there is none."""
    return next((entry for entry in read_catalog().values() if entry.id.casefold() == name.casefold()), None)


def require_published_data(manifest: Manifest, entry: CatalogEntry) -> None:
    """Raise ContentError if a bundle is of other data than its experiment was published for."""
    require_equal(f"dataset of {entry.id}, as published", expected=entry.dataset, found=manifest.run.data.name)
    if entry.data_fingerprint is not None:
        require_equal(
            f"data of {entry.id}, as published",
            expected=entry.data_fingerprint,
            found=manifest.run.data.fingerprint,
        )


def require_published_claim(manifest: Manifest, published: CatalogClaim, *, entry: CatalogEntry) -> None:
    """Raise ContentError if a bundle does not make a claim that was published under its id, or makes another one."""
    same = [claim for claim in manifest.claims if claim.policy.metric == published.metric]
    if not same:
        raise ContentError(f"{entry.id} was published with {published.metric} {published.value}; no such claim here")
    kind = manifest.run.recipe.evaluation.effective_kind
    for claim in same:
        if difference := describe_other_kind(kind, published) or describe_difference(claim, published):
            raise ContentError(
                f"{entry.id} was published with {published.metric} {published.value}; {difference}; {OWN_ID}"
            )


def describe_other_kind(kind: EvaluationKind, published: CatalogClaim) -> str | None:
    """Return that a claim is of another kind of evaluation than the published one; None if it is of the same."""
    if kind is published.kind:
        return None
    return f"evaluated as {kind.words} here, published as {published.kind.words}: {NOT_COMPARABLE}"


def describe_difference(claim: Claim, published: CatalogClaim) -> str | None:
    """Return how a claim differs from the published one, as far as that says; None if it does not."""
    policy = claim.policy
    if abs(claim.value - published.value) > 0.5 * 10.0**-published.decimals + SLACK:
        return f"this bundle claims {claim.value}"
    for what, expected, found in (
        ("direction", published.direction, policy.direction),
        ("epoch", published.epoch, claim.epoch),
        ("selection rule", published.selection_rule, policy.selection_rule),
    ):
        if expected is not None and found != expected:
            return f"its {what} is {found}, published {expected}"
    return None
