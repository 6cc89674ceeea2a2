"""Describe the contents of legacy archives, and their migration."""

import json
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hstu_preserve.primitives.paths import is_companion
from hstu_preserve.primitives.wording import cut_lines, list_some, printable
from hstu_preserve.records.legacy.migration import LegacySource, Provenance, Statement
from hstu_preserve.records.legacy.shown import ShownChain, ShownLegacy
from hstu_preserve.records.results import MigrationResult, ShownMigrated
from hstu_preserve.report.tables import describe_origin, list_contents, list_fields, new_table

MAX_MANIFEST_LINES = 60
MAX_COMPANIONS = 5


def describe_shown_legacy(record: ShownLegacy) -> RenderableType:
    """Return the contents of a legacy archive."""
    fields = {
        "legacy archive": record.source,
        "md5": record.md5,
        "sha256": record.sha256,
        "manifest": record.manifest_path or "none",
    }
    parts: list[RenderableType] = [list_fields(fields)]
    if record.manifest is not None:
        lines = json.dumps(record.manifest, indent=2, ensure_ascii=True).splitlines()
        parts.append(Text("\n".join(cut_lines(lines, at_most=MAX_MANIFEST_LINES, noun="lines"))))
    for chain in record.chains:
        parts += [Text(), *describe_shown_chain(chain)]
    parts += [list_curves(record), list_legacy_files(record)]
    parts += [Text(f"problem: {printable(problem)}", style="yellow") for problem in record.problems]
    if companions := [file.path for file in record.files if is_companion(file.path)]:
        some = printable(list_some(companions, at_most=MAX_COMPANIONS))
        parts.append(Text(f"companions of macOS, taken for nothing of the experiment: {some}", style="dim"))
    parts.append(Text("not verified: 'hstu-preserve verify' compares it with the digests that exist", style="dim"))
    return Group(*parts)


def describe_shown_chain(chain: ShownChain) -> list[RenderableType]:
    """Return a chain's names, known and unknown."""
    files = {"gin chain": printable(chain.entry), "files": printable(", ".join(chain.files))}
    parts: list[RenderableType] = [list_fields(files)]
    if chain.problem is not None:
        parts.append(Text(f"does not resolve: {printable(chain.problem)}", style="yellow"))
    if chain.known_part is not None:
        what = "the recipe" if not chain.unknown else "the known names alone, which is not the recipe"
        parts.append(Text(f"resolves ({what}) to sha256:{chain.known_part.digest()}"))
    table = new_table("name", "value", "where", "")
    for is_known, bindings in ((False, chain.unknown), (True, chain.known)):
        for binding in bindings:
            note = "" if is_known else "unknown"
            cells = (escape(printable(text)) for text in (binding.name, binding.value, binding.place))
            table.add_row(*cells, note)
    return [*parts, table]


def list_curves(record: ShownLegacy) -> Table:
    """Return the tags of the event files with their last values."""
    table = new_table("events", "tag", "points", "last step", "last value")
    for curve in record.curves:
        value = "not a number" if curve.last_value is None else f"{curve.last_value:.6g}"
        table.add_row(escape(curve.file), escape(curve.tag), str(curve.num_points), str(curve.last_step), value)
    return table


def list_legacy_files(record: ShownLegacy) -> Table:
    """Return the files with their digests, and the epoch of checkpoints."""
    epochs = {checkpoint.path: checkpoint.epoch for checkpoint in record.checkpoints}
    table = new_table("file", "bytes", "md5", "epoch")
    table.columns[1].justify = "right"
    for file in record.files:
        epoch = epochs.get(file.path)
        table.add_row(escape(file.path), str(file.size), file.md5, "" if epoch is None else str(epoch))
    return table


STYLES = {Provenance.STATED: "", Provenance.DERIVED: "dim", Provenance.UNKNOWN: "yellow"}


def describe_shown_migrated(record: ShownMigrated) -> RenderableType:
    """Return the facts that a migrated bundle records of its legacy archive."""
    manifest = record.manifest
    parts: list[RenderableType] = [
        list_fields(
            {
                "bundle": str(record.path),
                "identity": f"sha256:{record.identity}",
                **describe_origin(manifest.upgraded_from),
            }
        ),
        list_fields(describe_source(manifest.source)),
        list_statements(manifest.statements),
    ]
    for chain in manifest.chains:
        parts += [Text(), *describe_shown_chain(chain)]
    parts.append(list_contents(manifest))
    parts += [Text(f"problem: {printable(problem)}", style="yellow") for problem in manifest.problems]
    parts += [Text(f"not guaranteed: {printable(one)}", style="dim") for one in manifest.missing_guarantees]
    parts.append(Text("not verified: 'hstu-preserve verify' compares every byte with the manifest", style="dim"))
    return Group(*parts)


def describe_migration(record: MigrationResult) -> RenderableType:
    """Return the result of `migrate`, and how many of the facts that a run would record are known."""
    bundle = record.bundle
    names = ", ".join(sorted({printable(binding.name) for binding in record.unknown}))
    fields = {
        "bundle": str(bundle.path),
        "identity": f"sha256:{bundle.identity}",
        "file": f"sha256:{bundle.transport_sha256}, {bundle.size_bytes:,} bytes, {bundle.members} members",
        **describe_source(record.source),
        "unknown gin names": names or "none",
        "check": f"hstu-preserve verify --deep {bundle.path}",
    }
    problems = (Text(f"problem: {printable(problem)}", style="yellow") for problem in record.problems)
    return Group(list_fields(fields), list_statements(record.statements), *problems)


def describe_source(source: LegacySource) -> dict[str, str]:
    """Return which archive it was, and who vouched for it."""
    return {
        "legacy archive": f"{source.name}, {source.size:,} bytes",
        "its md5": source.md5,
        "its sha256": source.sha256,
        "vouched for": source.vouched,
    }


def list_statements(statements: Iterable[Statement]) -> Table:
    """Return the statements as a table, each with its basis: stated, derived or unknown."""
    table = new_table("what", "value", "", "name", "where")
    for one in statements:
        table.add_row(
            one.subject.value,
            "" if one.value is None else escape(printable(str(one.value))),
            Text(one.provenance.value, style=STYLES[one.provenance]),
            escape(printable(one.name or "")),
            escape(describe_place(one)),
        )
    return table


def describe_place(statement: Statement) -> str:
    """Return the place that a value was read from, or its basis if it was not read anywhere."""
    place = printable(" ".join(filter(None, (statement.file, statement.place))))
    return place if statement.provenance is Provenance.STATED else f"{statement.basis.value} {place}".rstrip()
