"""Describe bundles: the contents of one, the differences of two, and the results of packing, signing and the like."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from hstu_preserve.primitives.wording import count, printable
from hstu_preserve.records.results import (
    BundleDiff,
    ExportResult,
    PackResult,
    PublishedBundle,
    PublishResult,
    ShownBundle,
    UnpackResult,
    UpgradeResult,
)
from hstu_preserve.records.signature import KeyResult, SigningResult
from hstu_preserve.report.tables import (
    describe_numerics,
    describe_origin,
    list_claims,
    list_contents,
    list_curve,
    list_fields,
    new_table,
)


def describe_shown_bundle(record: ShownBundle) -> RenderableType:
    """Return a bundle's manifest, claims, curve and contents."""
    kind = record.manifest.run.recipe.evaluation.effective_kind
    parts: list[RenderableType] = [
        list_fields(describe_manifest(record)),
        list_claims(record.manifest.claims, kind=kind),
    ]
    if record.results is not None:
        parts.append(list_curve(record.results.epochs))
    parts.append(list_contents(record.manifest))
    parts.append(Text("not verified: 'hstu-preserve verify' compares every byte with the manifest", style="dim"))
    return Group(*parts)


def describe_upgrade(record: UpgradeResult) -> RenderableType:
    """Return a bundle of the present schema version, and what of the earlier one says nothing of it."""
    bundle = record.bundle
    fields = {
        "bundle": str(bundle.path),
        "identity": f"sha256:{bundle.identity}",
        **describe_origin(record.upgraded_from),
        "file": f"sha256:{bundle.transport_sha256}, {bundle.size_bytes:,} bytes, {bundle.members} members",
        "check": f"hstu-preserve verify --deep {bundle.path}",
    }
    notes = (
        Text(f"not of this bundle: {printable(name)}, which names the earlier identity; make it anew", style="yellow")
        for name in record.left_behind
    )
    return Group(list_fields(fields), *notes)


def describe_manifest(record: ShownBundle) -> dict[str, str]:
    """Return the run's facts from the manifest, in words."""
    run = record.manifest.run
    numerics = run.environment.numerics
    data = run.data
    commit = f", commit {run.code.commit[:12]}{' (modified)' if run.code.modified else ''}" if run.code.commit else ""
    return {
        "bundle": f"{record.path}",
        "identity": f"sha256:{record.identity}",
        **describe_origin(record.manifest.upgraded_from),
        "title": run.bundle.title,
        "licence": run.bundle.licence,
        "model": f"{run.recipe.model.kind}, {count(run.recipe.model.num_blocks, 'block')} x "
        f"{count(run.recipe.model.num_heads, 'head')}, "
        f"D {run.recipe.model.item_embedding_dim}, seed {run.recipe.training.random_seed}",
        "recipe": f"sha256:{run.recipe_sha256}, from {run.gin_file}",
        "data": f"{data.name}: {data.num_users} users, {data.num_rated_items} rated items, {data.num_ratings} ratings; "
        f"ties {data.tie_policy}; {'inside the bundle' if data.included else 'not inside'}",
        "fingerprint": data.fingerprint,
        "protocol": run.recipe.dataset.protocol.value,
        "evaluation": run.recipe.evaluation.effective_kind.words,
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


def describe_diff(record: BundleDiff) -> RenderableType:
    """Return the differences of two bundles, side by side."""
    sides = {record.left: f"sha256:{record.left_identity}", record.right: f"sha256:{record.right_identity}"}
    if not record.differences:
        return Group(list_fields(sides), Text("no difference", style="green"))
    names = (escape(printable(name)) for name in (record.left, record.right))
    table = new_table("section", "name", *names)
    for one in record.differences:
        left, right = (
            Text("(absent)", style="dim") if side is None else Text(printable(side)) for side in (one.left, one.right)
        )
        table.add_row(one.section, escape(printable(one.name)), left, right)
    return Group(list_fields(sides), table)


def describe_packed(record: PackResult) -> RenderableType:
    """Return the result of `pack`."""
    return list_fields(
        {
            "bundle": str(record.path),
            "identity": f"sha256:{record.identity}",
            "file": f"sha256:{record.transport_sha256}, {record.size_bytes:,} bytes, {record.members} members",
            "check": f"hstu-preserve verify {record.path}",
        }
    )


def describe_unpacked(record: UnpackResult) -> RenderableType:
    """Return the result of `unpack`."""
    return list_fields(
        {"unpacked": str(record.path), "identity": f"sha256:{record.identity}", "members": str(record.members)}
    )


def describe_export(record: ExportResult) -> RenderableType:
    """Return the result of `export`."""
    written = str(record.path) if record.qrels is None else f"{record.qrels} and {record.path}"
    return list_fields({"written": written, "format": record.format, "sha256": record.sha256})


def describe_keys(record: KeyResult) -> RenderableType:
    """Return the paths of a new pair of keys."""
    protection = "encrypted with the passphrase" if record.is_encrypted else "not encrypted: whoever reads it can sign"
    return list_fields(
        {
            "private key": f"{record.path} ({protection}); keep it to yourself",
            "public key": f"{record.public_path}; publish it",
            "keyid": record.keyid,
        }
    )


def describe_signing(record: SigningResult) -> RenderableType:
    """Return the path of a signature, and the command that checks it."""
    return list_fields(
        {
            "signature": f"{record.path}; publish it beside {record.bundle}",
            "identity": f"sha256:{record.identity}",
            "keyid": record.keyid,
            "check": f"hstu-preserve verify {record.bundle} --public-key KEY.pub",
        }
    )


def describe_publication(record: PublishResult) -> RenderableType:
    """Return the result of `publish`, one paragraph per bundle: an address is too long for a column of a table."""
    made = " (made anew)" if record.is_created and not record.is_dry_run else ""
    parts: list[RenderableType] = [list_fields({"repository": f"{record.url}{made}"})]
    for one in record.bundles:
        fields = {
            "bundle": one.name,
            "identity": f"sha256:{one.identity}",
            "files": describe_push(one, record),
            "where": one.url,
        }
        parts += [Text(), list_fields(fields)]
    return Group(*parts)


def describe_push(one: PublishedBundle, record: PublishResult) -> str:
    """Return the line for one bundle that was pushed, or would be."""
    if one.is_unchanged:
        return "there already, nothing to push"
    files = ", ".join(one.pushed)
    removed = f", removes {', '.join(one.removed)}" if one.removed else ""
    replaced = f", replaces {one.replaced[:16]}…" if one.replaced else ""
    return f"{'would push' if record.is_dry_run else 'pushed'} {files}{removed}{replaced}"
