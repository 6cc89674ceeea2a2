"""Write the model card of a repository: the claims of its bundles, their recipes and data, and how to check them.

Whatever comes from a bundle is text of a stranger: it is escaped so that no renderer takes it for Markdown, HTML or
YAML, and none of it stands in the front matter. Equal inputs give equal text.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hstu_preserve.data.event_filter import EventFilter, filter_of
from hstu_preserve.data.known_datasets import KNOWN_DATASETS
from hstu_preserve.hub.card_data import CardResult, write_card_data
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.claim import Claim, SelectionRule
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.legacy.migration import Provenance, Statement, Subject
from hstu_preserve.records.manifest import AnyManifest, DataReference, Manifest, MigratedManifest
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.store import PREPARED_POLICIES
from hstu_preserve.report.markdown import escape, quote_lines

MARK = "<!-- Written by hstu-preserve from the bundles in this repository; publishing writes it anew. -->"
ONLY_LICENCE = re.compile(r"---\r?\nlicense: *[\w.-]+ *\r?\n---\s*", re.ASCII)
HUB_LICENCES = frozenset(
    {"mit", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0"}
    | {"gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "unlicense"}
)
"""Identifiers that the Hub's front matter takes for a licence, as far as they are likely here."""
PREAMBLE = """\
# Preserved HSTU experiments

Each bundle here is one packed experiment: gin config, checkpoint, event files and every user's rank, under one manifest
that names each byte. The numbers are claims of whoever trained the model; the program `hstu-preserve` checks them."""
RECONSTRUCTION = """\
What was trained here is a reading of the name, so that a number near a published one does not reproduce that one."""
HUB = "https://huggingface.co"
GROUPLENS = "GroupLens, <https://grouplens.org/datasets/movielens/>"
NO_CLAIM = """\
**No claim.** This bundle was made from a legacy archive: no policy was fixed before its run, so that the values below
are reported, not claimed, and the recipe cannot be run again from it."""
UNKNOWN_DATA = f"""\
**Data notice.** The data is not in the bundle, and which order of events the run used is not known. MovieLens is not
redistributed; get it from {GROUPLENS}."""
SELECTIONS = {
    SelectionRule.FINAL_EPOCH: "last epoch, fixed before the run",
    SelectionRule.BEST_ON_VALIDATION: "best epoch on validation data",
    SelectionRule.BEST_ON_TEST: "best on the test data: a selection on test",
}
COMPONENTS = {
    "prism": "PRISM",
    "input_compression": "input compression",
    "action_fusion": "action fusion",
    "time_decay": "time decay",
    "hard_negatives": "hard negatives",
    "pop_debias": "popularity debiasing",
}
"""Components that were never defined in public, by the recipe's field: training one trains our reading of its name."""


@dataclass(frozen=True, kw_only=True)
class DescribedBundle:
    """One bundle of a repository, or one that might be put there.

    Attributes:
        name: Its file name; letters, digits and `._-` only.
        identity: The sha256 of its manifest's stored bytes.
        record: The manifest.
        sha256: Of the file; None if there is none.
        size_bytes: Of the file; None if there is none.
        is_signed: Whether a signature lies beside it.
        entry: The catalog's entry of the bundle's id; None if there is none.
    """

    name: str
    identity: str
    record: AnyManifest
    sha256: str | None
    size_bytes: int | None
    is_signed: bool
    entry: CatalogEntry | None


def write_model_card(bundles: Iterable[DescribedBundle], *, repository: str | None, others: Iterable[str] = ()) -> str:
    """Return the card of a repository that holds these bundles.

    Args:
        bundles: In any order.
        repository: `owner/name`, or None if it is not known yet.
        others: Names of archives in the repository that are no bundles.
    """
    ordered = sorted(bundles, key=lambda bundle: bundle.name)
    parts = [
        write_front_matter(ordered, repository=repository),
        MARK,
        PREAMBLE,
        *([] if len(ordered) == 1 else [write_overview(ordered)]),
        *(describe_bundle(bundle, repository=repository) for bundle in ordered),
        *describe_others(sorted(others)),
    ]
    return "\n\n".join(parts) + "\n"


def is_own_card(text: str) -> bool:
    """Whether a card was written here, or is the one that the Hub makes of a licence, and so may be replaced."""
    return MARK in text.splitlines() or not text.strip() or ONLY_LICENCE.fullmatch(text) is not None


def write_front_matter(bundles: Sequence[DescribedBundle], *, repository: str | None) -> str:
    """Return the YAML that the Hub reads: fixed words, digests, the claimed numbers, and the licence if it knows it."""
    licences = {read_licence(bundle.record) for bundle in bundles}
    licence = licences.pop() if len(licences) == 1 else "other"
    tags = ("hstu", "sequential-recommendation", "recommender-system", "reproducibility", "hstu-preserve")
    results = [result for bundle in bundles for result in list_results(bundle, repository=repository)]
    return f"---\n{write_card_data(results, licence=licence, tags=tags)}\n---"


def list_results(bundle: DescribedBundle, *, repository: str | None) -> list[CardResult]:
    """Return the claimed numbers of a bundle as the Hub lists them; a migrated one claims none."""
    record = bundle.record
    if not isinstance(record, Manifest):
        return []
    data = record.run.data
    return [
        CardResult(
            model=bundle.name,
            identity=bundle.identity,
            url=None if repository is None else f"{HUB}/{repository}/blob/main/{bundle.name}",
            dataset=data.name if data.name in KNOWN_DATASETS else "other",
            fingerprint=data.fingerprint,
            metric=claim.policy.metric,
            value=claim.value,
            protocol=claim.policy.protocol.value,
            kind=record.run.recipe.evaluation.effective_kind.value,
            epoch=claim.epoch,
            selection=claim.policy.selection_rule.value,
        )
        for claim in record.claims
    ]


def read_licence(record: AnyManifest) -> str:
    """Return the bundle's licence in the Hub's spelling, `other` if it has none there."""
    licence = (record.licence or "").casefold()
    return licence if licence in HUB_LICENCES else "other"


def write_overview(bundles: Sequence[DescribedBundle]) -> str:
    """Return the claims of all bundles as one table."""
    rows = ["| bundle | what | evaluation | claimed |", "|---|---|---|---|"]
    rows += [
        f"| {escape(one.name)} | {escape(one.record.title)} | {name_kind(one.record)} | {list_values(one.record)} |"
        for one in bundles
    ]
    return "\n".join(rows)


def name_kind(record: AnyManifest) -> str:
    """Return the kind of evaluation that a bundle's numbers are of; numbers of two kinds are not comparable."""
    return (
        record.run.recipe.evaluation.effective_kind.words if isinstance(record, Manifest) else "as its author made it"
    )


def list_values(record: AnyManifest) -> str:
    """Return the claimed numbers on one line."""
    if isinstance(record, MigratedManifest):
        return "nothing: reported values only"
    return ", ".join(f"{escape(claim.policy.metric)} {claim.value:.4f}" for claim in record.claims) or "nothing"


def describe_bundle(bundle: DescribedBundle, *, repository: str | None) -> str:
    """Return the section of one bundle."""
    record = bundle.record
    about = describe_migrated(bundle, record) if isinstance(record, MigratedManifest) else describe_run(bundle, record)
    return "\n\n".join(
        [
            f"## {escape(bundle.name)}",
            f"**{escape(record.title)}**",
            *about,
            describe_check(bundle, repository=repository),
        ]
    )


def describe_run(bundle: DescribedBundle, manifest: Manifest) -> list[str]:
    """Return claims, identity, recipe, data and terms of a run."""
    run = manifest.run
    model = run.recipe.model
    commit = f", commit {escape(run.code.commit)}" if run.code.commit else ""
    modified = ", with uncommitted changes" if run.code.modified else ""
    facts = {
        "model": f"{escape(model.kind)}, {model.num_blocks} blocks, {model.num_heads} heads, "
        f"width {model.item_embedding_dim}, seed {run.recipe.training.random_seed}",
        "recipe": f"`sha256:{run.recipe_sha256}`, from {escape(run.gin_file)}",
        "checkpoint": escape(manifest.checkpoint),
        "trained with": f"hstu-preserve {escape(run.code.version)}{commit}{modified}",
        "licence": escape(run.bundle.licence),
    }
    return [
        list_claims(manifest.claims, kind=run.recipe.evaluation.effective_kind),
        *describe_reconstruction(run.recipe, bundle.entry),
        list_facts(describe_file(bundle) | facts | describe_data(run.data)),
        f"Citation:\n\n{quote_lines(run.bundle.citation)}",
        *describe_absence(run.data, filter_of(run.recipe.dataset)),
    ]


def list_claims(claims: Iterable[Claim], *, kind: EvaluationKind) -> str:
    """Return the claims as a table, which says of which kind of evaluation they are."""
    rows = [
        "| claim | metric | value | evaluation | epoch, from 0 | how selected | protocol | margin |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for claim in claims:
        policy = claim.policy
        margin = "none" if policy.margin is None else f"{policy.margin:g} ({escape(policy.margin_derivation or '')})"
        rows.append(
            f"| {escape(policy.name)} | {escape(policy.metric)} | {claim.value:.4f} | {kind.words} | {claim.epoch} "
            f"| {SELECTIONS[policy.selection_rule]} | {policy.protocol.value} | {margin} |"
        )
    return "\n".join(rows)


def describe_reconstruction(recipe: Recipe, entry: CatalogEntry | None) -> list[str]:
    """Return that a recipe is nobody's published one, if it is not."""
    used = [words for field, words in COMPONENTS.items() if getattr(recipe, field) is not None]
    is_unpublished = entry is not None and not entry.recipe_is_published
    if not used and not is_unpublished:
        return []
    what = f"{', '.join(used)}: never defined in public." if used else "The recipe of this id was never published."
    return [f"**Reconstruction.** {what} {RECONSTRUCTION}"]


def describe_data(data: DataReference) -> dict[str, str]:
    """Return which data the numbers hold for, and whether it is in the bundle."""
    return {
        "data": f"{escape(data.name)}: {data.num_users:,} users, {data.num_rated_items:,} rated items, "
        f"{data.num_ratings:,} ratings; ties {escape(data.tie_policy)}; from {escape(data.source)}",
        "data fingerprint": f"`{data.fingerprint}`",
        "data in the bundle": "yes; its author says that it may be redistributed" if data.included else "no",
    }


def describe_absence(data: DataReference, event_filter: EventFilter) -> list[str]:
    """Return the data notice for data that may not be redistributed: how to obtain it."""
    if data.redistributable:
        return []
    notice = "**Data notice.** The data is not here and not in the bundle: its terms do not allow redistribution. "
    return [f"{notice}Get it from its publisher{describe_preparation(data, event_filter)}"]


def describe_preparation(data: DataReference, event_filter: EventFilter) -> str:
    """Return the end of the data notice: the command that makes the same store from a download, if it is known."""
    if data.name not in KNOWN_DATASETS:
        return " and prepare a store with this fingerprint."
    if data.tie_policy not in PREPARED_POLICIES:
        return (
            f" ({GROUPLENS}); the order of events was imported from an existing file: a `sasrec_format.csv`, which "
            "`hstu-preserve data import` takes, or another, which `hstu-preserve data import-sequences` takes. Only a "
            "store with this fingerprint serves."
        )
    command = f"hstu-preserve data prepare {data.name} --from {data.name}.zip --tie-policy {data.tie_policy}"
    command += event_filter.options
    ending = f"({GROUPLENS}) and prepare it; the store must have this fingerprint"
    return f" {ending}:\n\n```\n{command} --output stores/{data.name}\n```"


def describe_migrated(bundle: DescribedBundle, manifest: MigratedManifest) -> list[str]:
    """Return the facts known of a legacy archive: values that it reports, none of them a claim."""
    source = manifest.source
    rows = ["| what | reported value | how known | where |", "|---|---|---|---|"]
    rows += [describe_statement(one) for one in manifest.statements]
    facts = {
        "legacy archive": f"{escape(source.name)}, {source.size:,} bytes, md5 `{source.md5}`, sha256 `{source.sha256}`",
        "vouched for": escape(manifest.vouched),
        "licence": describe_terms(manifest.statements, Subject.LICENCE),
        "citation": describe_terms(manifest.statements, Subject.CITATION),
    }
    return [
        NO_CLAIM,
        "\n".join(rows),
        list_facts(describe_file(bundle) | facts),
        UNKNOWN_DATA,
    ]


def describe_statement(one: Statement) -> str:
    """Return the row for one statement of an archive."""
    place = " ".join(filter(None, (one.file, one.place)))
    where = place if one.provenance is Provenance.STATED else f"{one.basis.value} {place}"
    value = "" if one.value is None else escape(str(one.value))
    name = f" ({escape(one.name)})" if one.name else ""
    return f"| {one.subject.value}{name} | {value} | {one.provenance.value} | {escape(where)} |"


def describe_terms(statements: Iterable[Statement], subject: Subject) -> str:
    """Return the licence or citation that an archive states."""
    values = [escape(str(one.value)) for one in statements if one.subject is subject and one.value is not None]
    return "; ".join(values) or "not stated"


def describe_file(bundle: DescribedBundle) -> dict[str, str]:
    """Return the bundle's identity, and the name of its file."""
    facts = {"identity": f"`sha256:{bundle.identity}` (of the manifest: it names the bundle)"}
    if bundle.sha256 is not None:
        facts["file"] = f"`sha256:{bundle.sha256}`, {bundle.size_bytes:,} bytes"
    facts["signature"] = (
        f"{escape(bundle.name)}.sig; take the key from its author, not from here"
        if bundle.is_signed
        else "none: the bundle is intact, not authentic"
    )
    return facts


def describe_check(bundle: DescribedBundle, *, repository: str | None) -> str:
    """Return the commands that check the bundle."""
    lines = [f"hstu-preserve verify {bundle.name}"]
    if repository is not None:
        lines.insert(0, f"hstu-preserve download {bundle.name} --repo {repository}")
    if bundle.record.data is not None:
        lines.append(f"hstu-preserve reproduce {bundle.name}{name_data(bundle.record.data)}")
    else:
        lines.append(f"hstu-preserve show {bundle.name}")
    return "\n".join(["How to check it:", "", "```", *lines, "```"])


def name_data(data: DataReference) -> str:
    """Return the option that `reproduce` needs if the bundle carries no data."""
    if data.included:
        return ""
    return f" --data stores/{data.name}" if data.name in KNOWN_DATASETS else " --data STORE"


def describe_others(names: Sequence[str]) -> list[str]:
    """Return the section of archives that are no bundles."""
    if not names:
        return []
    rows = "\n".join(f"* {escape(name)}" for name in names)
    return [f"## Other archives\n\nNot bundles of hstu-preserve, and not described here:\n\n{rows}"]


def list_facts(facts: dict[str, str]) -> str:
    """Return names and values, whose text is escaped already, as a list."""
    return "\n".join(f"* {name}: {value}" for name, value in facts.items())
