"""Read gin files as text: a file and its includes become bindings, and nothing that they name is run or imported."""

import io
import os
import posixpath
import stat
import tokenize
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from gin import config_parser

from hstu_preserve.errors import MissingPathError, RecipeError, UnavailableError
from hstu_preserve.gin_recipes.macros import MacroExpansion
from hstu_preserve.gin_recipes.parser_errors import PARSER_ERRORS, describe_parser_error
from hstu_preserve.gin_recipes.syntax import Binding, BindingKey, Location, MacroUse, Reference, shorten
from hstu_preserve.primitives.files import read_bytes
from hstu_preserve.primitives.paths import find_colliding, require_inside_bundle
from hstu_preserve.primitives.text import NotUtf8Error, decode_utf8

AUTHORED_FOLDER = "bundles"
MAX_FILES_READ = 64
MAX_FILE_BYTES = 1024 * 1024
MAX_CHAIN_BYTES = 4 * 1024 * 1024
MAX_INCLUDE_DEPTH = 16
MAX_VALUE_DEPTH = 32
# Gin's parser evaluates the growing text again for each string literal that is appended.
MAX_ADJACENT_STRINGS = 64
BRACKETS_OPEN, BRACKETS_CLOSE = frozenset("([{"), frozenset(")]}")
MACRO = ("macro", "value")
REQUIRED = MacroUse(name="gin.REQUIRED")


@dataclass(frozen=True, kw_only=True)
class GinChain:
    """A gin file and everything it includes."""

    root: Path
    """The folder that no include leaves."""
    entry: str
    """The file that was named, relative to `root`."""
    files: tuple[tuple[str, bytes], ...]
    """Each file's path relative to `root` and its content, in the order of first reading: what a bundle packs."""
    bindings: Mapping[BindingKey, Binding]
    """The last value of each name, macros replaced, in the order in which the names first appear."""
    unused_macros: Mapping[str, Location]
    """Macros that no binding uses: often a name whose selector was forgotten."""


@dataclass(frozen=True, kw_only=True)
class BindingStatement:
    """`scope/selector.argument = value`."""

    key: BindingKey
    binding: Binding


@dataclass(frozen=True, kw_only=True)
class IncludeStatement:
    """`include 'file'`."""

    file: str
    location: Location


def read_chain(path: Path, *, root: Path | None) -> GinChain:
    """Read a gin file and its includes, as gin would, without running anything.

    Args:
        path: The entry file.
        root: The folder that includes are looked up in and never leave; None for the folder named `bundles` that holds
            the file, or else the file's own folder.

    Raises:
        MissingPathError: The file, or one it includes, does not exist.
        RecipeError: The chain cannot be read; the message names file and line.
        UnavailableError: A file exists and cannot be read.
    """
    entry, root = locate(path, root=root)
    reading = ChainReading(root)
    reading.read(entry, including=(), at=None)
    return reading.finish(entry)


def locate(path: Path, *, root: Path | None) -> tuple[str, Path]:
    """Return a chain's entry file relative to its root, and the root; see `read_chain`.

    Raises:
        MissingPathError: The file does not exist.
        RecipeError: It is a directory, or lies outside of the root.
    """
    entry_path = Path(os.path.abspath(path))  # noqa: PTH100  # resolve() would follow symlinks: names stay as written
    root = Path(os.path.abspath(root)) if root is not None else find_default_root(entry_path)  # noqa: PTH100
    if not entry_path.exists():
        raise MissingPathError(f"{path}: no such file")
    if entry_path.is_dir():
        raise RecipeError(f"{path}: a directory, not a gin file")
    if not entry_path.is_relative_to(root):
        entry_path, root = entry_path.resolve(), root.resolve()
    if not entry_path.is_relative_to(root):
        raise RecipeError(f"{path}: outside of the gin root {root}")
    return entry_path.relative_to(root).as_posix(), root


def find_default_root(path: Path) -> Path:
    """Return the nearest folder named `bundles` above `path`, or its own folder."""
    authored = (parent for parent in path.parents if parent.name == AUTHORED_FOLDER)
    return next(authored, path.parent)


class ChainReading:
    """One chain while it is read: files so far, and each name's last value so far."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, bytes] = {}
        self.statements: dict[str, tuple[BindingStatement | IncludeStatement, ...]] = {}
        self.num_files_read = 0
        self.bindings: dict[BindingKey, Binding] = {}
        self.macros: dict[str, Binding] = {}

    def read(self, file: str, *, including: tuple[str, ...], at: Location | None) -> None:
        """Take in `file` and, in place, what it includes.

        Args:
            file: Relative to the root.
            including: The files that lead here, the entry first.
            at: The include statement, None for the entry.
        """
        place = at or file
        self.require_portable(file, place=place)
        path = self.require_inside_root(file, place=place)
        known = {(self.root / name).resolve(): name for name in including}
        if path in known:
            cycle = " → ".join((*including[including.index(known[path]) :], file))
            raise RecipeError(f"{place}: include cycle: {cycle}")
        if len(including) > MAX_INCLUDE_DEPTH:
            raise RecipeError(f"{place}: includes are nested deeper than {MAX_INCLUDE_DEPTH}")
        self.num_files_read += 1
        if self.num_files_read > MAX_FILES_READ:
            raise RecipeError(f"{place}: the chain reads more than {MAX_FILES_READ} files")
        for statement in self.read_statements(file, path=path, place=place):
            if isinstance(statement, IncludeStatement):
                included = self.find_included(statement, folder=posixpath.dirname(file))
                self.read(included, including=(*including, file), at=statement.location)
            else:
                self.bind(statement)

    def read_statements(
        self, file: str, *, path: Path, place: Location | str
    ) -> tuple[BindingStatement | IncludeStatement, ...]:
        """Return the statements of `file`, which is read and parsed once however often it is included."""
        if file not in self.statements:
            content = read_regular_file(path, place=place)
            if sum(map(len, self.files.values())) + len(content) > MAX_CHAIN_BYTES:
                raise RecipeError(f"{place}: the chain is larger than {MAX_CHAIN_BYTES} bytes")
            self.files[file] = content
            self.statements[file] = parse(content, file=file, path=path)
        return self.statements[file]

    def find_included(self, statement: IncludeStatement, *, folder: str) -> str:
        """Return the included file, relative to the root: looked for beside the including file, then in the root."""
        at, name = statement.location, statement.file
        if name.startswith("/") or PureWindowsPath(name).drive:
            raise RecipeError(f"{at}: include {shorten(name)!r} is absolute; name it relative to this file")
        candidates = [posixpath.normpath(posixpath.join(place, name)) for place in (folder, "")]
        if is_above(candidates[0]):
            raise RecipeError(f"{at}: include {shorten(name)!r} leads outside of the gin root {self.root}")
        for file in candidates:
            if is_above(file):
                continue
            self.require_portable(file, place=at)
            if os.path.lexists(self.root / file):
                return file
        raise MissingPathError(f"{at}: include {shorten(name)!r}: no such file (gin root {self.root})")

    def require_portable(self, file: str, *, place: Location | str) -> None:
        """Raise RecipeError for a file name that could not be packed with the recipe."""
        try:
            require_inside_bundle(file)
        except ValueError as error:
            raise RecipeError(f"{place}: {shorten(str(error))}") from None

    def require_inside_root(self, file: str, *, place: Location | str) -> Path:
        """Return the file's real path, symlinks followed, if they do not lead out of the root."""
        try:
            root, path = self.root.resolve(), (self.root / file).resolve()
        except (OSError, RuntimeError):  # a loop of symlinks: OSError from Python 3.13 on
            raise RecipeError(f"{place}: {file}: symbolic link that leads nowhere") from None
        if not path.is_relative_to(root):
            raise RecipeError(f"{place}: {file}: symbolic link that leads outside of the gin root {self.root}")
        return path

    def bind(self, statement: BindingStatement) -> None:
        """Note the last value of a name or macro."""
        key = statement.key
        if (key.selector, key.argument) == MACRO:
            self.macros[key.scope] = statement.binding
        else:
            self.bindings[key] = statement.binding

    def finish(self, entry: str) -> GinChain:
        """Return the chain, its macros replaced by their last values."""
        if collisions := find_colliding(self.files):
            raise RecipeError(f"{' and '.join(collisions[0])} name one file on some systems")
        expansion = MacroExpansion(self.macros)
        for key, binding in self.bindings.items():
            require_bound(key, binding)
        bindings = {key: expansion.expand(binding) for key, binding in self.bindings.items()}
        unused = {name: macro.location for name, macro in self.macros.items() if name not in expansion.used}
        for name in unused:
            expansion.expand(self.macros[name])
        return GinChain(
            root=self.root, entry=entry, files=tuple(self.files.items()), bindings=bindings, unused_macros=unused
        )


def require_bound(key: BindingKey, binding: Binding) -> None:
    """Raise RecipeError for a name whose last value is gin's mark that somebody else must bind it."""
    if binding.value == REQUIRED:
        raise RecipeError(
            f"{binding.location}: {key} is marked REQUIRED and bound nowhere after that; bind it to a value"
        )


def is_above(file: str) -> bool:
    """Whether a normalised relative path starts by leaving its folder."""
    return PurePosixPath(file).parts[:1] == ("..",)


def read_regular_file(path: Path, *, place: Location | str) -> bytes:
    """Return the content of a file that is a file and not too large."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise MissingPathError(f"{place}: {path}: no such file") from None
    except OSError as error:
        raise UnavailableError(f"{place}: {path}: cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(status.st_mode):
        raise RecipeError(f"{place}: {path}: not a regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise RecipeError(f"{place}: {path}: larger than {MAX_FILE_BYTES} bytes")
    return read_bytes(path)


def parse(content: bytes, *, file: str, path: Path) -> tuple[BindingStatement | IncludeStatement, ...]:
    """Return the statements of one gin file.

    Args:
        content: The file's bytes.
        file: The file for messages, relative to the chain's root.
        path: The whole path, so that a file that is no text can be found and repaired.

    Raises:
        RecipeError: Not UTF-8, not gin, an import, or built to exhaust the parser.
    """
    try:
        text = decode_utf8(content)
    except NotUtf8Error as error:
        raise RecipeError(f"{Location(file=file, line=error.line)}: {error} ({path})") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python about the literals: gin takes them
        refuse_parser_bombs(text, file=file)
        return tuple(parse_statements(text, file=file))


def refuse_parser_bombs(text: str, *, file: str) -> None:
    """Raise RecipeError if brackets nest too deep or strings are chained too long, before gin's parser recurses."""
    depth = num_strings = 0
    line = 1
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            line = token.start[0]
            if token.type == tokenize.OP:
                depth += (token.string in BRACKETS_OPEN) - (token.string in BRACKETS_CLOSE)
            if token.type == tokenize.STRING:
                num_strings += 1
            elif token.type not in {tokenize.NL, tokenize.COMMENT}:
                num_strings = 0
            if depth > MAX_VALUE_DEPTH:
                raise RecipeError(f"{Location(file=file, line=line)}: nested deeper than {MAX_VALUE_DEPTH}")
            if num_strings > MAX_ADJACENT_STRINGS:
                raise RecipeError(
                    f"{Location(file=file, line=line)}: more than {MAX_ADJACENT_STRINGS} strings in a row"
                )
    except PARSER_ERRORS as error:
        raise describe_parser_error(error, file=file, line=line) from None


def parse_statements(text: str, *, file: str) -> list[BindingStatement | IncludeStatement]:
    """Return what gin's parser makes of `text`."""
    statements: list[BindingStatement | IncludeStatement] = []
    line = 1
    try:
        parser = config_parser.ConfigParser(text, ValueObjects())
        while (parsed := parser.parse_statement()) is not None:
            line = parsed.location.line_num
            location = Location(file=file, line=line)
            match parsed:
                case config_parser.BindingStatement():
                    statements.append(to_binding_statement(parsed, location=location))
                case config_parser.IncludeStatement(filename=name):
                    statements.append(IncludeStatement(file=name, location=location))
                case config_parser.ImportStatement(module=module):
                    raise RecipeError(f"{location}: import of {shorten(module)} refused: a recipe runs no code")
                case _:  # a block's head; its bindings follow, each with its own place
                    pass
    except PARSER_ERRORS as error:
        raise describe_parser_error(error, file=file, line=line) from None
    return statements


def to_binding_statement(parsed: config_parser.BindingStatement, *, location: Location) -> BindingStatement:
    """Return gin's statement in our terms; `NAME = value` is gin's short form of `NAME/macro.value = value`."""
    binding = Binding(value=parsed.value, location=location)
    selector = parsed.selector.rsplit(".", maxsplit=1)[-1]
    if parsed.arg_name:
        return BindingStatement(key=BindingKey(parsed.scope, selector, parsed.arg_name), binding=binding)
    name = f"{parsed.scope}/{selector}" if parsed.scope else selector
    return BindingStatement(key=BindingKey(name, *MACRO), binding=binding)


class ValueObjects(config_parser.ParserDelegate):  # type: ignore[misc]  # gin has no types
    """Stands for what gin would look up: a reference stays its name."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Reference | MacroUse:
        """Return `@name` as a value; `@NAME/macro()` is gin's long form of `%NAME`."""
        scope, _, selector = scoped_configurable_name.rpartition("/")
        if evaluate and scope and selector in {"macro", "gin.macro"}:
            return MacroUse(name=scope)
        return Reference(name=scoped_configurable_name, is_call=evaluate)

    def macro(self, macro_name: str) -> MacroUse:
        """Return `%name` as a value."""
        return MacroUse(name=macro_name)
