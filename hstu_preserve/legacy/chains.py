"""Read the gin files of a legacy archive from memory, and tell the names that this program knows from the others."""

import posixpath
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hstu_preserve.errors import RecipeError
from hstu_preserve.gin_recipes.bindings import KNOWN_NAMES
from hstu_preserve.gin_recipes.reader import (
    MAX_FILES_READ,
    MAX_INCLUDE_DEPTH,
    ChainReading,
    GinChain,
    IncludeStatement,
    is_above,
    parse,
)
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.gin_recipes.syntax import Binding, BindingKey, Location, shorten, show
from hstu_preserve.records.legacy.shown import ShownBinding, ShownChain

MAX_VALUE_CHARACTERS = 200


class LegacyChainReading(ChainReading):
    """A chain whose files lie in memory, its includes also found by a name that occurs once.

    Args:
        contents: Every gin file by its path in the archive.
    """

    def __init__(self, contents: Mapping[str, bytes], *, root: str) -> None:
        super().__init__(Path(root))
        self.contents = contents
        self.folder = root

    def read(self, file: str, *, including: tuple[str, ...], at: Location | None) -> None:
        """Take in `file` and, in place, what it includes."""
        place = at or file
        if file in including:
            raise RecipeError(f"{place}: include cycle: {' → '.join((*including[including.index(file) :], file))}")
        self.num_files_read += 1
        if len(including) > MAX_INCLUDE_DEPTH or self.num_files_read > MAX_FILES_READ:
            raise RecipeError(f"{place}: includes are nested too deep or too many")
        if file not in self.statements:
            self.files[file] = self.contents[file]
            self.statements[file] = parse(self.contents[file], file=file, path=Path(file))
        for statement in self.statements[file]:
            if isinstance(statement, IncludeStatement):
                included = self.find_included(statement, folder=posixpath.dirname(file))
                self.read(included, including=(*including, file), at=statement.location)
            else:
                self.bind(statement)

    def find_included(self, statement: IncludeStatement, *, folder: str) -> str:
        """Return the included file: beside the including one, else in the root, else the only one of its name."""
        at, name = statement.location, statement.file
        for place in (folder, self.folder, ""):
            file = posixpath.normpath(posixpath.join(place, name))
            if not is_above(file) and file in self.contents:
                return file
        wanted = PurePosixPath(name).name
        same = [file for file in self.contents if PurePosixPath(file).name == wanted]
        if len(same) == 1:
            return same[0]
        found = f"{len(same)} files of that name" if same else "no such file in the archive"
        raise RecipeError(f"{at}: include {shorten(name)!r}: {found}")


def describe_chains(contents: Mapping[str, bytes], *, root: str) -> tuple[ShownChain, ...]:
    """Return every chain: one for each file that no other includes.

    Args:
        contents: Every gin file by its path in the archive.
        root: The folder that includes are also looked up in.
    """
    chains = {entry: describe_chain(contents, root=root, entry=entry) for entry in sorted(contents)}
    included = {file for entry, chain in chains.items() for file in chain.files if file != entry}
    return tuple(chain for entry, chain in chains.items() if entry not in included)


def describe_chain(contents: Mapping[str, bytes], *, root: str, entry: str) -> ShownChain:
    """Return one chain's bindings, known and unknown, and what the known ones resolve to."""
    reading = LegacyChainReading(contents, root=root)
    try:
        reading.read(entry, including=(), at=None)
        chain = reading.finish(entry)
    except RecipeError as error:
        return ShownChain(
            entry=entry,
            files=tuple(reading.files),
            known=(),
            unknown=(),
            known_part=None,
            problem=str(error),
        )
    known = {key: binding for key, binding in chain.bindings.items() if is_known(key)}
    unknown = {key: binding for key, binding in chain.bindings.items() if key not in known}
    return describe_read_chain(chain, known=known, unknown=unknown)


def describe_read_chain(
    chain: GinChain, *, known: Mapping[BindingKey, Binding], unknown: Mapping[BindingKey, Binding]
) -> ShownChain:
    """Return what a chain says whose bindings are told apart."""
    recipe, problem = None, None
    try:
        recipe = resolve(replace(chain, bindings=known)).recipe
    except RecipeError as error:
        problem = str(error)
    return ShownChain(
        entry=chain.entry,
        files=tuple(file for file, _ in chain.files),
        known=describe_bindings(known),
        unknown=describe_bindings(unknown),
        known_part=recipe,
        problem=problem,
    )


def is_known(key: BindingKey) -> bool:
    """Whether this program knows what the name stands for."""
    return key.name in KNOWN_NAMES


def describe_bindings(bindings: Mapping[BindingKey, Binding]) -> tuple[ShownBinding, ...]:
    """Return the bindings as text."""
    return tuple(
        ShownBinding(
            name=shorten(str(key)), value=show(binding.value)[:MAX_VALUE_CHARACTERS], place=str(binding.location)
        )
        for key, binding in bindings.items()
    )
