"""Legacy archives as text: what they hold, and what vouches for them."""

import json

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hstu_preserve.records.legacy import LegacyOutcome, LegacyVerification, ShownChain, ShownLegacy
from hstu_preserve.report.tables import list_fields

MARKS = {
    LegacyOutcome.MATCHES: ("ok ", "green"),
    LegacyOutcome.REFUSED: ("FAILED ", "bold red"),
    LegacyOutcome.UNVOUCHED: ("INCONCLUSIVE ", "yellow"),
}
MAX_MANIFEST_LINES = 60


def describe_legacy_verification(record: LegacyVerification) -> RenderableType:
    """Return the outcome, the findings, and the guarantees that are missing."""
    lines = [Text.assemble(MARKS[record.outcome], f"{record.source}: legacy archive, read in the tolerant profile")]
    lines += [Text(f"  {finding.describe()}") for finding in record.findings]
    if record.md5 and record.sha256:
        lines.append(Text(f"  {len(record.files)} files; md5 {record.md5}; sha256 {record.sha256}"))
    if record.listed is not None and record.outcome is LegacyOutcome.MATCHES:
        lines.append(Text(f"  as {record.md5_list} lists it ({record.listed.place})"))
    if record.num_vouched:
        lines.append(Text(f"  {record.num_vouched} members are as {record.manifest} says"))
    lines += [Text(f"  note: {note}") for note in record.notes]
    lines += [Text(f"  not guaranteed: {one}", style="dim") for one in record.missing_guarantees]
    return Group(*lines)


def describe_shown_legacy(record: ShownLegacy) -> RenderableType:
    """Return what a legacy archive holds."""
    fields = {
        "legacy archive": record.source,
        "md5": record.md5,
        "sha256": record.sha256,
        "manifest": record.manifest_path or "none",
    }
    parts: list[RenderableType] = [list_fields(fields)]
    if record.manifest is not None:
        lines = json.dumps(record.manifest, indent=2, ensure_ascii=True).splitlines()
        hidden = [f"… and {len(lines) - MAX_MANIFEST_LINES} more lines"] if len(lines) > MAX_MANIFEST_LINES else []
        parts.append(Text("\n".join([*lines[:MAX_MANIFEST_LINES], *hidden])))
    for chain in record.chains:
        parts += [Text(), *describe_shown_chain(chain)]
    parts += [list_curves(record), list_legacy_files(record)]
    parts += [Text(f"problem: {problem}", style="yellow") for problem in record.problems]
    parts.append(Text("not verified: 'hstu-preserve verify' compares it with the digests that exist", style="dim"))
    return Group(*parts)


def describe_shown_chain(chain: ShownChain) -> list[RenderableType]:
    """Return a chain's names, known and unknown."""
    parts: list[RenderableType] = [list_fields({"gin chain": chain.entry, "files": ", ".join(chain.files)})]
    if chain.problem is not None:
        parts.append(Text(f"does not resolve: {chain.problem}", style="yellow"))
    if chain.known_part is not None:
        what = "the recipe" if not chain.unknown else "the known names alone, which is not the recipe"
        parts.append(Text(f"resolves ({what}) to sha256:{chain.known_part.digest()}"))
    table = Table("name", "value", "where", "", box=box.SIMPLE_HEAD, pad_edge=False)
    for is_known, bindings in ((False, chain.unknown), (True, chain.known)):
        for binding in bindings:
            note = "" if is_known else "unknown"
            table.add_row(escape(binding.name), escape(binding.value), escape(binding.place), note)
    return [*parts, table]


def list_curves(record: ShownLegacy) -> Table:
    """Return the tags of the event files with their last values."""
    table = Table("events", "tag", "points", "last step", "last value", box=box.SIMPLE_HEAD, pad_edge=False)
    for curve in record.curves:
        value = "not a number" if curve.last_value is None else f"{curve.last_value:.6g}"
        table.add_row(escape(curve.file), escape(curve.tag), str(curve.num_points), str(curve.last_step), value)
    return table


def list_legacy_files(record: ShownLegacy) -> Table:
    """Return the files with their digests, and the epoch of checkpoints."""
    epochs = {checkpoint.path: checkpoint.epoch for checkpoint in record.checkpoints}
    table = Table("file", "bytes", "md5", "epoch", box=box.SIMPLE_HEAD, pad_edge=False)
    table.columns[1].justify = "right"
    for file in record.files:
        epoch = epochs.get(file.path)
        table.add_row(escape(file.path), str(file.size), file.md5, "" if epoch is None else str(epoch))
    return table
