"""Change single settings of a gin chain without touching its files: one more gin file includes it and binds them."""

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from os.path import lexists
from pathlib import Path, PurePosixPath

from hstu_preserve.errors import RecipeError
from hstu_preserve.gin_recipes.bindings import CLAIM_SELECTOR, RECIPE_BINDINGS_BY_NAME
from hstu_preserve.gin_recipes.reader import (
    BindingStatement,
    ChainReading,
    GinChain,
    IncludeStatement,
    locate,
    parse,
)
from hstu_preserve.gin_recipes.resolve import Resolution
from hstu_preserve.gin_recipes.syntax import BindingKey, Location, shorten
from hstu_preserve.primitives.paths import GIN_SUFFIX

SEED = BindingKey("", "train_fn", "random_seed")
MAX_BINDINGS = 200


@dataclass(frozen=True, kw_only=True)
class GivenLocation(Location):
    """A binding that no file of the author's holds; a message quotes it."""

    option: str
    """Of the command line, that it comes from."""
    text: str

    def __str__(self) -> str:
        return f"{self.option} {shorten(self.text)!r}"


def parse_binding(text: str, *, option: str = "--set") -> BindingStatement:
    """Return the one binding that a text is.

    Raises:
        RecipeError: It is something else; it is quoted.
    """
    place = GivenLocation(file=option, line=1, option=option, text=text)
    try:
        statements = parse(text.encode(), file=option, path=Path(option))
    except UnicodeEncodeError:
        raise RecipeError(f"{place}: not UTF-8") from None
    except RecipeError as error:
        raise RecipeError(f"{place}: {str(error).partition(': ')[2]}") from None
    statement = statements[0] if len(statements) == 1 and len(text.splitlines()) == 1 else None
    if not isinstance(statement, BindingStatement):
        raise RecipeError(f"{place}: not one binding; write {option} 'train_fn.num_epochs = 1'")
    return BindingStatement(key=statement.key, binding=replace(statement.binding, location=place))


def read_changed_chain(path: Path, *, root: Path | None, settings: Sequence[str], seed: int | None = None) -> GinChain:
    """Read a gin chain with more bindings after its own, as a chain of one more file that includes the entry.

    Args:
        path: The entry file.
        root: The folder that includes may not leave; None as for `read_chain`.
        settings: Of the form `NAME = VALUE`.
        seed: That it is trained with; None is the chain's own. A claim that lists the seeds behind its number goes on
            listing them, the run's own first, if this seed is among them; else the run speaks for itself alone.

    Raises:
        MissingPathError: A file of the chain does not exist.
        RecipeError: The chain cannot be read, or a setting is not one binding; it is quoted.
        UnavailableError: A file exists and cannot be read.
    """
    if len(settings) > MAX_BINDINGS:
        raise RecipeError(f"--set: {len(settings)} bindings, more than {MAX_BINDINGS}; write a gin file")
    statements = [parse_binding(text) for text in settings]
    entry, root = locate(path, root=root)
    changed = read_overlay(entry, root=root, statements=statements, ending="set")
    if seed is None or seed == find_seed(changed):
        return changed
    lines = list(list_seed_lines(changed, seed=seed))
    statements += [parse_binding(line, option="--seeds") for line in lines]
    return read_overlay(
        entry, root=root, statements=statements, ending=f"set-seed-{seed}" if settings else f"seed-{seed}"
    )


def require_read(resolution: Resolution) -> None:
    """Raise RecipeError for a setting that the recipe does not read: it would be trained unchanged under another name.

    A line of a file that nothing reads is warned of only: upstream's chains are full of them.
    """
    for notice in (*resolution.warnings, *resolution.inert):
        if isinstance(notice.location, GivenLocation):
            raise RecipeError(f"{notice}, so that the recipe stays as it is without it; leave it out")


def find_seed(chain: GinChain) -> object:
    """Return the seed that a chain binds, or the default."""
    bound = chain.bindings.get(SEED)
    return RECIPE_BINDINGS_BY_NAME[SEED.name].default if bound is None else bound.value


def list_seed_lines(chain: GinChain, *, seed: int) -> Iterator[str]:
    """Yield the bindings by which a chain trains with another seed."""
    yield f"{SEED} = {seed}"
    for key, binding in chain.bindings.items():
        if (key.selector, key.argument) == (CLAIM_SELECTOR, "seeds"):
            listed = binding.value if isinstance(binding.value, list | tuple) else ()
            others = [one for one in listed if one != seed] if seed in listed else []
            yield f"{key} = {[seed, *others]!r}"


def read_overlay(entry: str, *, root: Path, statements: Sequence[BindingStatement], ending: str) -> GinChain:
    """Return the chain of a file that includes the entry and makes the given bindings; without any, the entry's own.

    The new file is part of the chain, and so of a run that is trained with it; it is on no disk before that.

    Args:
        entry: The file that is included, relative to the root.
        root: The folder of the chain.
        statements: From `parse_binding`.
        ending: Of the new file's name.
    """
    reading = ChainReading(root)
    if not statements:
        reading.read(entry, including=(), at=None)
        return reading.finish(entry)
    name = choose_name(entry, root=root, ending=ending)
    content = write_overlay(entry, statements)
    reading.files[name] = content
    reading.num_files_read = 1
    at = parse(content, file=name, path=root / name)[0]
    assert isinstance(at, IncludeStatement)
    reading.read(entry, including=(name,), at=at.location)
    for statement in statements:
        reading.bind(statement)
    return reading.finish(name)


def write_overlay(entry: str, statements: Sequence[BindingStatement]) -> bytes:
    """Return the content of the new file, which reads as exactly these bindings after the entry's."""
    texts = [one.binding.location.text for one in statements if isinstance(one.binding.location, GivenLocation)]
    lines = (f"include {posixpath.basename(entry)!r}", "", *(text.strip() for text in texts))
    return "".join(f"{line}\n" for line in lines).encode()


def choose_name(entry: str, *, root: Path, ending: str) -> str:
    """Return the name of a file beside the entry that is not there."""
    path = PurePosixPath(entry)
    stem = path.name.removesuffix(GIN_SUFFIX)
    names = (f"{stem}-{ending}{'' if number == 1 else f'-{number}'}{GIN_SUFFIX}" for number in count(1))
    return next(str(path.with_name(name)) for name in names if not lexists(root / path.with_name(name)))
