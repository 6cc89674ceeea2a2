"""Whether a bundle holds data that may not travel."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from hstu_preserve.bundle.layout import DATA_FOLDER
from hstu_preserve.bundle.verification import read_member
from hstu_preserve.data.known_datasets import KNOWN_DATASETS
from hstu_preserve.data.store import RECORD_NAME
from hstu_preserve.errors import ContentError
from hstu_preserve.records.contents import FileRecord, Role
from hstu_preserve.records.manifest import AnyManifest, DataReference, MigratedManifest
from hstu_preserve.records.store import StoreRecord

MAX_RECORD_BYTES = 2**20
DATA_NAMES = frozenset(
    {"ratings.csv", "ratings.dat", "movies.csv", "movies.dat", "users.dat", "tags.csv", "tags.dat", "links.csv"}
    | {"u.data", "u.item", "u.user", "genome-scores.csv", "genome-tags.csv", "sasrec_format.csv"}
    | {f"sasrec_format_by_user_{part}.csv" for part in ("train", "test")}
)
"""Files of MovieLens, and what upstream's preprocessing makes of them; their rows are the data itself."""
DATASET_ARCHIVES = frozenset(f"{name}.zip" for name in KNOWN_DATASETS)


def require_redistributable(path: Path, record: AnyManifest) -> None:
    """Raise ContentError where a bundle, verified before, holds data that may not be redistributed.

    What the author says of the data is held against its name, against the store's own record and against the names of
    all files: a wrong word of an author does not make MovieLens travel.
    """
    files = record.contents.files
    if named := sorted(file.path for file in files if is_named_as_data(file.path)):
        raise ContentError(f"{path}: holds {list_some(named)}, which may not be redistributed; pack it without them")
    carried = [file for file in files if file.role is Role.DATA]
    if isinstance(record, MigratedManifest):
        if carried:
            held = list_some(file.path for file in carried)
            raise ContentError(f"{path}: holds {held}, and nobody says that it may be redistributed")
        return
    if carried or record.run.data.included:
        require_own_word(path, record.run.data, carried)


def is_named_as_data(path: str) -> bool:
    """Whether a file, wherever it lies, is named as MovieLens or upstream name the ratings."""
    name = PurePosixPath(path).name.casefold().removesuffix(".gz")
    return name in DATA_NAMES | DATASET_ARCHIVES


def require_own_word(path: Path, data: DataReference, carried: list[FileRecord]) -> None:
    """Raise ContentError unless manifest, name and store all say that the data in the bundle may be redistributed."""
    refusal = f"{path}: holds data of {data.name}, which may not be redistributed; train it without bundle.include_data"
    if not data.redistributable or data.name in KNOWN_DATASETS:
        raise ContentError(refusal)
    if not data.included:
        raise ContentError(
            f"{path}: holds {list_some(file.path for file in carried)}, though it says it carries no data"
        )
    member = f"{DATA_FOLDER}/{RECORD_NAME}"
    if member not in {file.path for file in carried}:
        raise ContentError(f"{path}: says that it carries its data, and holds no {member}")
    content = read_member(path, member=member, max_bytes=MAX_RECORD_BYTES)
    store = StoreRecord.from_json(content, source=f"{path}: {member}")
    if not store.provenance.redistributable or store.name in KNOWN_DATASETS:
        raise ContentError(refusal)
    if store.fingerprint != data.fingerprint:
        raise ContentError(f"{path}: carries other data than its manifest names (fingerprint {store.fingerprint})")


def list_some(paths: Iterable[str]) -> str:
    """Return the first paths, and how many more there are."""
    every = list(paths)
    more = f" and {len(every) - 3} more" if len(every) > 3 else ""
    return ", ".join(every[:3]) + more
