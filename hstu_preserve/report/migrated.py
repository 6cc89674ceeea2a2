"""Migrated bundles as text: what is known of the archive, from where, and what is not."""

from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hstu_preserve.bundle.layout import printable
from hstu_preserve.records.migration import LegacySource, Provenance, Statement
from hstu_preserve.records.results import MigrationResult, ShownMigrated
from hstu_preserve.report.legacy import describe_shown_chain
from hstu_preserve.report.tables import list_contents, list_fields

STYLES = {Provenance.STATED: "", Provenance.DERIVED: "dim", Provenance.UNKNOWN: "yellow"}


def describe_shown_migrated(record: ShownMigrated) -> RenderableType:
    """Return what a migrated bundle says of the archive that it was made from."""
    manifest = record.manifest
    parts: list[RenderableType] = [
        list_fields({"bundle": str(record.path), "identity": f"sha256:{record.identity}"}),
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
    """Return what was written, and how much of what a run would say is known."""
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
    """Return the statements as a table: what is stated, what is derived, what is unknown."""
    table = Table("what", "value", "", "name", "where", box=box.SIMPLE_HEAD, pad_edge=False)
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
    """Return where a value was read, or its basis where that is no place."""
    place = printable(" ".join(filter(None, (statement.file, statement.place))))
    return place if statement.provenance is Provenance.STATED else f"{statement.basis.value} {place}".rstrip()
