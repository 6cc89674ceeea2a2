"""Check a migrated bundle against itself: the manifest's statements against the archive's own files."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hstu_preserve.bundle.deep_checks import require_equal, run_check
from hstu_preserve.bundle.opening import VerifiedTree
from hstu_preserve.bundle.tree import read_chunks
from hstu_preserve.checkpoint_files.foreign_weights import outline_stream
from hstu_preserve.errors import ContentError
from hstu_preserve.event_files.reader import CutOffError, iterate_scalars
from hstu_preserve.legacy.contents import LegacyContents, is_checkpoint, is_event_file, read_contents
from hstu_preserve.legacy.statements import find_statements, follow_pointer, is_same, keep
from hstu_preserve.legacy.walker import LegacyMember
from hstu_preserve.primitives.archive_names import strip_suffix
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.legacy.migration import Basis, Provenance, Statement
from hstu_preserve.records.legacy.shown import ShownBinding, ShownChain
from hstu_preserve.records.manifest import MigratedManifest
from hstu_preserve.records.verification import DeepCheck


@dataclass(frozen=True, kw_only=True)
class MigratedTree:
    """A verified tree that was migrated.

    Attributes:
        root: Where its files are.
        manifest: The bundle's manifest.
        contents: The values that its files state, read anew.
    """

    root: Path
    manifest: MigratedManifest
    contents: LegacyContents

    def locate(self, original_path: str) -> Path:
        """Return the file that has this path in the archive."""
        (file,) = (file for file in self.manifest.files if file.original_path == original_path)
        return self.root / file.path

    def list_files(self, is_wanted: Callable[[str], bool]) -> list[Path]:
        """Return the files whose paths in the archive are wanted."""
        return [self.root / file.path for file in self.manifest.files if is_wanted(file.original_path)]


def read_migrated_tree(tree: VerifiedTree) -> MigratedTree:
    """Return a migrated bundle whose bytes are right, with what its files say."""
    manifest = tree.verification.manifest
    assert isinstance(manifest, MigratedManifest)
    contents = read_contents(list_original_members(manifest, root=tree.root))
    return MigratedTree(root=tree.root, manifest=manifest, contents=contents)


def check_migrated_tree(tree: MigratedTree) -> tuple[DeepCheck, ...]:
    """Compare what the manifest of a migrated bundle says with the files that it cites.

    Returns:
        One check per question; a check that failed says what it expected and found.
    """
    return tuple(run_check(name, partial(check, tree), root=tree.root) for name, check in CHECKS.items())


def list_original_members(manifest: MigratedManifest, *, root: Path) -> Iterator[LegacyMember]:
    """Yield the files as the members of the archive that they were."""
    for original, file in zip(manifest.files, manifest.contents.files, strict=True):
        yield LegacyMember(path=original.original_path, size=file.size, chunks=read_chunks(root / file.path))


def check_originals(tree: MigratedTree) -> str:
    """Each file has the md5 by which the archive's own lists name it."""
    for file in tree.manifest.files:
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in read_chunks(tree.root / file.path):
            digest.update(chunk)
        require_equal(f"md5 of {file.path}", expected=file.md5, found=digest.hexdigest())
    return f"{count(len(tree.manifest.files), 'file')} of {tree.manifest.source.name}"


def check_chains(tree: MigratedTree) -> str:
    """The gin chains have the recorded bindings, and the known ones resolve to the recorded part of the recipe."""
    recorded = {chain.entry: chain for chain in tree.manifest.chains}
    found = {chain.entry: chain for chain in tree.contents.chains}
    require_equal("gin chains", expected=sorted(recorded), found=sorted(found))
    num_unknown = 0
    for entry, chain in recorded.items():
        require_same_chain(chain, found[entry])
        num_unknown += len(chain.unknown)
    return f"{count(len(recorded), 'gin chain')} as recorded; {count(num_unknown, 'name')} that no code here reads"


def require_same_chain(recorded: ShownChain, found: ShownChain) -> None:
    """Raise ContentError if a chain is not the recorded one.

    A later release may know more names than the one that migrated; then its known part is larger and is not compared.
    """
    require_equal(f"files of {recorded.entry}", expected=recorded.files, found=found.files)
    expected, seen = list_bindings(recorded), list_bindings(found)
    for name in sorted(expected.keys() | seen.keys()):
        require_equal(f"{name} of {recorded.entry}", expected=expected.get(name), found=seen.get(name))
    if {binding.name for binding in recorded.known} == {binding.name for binding in found.known}:
        digests = [chain.known_part.digest() if chain.known_part else None for chain in (recorded, found)]
        require_equal(f"known part of {recorded.entry}", expected=digests[0], found=digests[1])


def list_bindings(chain: ShownChain) -> dict[str, str]:
    """Return value and place of every binding by name, whether its name is known or not."""
    bindings: tuple[ShownBinding, ...] = (*chain.known, *chain.unknown)
    return {binding.name: f"{binding.value} at {binding.place}" for binding in bindings}


def check_statements(tree: MigratedTree) -> str:
    """Every value is in the file that it is said to come from."""
    named = strip_suffix(tree.manifest.source.name)
    found = {statement.to_json() for statement in find_statements(tree.contents, name=named)}
    num_unknown = 0
    for statement in tree.manifest.statements:
        if statement.provenance is Provenance.UNKNOWN:
            num_unknown += 1
        elif statement.basis is Basis.MANIFEST_VALUE:
            require_manifest_value(statement, tree.contents)
        elif statement.to_json() not in found:
            what = f"{statement.subject.value} {statement.value!r}"
            raise ContentError(f"{what}: not in {statement.file or named} ({statement.place or statement.basis.value})")
    num_known = len(tree.manifest.statements) - num_unknown
    return f"{count(num_known, 'value')} as the files have them, {num_unknown} unknown"


def require_manifest_value(statement: Statement, contents: LegacyContents) -> None:
    """Raise ContentError if the archive's own manifest has another value at the place."""
    require_equal(f"manifest of {statement.subject.value}", expected=statement.file, found=contents.manifest_path)
    found = follow_pointer(contents.manifest, statement.place or "")
    value: Json = keep(found) if isinstance(found, bool | int | float | str) else None
    if value is None or not is_same(statement.value, value):
        what = f"{statement.subject.value} at {statement.place} of {statement.file}"
        raise ContentError(f"{what}: expected {statement.value!r}, found {value!r}")


def check_checkpoints(tree: MigratedTree) -> str:
    """Every checkpoint is one whose tensors can be found without loading it, whatever its author put beside them."""
    paths = tree.list_files(is_checkpoint)
    for path in paths:
        with path.open("rb") as stream:
            outline_stream(stream, source=path)
    return f"{count(len(paths), 'checkpoint')} whole, read without loading anything"


def check_event_files(tree: MigratedTree) -> str:
    """The event files are whole, but for a last record that a killed run left unfinished."""
    paths = tree.list_files(is_event_file)
    recorded, found = set(tree.manifest.problems), set(tree.contents.problems)
    num_points = num_cut = 0
    for path in paths:
        try:
            with path.open("rb") as stream:
                for _ in iterate_scalars(stream, source=str(path)):
                    num_points += 1
        except CutOffError:
            if not found <= recorded:  # it was cut after the archive was migrated
                raise
            num_cut += 1
    cut = f"; {num_cut} cut off within a record, as in the archive" if num_cut else ""
    return f"{count(num_points, 'point')} in {count(len(paths), 'file')}, whole{cut}"


CHECKS: dict[str, Callable[[MigratedTree], str]] = {
    "original files": check_originals,
    "gin chains": check_chains,
    "statements": check_statements,
    "checkpoints": check_checkpoints,
    "event files": check_event_files,
}
