"""List the values that a legacy archive states, by subject, each with the place it was read at."""

from collections.abc import Callable, Iterator

from hstu_preserve.errors import ContentError
from hstu_preserve.legacy.contents import LegacyContents
from hstu_preserve.legacy.metric_spellings import names_metric, spell, split_test_tag
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.numbers import LARGEST_FLOAT
from hstu_preserve.records.legacy.migration import PROVENANCE_OF, Basis, Provenance, Scalar, Statement, Subject
from hstu_preserve.records.legacy.shown import ShownChain
from hstu_preserve.records.recipe import Recipe

MAX_STATEMENTS = 10_000

SUBJECT_OF_KEY = {
    **dict.fromkeys(("experiment", "experiment_id", "experiment_name"), Subject.EXPERIMENT),
    "title": Subject.TITLE,
    **dict.fromkeys(("dataset", "dataset_name"), Subject.DATASET),
    **dict.fromkeys(("data_fingerprint", "dataset_fingerprint"), Subject.DATA_FINGERPRINT),
    **dict.fromkeys(("model", "model_name", "main_module"), Subject.MODEL),
    "recipe": Subject.RECIPE,
    **dict.fromkeys(("seed", "seeds", "random_seed"), Subject.SEED),
    "epoch": Subject.EPOCH,
    **dict.fromkeys(("checkpoint", "checkpoint_path"), Subject.CHECKPOINT),
    **dict.fromkeys(("environment", "python", "python_version", "torch", "torch_version"), Subject.ENVIRONMENT),
    **dict.fromkeys(("pytorch", "pytorch_version", "cuda", "cuda_version", "gpu"), Subject.ENVIRONMENT),
    **dict.fromkeys(("commit", "commit_hash", "git_commit", "git_sha", "git_hash"), Subject.CODE),
    **dict.fromkeys(("licence", "license"), Subject.LICENCE),
    "citation": Subject.CITATION,
}
"""Keys of a JSON manifest of unknown schema whose meaning is plain, in lower case with `_` between words."""

SETTING_OF_BINDING: dict[str, tuple[Subject, Callable[[Recipe], Scalar | None]]] = {
    "train_fn.dataset_name": (Subject.DATASET, lambda recipe: recipe.dataset.name),
    "data.fingerprint": (Subject.DATA_FINGERPRINT, lambda recipe: recipe.dataset.fingerprint),
    "train_fn.main_module": (Subject.MODEL, lambda recipe: recipe.model.kind),
    "train_fn.random_seed": (Subject.SEED, lambda recipe: recipe.training.random_seed),
}
"""Bindings that say more than a setting of the recipe; defaults are no statements of the archive."""


def list_statements(contents: LegacyContents, *, name: str) -> tuple[Statement, ...]:
    """Return every statement, by subject, and for each subject without one that it is unknown.

    Args:
        contents: The archive's contents, as they were read.
        name: The archive's file name without its suffix.

    Raises:
        ContentError: It says more than a manifest of ours should hold.
    """
    found: dict[Subject, list[Statement]] = {subject: [] for subject in Subject}
    for count, statement in enumerate(find_statements(contents, name=name), start=1):
        if count > MAX_STATEMENTS:
            raise ContentError(f"{name}: cannot become a bundle, it states more than {MAX_STATEMENTS} values")
        found[statement.subject].append(statement)
    return tuple(statement for subject, known in found.items() for statement in (known or [describe_unknown(subject)]))


def find_statements(contents: LegacyContents, *, name: str) -> Iterator[Statement]:
    """Yield what the archive says and what follows from it."""
    yield make_statement(Subject.EXPERIMENT, name, basis=Basis.ARCHIVE_NAME)
    if contents.manifest_path is not None:
        yield from find_manifest_values(contents.manifest, pointer="", key="", file=contents.manifest_path)
    for chain in contents.chains:
        yield from find_bindings(chain)
    for curve in contents.curves:
        if curve.last_value is not None and split_test_tag(curve.tag) is not None:
            place = f"step {curve.last_step}"
            yield make_statement(
                Subject.METRIC, curve.last_value, basis=Basis.LAST_POINT, name=curve.tag, file=curve.file, place=place
            )
    for checkpoint in contents.checkpoints:
        if checkpoint.epoch is not None:
            yield make_statement(Subject.EPOCH, checkpoint.epoch, basis=Basis.CHECKPOINT_NAME, file=checkpoint.path)
    if len(contents.checkpoints) == 1:
        path = contents.checkpoints[0].path
        yield make_statement(Subject.CHECKPOINT, path, basis=Basis.ONLY_CHECKPOINT, file=path)


def make_statement(
    subject: Subject,
    value: Scalar,
    *,
    basis: Basis,
    name: str | None = None,
    file: str | None = None,
    place: str | None = None,
) -> Statement:
    """Return a statement whose provenance follows from its basis."""
    return Statement(
        subject=subject,
        name=name,
        value=keep(value),
        provenance=PROVENANCE_OF[basis],
        basis=basis,
        file=file,
        place=place,
    )


def describe_unknown(subject: Subject) -> Statement:
    """Return the statement that nothing is known of a subject, and why."""
    basis = Basis.NOT_FIXED_BEFORE_THE_RUN if subject is Subject.POLICY else Basis.NOT_SAID
    return Statement(
        subject=subject, name=None, value=None, provenance=Provenance.UNKNOWN, basis=basis, file=None, place=None
    )


def keep(value: Scalar) -> Scalar:
    """Return the value, as a text where canonical JSON would write a number that readers do not keep."""
    return repr(value) if isinstance(value, float) and abs(value) >= LARGEST_FLOAT else value


def find_manifest_values(value: Json, *, pointer: str, key: str, file: str) -> Iterator[Statement]:
    """Yield the statement of each plain value whose key, the nearest above it, is plain."""
    match value:
        case dict():
            for name, item in value.items():
                below = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
                yield from find_manifest_values(item, pointer=below, key=name, file=file)
        case list():
            for position, item in enumerate(value):
                yield from find_manifest_values(item, pointer=f"{pointer}/{position}", key=key, file=file)
        case None:
            pass
        case _:
            subject = choose_subject(key, value)
            if subject is not None:
                yield make_statement(subject, value, basis=Basis.MANIFEST_VALUE, name=key, file=file, place=pointer)


def choose_subject(key: str, value: Scalar) -> Subject | None:
    """Return what a key and its value are about, None if that is not plain."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if names_metric(key):
        return Subject.METRIC if is_number else None
    return SUBJECT_OF_KEY.get(spell(key))


def find_bindings(chain: ShownChain) -> Iterator[Statement]:
    """Yield the statement of each binding that says more than a setting, as the known part resolves it."""
    if chain.known_part is None:
        return
    for binding in chain.known:
        if binding.name in SETTING_OF_BINDING:
            subject, read = SETTING_OF_BINDING[binding.name]
            file, _, line = binding.place.rpartition(":")
            value = read(chain.known_part)
            if value is not None:
                yield make_statement(
                    subject, value, basis=Basis.GIN_BINDING, name=binding.name, file=file, place=f"line {line}"
                )


def follow_pointer(value: Json, pointer: str) -> Json:
    """Return what a JSON pointer (RFC 6901) points at, None if there is nothing."""
    for word in pointer.split("/")[1:]:
        name = word.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def is_same(one: Json, other: Json) -> bool:
    """Whether two values are one in canonical JSON, where 1 and 1.0 are the same and 1 and true are not."""
    return canonical_dumps(one) == canonical_dumps(other)
