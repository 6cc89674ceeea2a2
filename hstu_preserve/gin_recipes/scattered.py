"""Read a gin chain whose files lie in other folders than its includes say, as bundles of other people pack them."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hstu_preserve.errors import MissingPathError, RecipeError
from hstu_preserve.gin_recipes.reader import ChainReading, GinChain, IncludeStatement, locate
from hstu_preserve.gin_recipes.syntax import shorten
from hstu_preserve.primitives.wording import list_some

MAX_FILES_SEARCHED = 20_000
"""Below the root: far above any archive, so that a root of a whole disk ends soon."""


@dataclass(frozen=True, kw_only=True)
class ScatteredChain:
    """A chain, and where its files were found.

    Attributes:
        chain: The chain.
        found_by_name: A sentence for each include that was found by its name alone.
    """

    chain: GinChain
    found_by_name: tuple[str, ...]


def read_scattered_chain(path: Path, *, root: Path | None) -> ScatteredChain:
    """Read a gin file and its includes, as `read_chain` does, and find displaced includes by their names.

    An include that is neither beside the file that names it nor in the root is the file below the root that bears its
    name, if there is one only.

    Args:
        path: The entry file.
        root: The folder that includes are looked up in and never leave; None as for `read_chain`.

    Raises:
        MissingPathError: The file, or one it includes, does not exist.
        RecipeError: The chain cannot be read; the message names file and line.
        UnavailableError: A file exists and cannot be read.
    """
    entry, root = locate(path, root=root)
    reading = ScatteredChainReading(root)
    reading.read(entry, including=(), at=None)
    return ScatteredChain(chain=reading.finish(entry), found_by_name=tuple(reading.found_by_name))


class ScatteredChainReading(ChainReading):
    """A chain while it is read, its includes also found by a name that occurs once below the root."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.found_by_name: dict[str, None] = {}

    def find_included(self, statement: IncludeStatement, *, folder: str) -> str:
        """Return the included file: beside the including one, else in the root, else the only one of its name."""
        try:
            return super().find_included(statement, folder=folder)
        except (MissingPathError, RecipeError):
            same = self.list_files_of_name(PurePosixPath(statement.file).name, statement=statement)
            if not same:
                raise
        at, name = statement.location, shorten(statement.file)
        if len(same) > 1:
            raise RecipeError(
                f"{at}: include {name!r}: {len(same)} files of that name "
                f"({list_some(map(shorten, same), at_most=3)}); put the right one beside {at.file}"
            )
        self.found_by_name[f"{at}: include {name!r} is {shorten(same[0])}, the only file of that name"] = None
        return same[0]

    def list_files_of_name(self, name: str, *, statement: IncludeStatement) -> list[str]:
        """Return the files of a name below the root, relative to it; hidden ones and links to folders are left out."""
        num_files, same = 0, []
        for folder, folders, files in os.walk(self.root):
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            num_files += len(files) + len(folders)
            if num_files > MAX_FILES_SEARCHED:
                raise RecipeError(
                    f"{statement.location}: include {shorten(statement.file)!r}: not beside it, and more than "
                    f"{MAX_FILES_SEARCHED} files lie below the gin root {self.root}; name a smaller --gin-root"
                )
            if name in files and not name.startswith("."):
                same.append((Path(folder) / name).relative_to(self.root).as_posix())
        return same
