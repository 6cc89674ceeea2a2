"""Records as text and tables for a terminal or a pipe."""

from functools import singledispatch

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hstu_preserve.bundle.layout import printable
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.downloads import DownloadReport
from hstu_preserve.records.legacy import LegacyVerification, ShownLegacy
from hstu_preserve.records.record import Record
from hstu_preserve.records.results import (
    BundleDiff,
    CatalogListing,
    Diagnosis,
    EvaluationResult,
    ExportResult,
    MigrationResult,
    PackResult,
    PublishedBundle,
    PublishResult,
    ReportResult,
    Reproduction,
    ShownBundle,
    ShownEntry,
    ShownMigrated,
    ShownRecipe,
    StoreResult,
    TrainingResult,
    UnpackResult,
)
from hstu_preserve.records.signature import KeyResult, SigningResult
from hstu_preserve.records.verdict import Outcome, Verdict
from hstu_preserve.records.verification import Verification, VerificationReport
from hstu_preserve.report.downloads import list_download
from hstu_preserve.report.legacy import describe_shown_legacy
from hstu_preserve.report.lines import Line
from hstu_preserve.report.migrated import describe_migration, describe_shown_migrated
from hstu_preserve.report.tables import (
    describe_margin,
    describe_numerics,
    list_claims,
    list_contents,
    list_curve,
    list_fields,
    list_warnings,
)
from hstu_preserve.report.verification import describe_verification, list_legacy, list_report

OUTCOME_STYLES = {
    Outcome.REPRODUCED_BITWISE: "green",
    Outcome.REPRODUCED_NUMERIC: "green",
    Outcome.REPRODUCED_STATISTICAL: "green",
    Outcome.NOT_REPRODUCED: "bold red",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.NOT_RUN: "dim",
}


@singledispatch
def render(record: Record) -> RenderableType:
    """Return what a person reads of a result record."""
    raise TypeError(f"no text for {type(record).__name__}")


@render.register
def render_listing(record: CatalogListing) -> RenderableType:
    """The catalog, one line per experiment."""
    table = Table("id", "dataset", "recipe", "NDCG@10", "gain", "bundle", box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[3].justify = table.columns[4].justify = "right"
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    for one in record.experiments:
        bundle = one.entry.bundle
        table.add_row(
            one.entry.id,
            one.entry.dataset,
            one.entry.recipe,
            f"{one.ndcg10:.4f}" if one.ndcg10 is not None else "",
            f"{one.gain:+.1%}" if one.gain is not None else "",
            bundle.repository if bundle else "",
        )
    note = "gain: NDCG@10 relative to the paper's HSTU on that dataset (HSTU-large for HSTU-Tensorflow), as published."
    return Group(table, Text(note, style="dim"))


@render.register
def render_entry(record: ShownEntry) -> RenderableType:
    """A catalog entry with its claims."""
    entry = record.entry
    claims = Table("metric", "value", "epoch", "margin", box=box.SIMPLE_HEAD, pad_edge=False)
    for claim in entry.claims:
        epoch = "" if claim.epoch is None else str(claim.epoch)
        claims.add_row(claim.metric, f"{claim.value:.4f}", epoch, describe_margin(claim.margin))
    return Group(
        list_fields({"catalog entry": entry.id, "title": entry.title, **describe_entry(entry, record)}),
        claims,
        *(Text(f"note: {note}") for note in entry.notes),
    )


def describe_entry(entry: CatalogEntry, record: ShownEntry) -> dict[str, str]:
    """Return the entry's fields in words."""
    fields = {
        "dataset": entry.dataset,
        "model": entry.model,
        "recipe": entry.recipe,
        "recipe's code": "published" if entry.recipe_is_published else "never published; ours is a reconstruction",
        "evaluation": entry.claims[0].evaluation,
        "data fingerprint": entry.data_fingerprint or "not published",
        "source": entry.source,
    }
    if record.gain is not None and record.compared_with is not None:
        fields["gain in NDCG@10"] = f"{record.gain:+.1%} over {record.compared_with.id}"
    if entry.bundle is not None:
        digest = f"sha256 {entry.bundle.sha256}" if entry.bundle.sha256 else "digest never seen"
        fields["bundle"] = f"{entry.bundle.path} in {entry.bundle.repository} on the Hugging Face Hub ({digest})"
    return fields


@render.register
def render_bundle(record: ShownBundle) -> RenderableType:
    """A bundle's manifest, claims, curve and contents."""
    parts: list[RenderableType] = [list_fields(describe_manifest(record)), list_claims(record.manifest.claims)]
    if record.results is not None:
        parts.append(list_curve(record.results.epochs))
    parts.append(list_contents(record.manifest))
    parts.append(Text("not verified: 'hstu-preserve verify' compares every byte with the manifest", style="dim"))
    return Group(*parts)


def describe_manifest(record: ShownBundle) -> dict[str, str]:
    """Return what the manifest says of the run, in words."""
    run = record.manifest.run
    numerics = run.environment.numerics
    data = run.data
    commit = f", commit {run.code.commit[:12]}{' (modified)' if run.code.modified else ''}" if run.code.commit else ""
    return {
        "bundle": f"{record.path}",
        "identity": f"sha256:{record.identity}",
        "title": run.bundle.title,
        "licence": run.bundle.licence,
        "model": f"{run.recipe.model.kind}, {run.recipe.model.num_blocks} blocks x {run.recipe.model.num_heads} heads, "
        f"D {run.recipe.model.item_embedding_dim}, seed {run.recipe.training.random_seed}",
        "recipe": f"sha256:{run.recipe_sha256}, from {run.gin_file}",
        "data": f"{data.name}: {data.num_users} users, {data.num_rated_items} rated items, {data.num_ratings} ratings; "
        f"ties {data.tie_policy}; {'inside the bundle' if data.included else 'not inside'}",
        "fingerprint": data.fingerprint,
        "protocol": run.recipe.dataset.protocol.value,
        "environment": ", ".join([run.environment.python, *([describe_numerics(numerics)] if numerics else [])]),
        "code": f"hstu-preserve {run.code.version}{commit}",
        "checkpoint": record.manifest.checkpoint,
        **describe_coverage(record),
    }


def describe_coverage(record: ShownBundle) -> dict[str, str]:
    """Return the share of candidates that the final evaluation recommends to anybody."""
    if record.results is None:
        return {}
    return {"coverage@10": f"{record.results.final.coverage_at_10:.4f} of the candidates are in somebody's top 10"}


@render.register
def render_recipe(record: ShownRecipe) -> RenderableType:
    """What a gin chain resolves to."""
    notices = [f"warning: {warning}" for warning in record.warnings]
    notices += [f"note: {inert}" for inert in record.inert]
    files = {"gin chain": ", ".join(record.files), "recipe": f"sha256:{record.recipe_sha256}"}
    return Group(list_fields(files), Text(), Text(record.gin.rstrip()), Text(), *(Text(notice) for notice in notices))


@render.register
def render_store(record: StoreResult) -> RenderableType:
    """A store."""
    store, counts, origin = record.store, record.store.counts, record.store.provenance
    return list_fields(
        {
            "store": str(record.path),
            "dataset": store.name,
            "fingerprint": store.fingerprint,
            "users": f"{counts.num_users:,}",
            "rated items": f"{counts.num_rated_items:,}",
            "candidates": f"{counts.num_candidates:,}, ids up to {counts.max_item_id:,}",
            "ratings": f"{counts.num_ratings:,}",
            "ties": f"{origin.tied_events:,} events at the time of the one before; {origin.tie_policy.value} order",
            "source": origin.source + (f" (md5 {origin.source_md5})" if origin.source_md5 else ""),
            "terms": origin.notice,
            "arrays": "every byte compared with the record" if record.is_verified else "not hashed",
        }
    )


@render.register
def render_training(record: TrainingResult) -> RenderableType:
    """A finished run."""
    final = record.results.final
    return Group(
        *list_warnings(record.warnings),
        list_fields(
            {
                "run": str(record.path),
                "identity": f"sha256:{record.identity}",
                "state": f"sha256:{record.results.state_sha256}",
                "data": f"fingerprint {final.data_fingerprint}",
            }
        ),
        list_claims(record.claims),
        Text(f"next: hstu-preserve pack {record.path}", style="dim"),
    )


@render.register
def render_evaluation(record: EvaluationResult) -> RenderableType:
    """One evaluation."""
    found = record.evaluation
    table = Table("metric", "value", box=box.SIMPLE_HEAD, pad_edge=False)
    for metric, value in found.metrics.items():
        table.add_row(metric, f"{value:.6f}")
    table.add_row("coverage@10", f"{found.coverage_at_10:.6f}")
    agree = "agree on every user without an exact tie" if record.evaluators_agree else "DISAGREE: please report this"
    fields = {
        "checkpoint": record.checkpoint,
        "epoch": str(found.epoch),
        "users": f"{found.num_users} ({found.num_users_skipped} with too few events left out)",
        "candidates": f"{found.num_candidates}, minus "
        + ("everything the user has seen" if found.filter_all_seen else "what the model read of the user"),
        "data": f"fingerprint {found.data_fingerprint}",
        "ties": f"{found.num_tied} users exactly, {found.num_nearly_tied} within 1e-6",
        "misses": f"{found.num_clamped} users beyond the top 2,500, {found.num_unrankable} of them cannot be ranked",
        "evaluators": agree,
        "ranks": f"sha256:{found.ranks_sha256}",
    }
    if record.ranks_path is not None:
        fields["written"] = str(record.ranks_path)
    return Group(*list_warnings(record.warnings), list_fields(fields), table)


@render.register
def render_verification(record: Verification) -> RenderableType:
    """The verification of one bundle."""
    return styled_line(describe_verification(record))


@render.register
def render_verifications(record: VerificationReport) -> RenderableType:
    """Several verifications."""
    return Group(*map(styled_line, list_report(record)))


@render.register
def render_download(record: DownloadReport) -> RenderableType:
    """A download, or what one would fetch."""
    return Group(*map(styled_line, list_download(record)))


@render.register
def render_legacy_verification(record: LegacyVerification) -> RenderableType:
    """The verification of a legacy archive."""
    return Group(*map(styled_line, list_legacy(record)))


def styled_line(line: Line) -> Text:
    """Return a line with its mark in its style."""
    return Text.assemble((line.mark, line.style), line.text)


@render.register
def render_legacy(record: ShownLegacy) -> RenderableType:
    """What a legacy archive holds."""
    return describe_shown_legacy(record)


@render.register
def render_shown_migrated(record: ShownMigrated) -> RenderableType:
    """What a migrated bundle holds."""
    return describe_shown_migrated(record)


@render.register
def render_migration(record: MigrationResult) -> RenderableType:
    """A bundle that was made from a legacy archive."""
    return describe_migration(record)


@render.register
def render_diff(record: BundleDiff) -> RenderableType:
    """Two bundles side by side, where they differ."""
    sides = {record.left: f"sha256:{record.left_identity}", record.right: f"sha256:{record.right_identity}"}
    if not record.differences:
        return Group(list_fields(sides), Text("no difference", style="green"))
    table = Table("section", "name", record.left, record.right, box=box.SIMPLE_HEAD, pad_edge=False)
    for one in record.differences:
        left, right = (
            Text("(absent)", style="dim") if side is None else Text(printable(side)) for side in (one.left, one.right)
        )
        table.add_row(one.section, escape(printable(one.name)), left, right)
    return Group(list_fields(sides), table)


@render.register
def render_keys(record: KeyResult) -> RenderableType:
    """A new pair of keys."""
    protection = "encrypted with the passphrase" if record.is_encrypted else "not encrypted: whoever reads it can sign"
    return list_fields(
        {
            "private key": f"{record.path} ({protection}); keep it to yourself",
            "public key": f"{record.public_path}; publish it",
            "keyid": record.keyid,
        }
    )


@render.register
def render_signing(record: SigningResult) -> RenderableType:
    """A written signature."""
    return list_fields(
        {
            "signature": f"{record.path}; publish it beside {record.bundle}",
            "identity": f"sha256:{record.identity}",
            "keyid": record.keyid,
            "check": f"hstu-preserve verify {record.bundle} --public-key KEY.pub",
        }
    )


@render.register
def render_packed(record: PackResult) -> RenderableType:
    """A packed bundle."""
    return list_fields(
        {
            "bundle": str(record.path),
            "identity": f"sha256:{record.identity}",
            "file": f"sha256:{record.transport_sha256}, {record.size_bytes:,} bytes, {record.members} members",
            "check": f"hstu-preserve verify {record.path}",
        }
    )


@render.register
def render_unpacked(record: UnpackResult) -> RenderableType:
    """An unpacked bundle."""
    return list_fields(
        {"unpacked": str(record.path), "identity": f"sha256:{record.identity}", "members": str(record.members)}
    )


@render.register
def render_reproduction(record: Reproduction) -> RenderableType:
    """The verdicts, one line per rung and claim."""
    table = Table("rung", "claim", "outcome", "why", box=box.SIMPLE_HEAD, pad_edge=False)
    for verdict in record.verdicts:
        table.add_row(verdict.rung.value, verdict.claim or "", styled_outcome(verdict), escape(verdict.reason))
    fields = {"target": record.target, "bundle": str(record.path), "title": record.title}
    if record.identity is not None:
        fields["identity"] = f"sha256:{record.identity}"
    numerics = record.environment.numerics if record.environment else None
    if numerics is not None:
        fields["re-run with"] = describe_numerics(numerics)
    return Group(list_fields(fields), table)


def styled_outcome(verdict: Verdict) -> Text:
    """Return the outcome in its colour."""
    return Text(verdict.outcome.value, style=OUTCOME_STYLES[verdict.outcome], no_wrap=True)


@render.register
def render_export(record: ExportResult) -> RenderableType:
    """An exported file."""
    return list_fields({"written": str(record.path), "format": record.format, "sha256": record.sha256})


@render.register
def render_publication(record: PublishResult) -> RenderableType:
    """What was put on the Hub, one line per bundle."""
    table = Table("bundle", "identity", "", "where", box=box.SIMPLE_HEAD, pad_edge=False)
    for one in record.bundles:
        table.add_row(one.name, f"sha256:{one.identity[:16]}…", describe_push(one, record), one.url)
    made = " (made anew)" if record.is_created else ""
    return Group(list_fields({"repository": f"{record.url}{'' if record.is_dry_run else made}"}), table)


def describe_push(one: PublishedBundle, record: PublishResult) -> str:
    """Return what was, or would be, done for one bundle."""
    if one.is_unchanged:
        return "there already, nothing to push"
    files = ", ".join(one.pushed)
    removed = f", removes {', '.join(one.removed)}" if one.removed else ""
    replaced = f", replaces {one.replaced[:16]}…" if one.replaced else ""
    return f"{'would push' if record.is_dry_run else 'pushed'} {files}{removed}{replaced}"


@render.register
def render_report(record: ReportResult) -> RenderableType:
    """A written report."""
    state = "changed" if record.is_changed else "unchanged"
    return Text(f"{record.path}: {record.experiments} experiments, {record.reproduced} reproduced here ({state})")


@render.register
def render_diagnosis(record: Diagnosis) -> RenderableType:
    """What this machine can run."""
    table = Table("", "what", "detail", "what to do", box=box.SIMPLE_HEAD, pad_edge=False)
    for one in record.capabilities:
        mark = Text("yes", style="green") if one.is_available else Text("no", style="yellow")
        table.add_row(mark, one.name, escape(one.detail), escape(one.advice or ""))
    packages = ", ".join(f"{name} {version}" for name, version in record.environment.packages.items())
    machine = f"{record.environment.python} on {record.environment.platform} ({record.environment.machine})"
    return Group(list_fields({"machine": machine, "packages": packages}), table)
