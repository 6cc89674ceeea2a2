"""Refuse bundles that hold data which may not be redistributed."""

import re
from pathlib import Path, PurePosixPath

from hstu_preserve.bundle.layout import DATA_FOLDER
from hstu_preserve.bundle.verification import read_member
from hstu_preserve.data.known_datasets import PUBLISHED_NAMES
from hstu_preserve.data.store import ARRAY_DTYPES, RECORD_NAME
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.contents import FileRecord, Role
from hstu_preserve.records.manifest import AnyManifest, DataReference
from hstu_preserve.records.store import StoreRecord

MAX_RECORD_BYTES = 2**20
MAX_SHOWN = 3
DATA_NAMES = frozenset(
    {"users.dat", "tags.csv", "tags.dat", "links.csv", "u.data", "u.item", "u.user"}
    | {f"sasrec_format_by_user_{part}.csv" for part in ("train", "test")}
)
"""Files of MovieLens, and what upstream's preprocessing makes of them; their rows are the data itself."""
DATA_WORDS = ("ratings", "movies", "genome-scores", "genome-tags", "sasrec_format")
"""Words that stay in the name of such a file if somebody renames or converts it: `ml-1m-ratings.parquet`."""
TABLE = r"\.(csv|tsv|dat|txt|json|jsonl|npy|npz|parquet|feather|arrow|h5|hdf5|pkl|pickle|pt|db|sqlite|inter)"
ARCHIVE = r"\.(zip|tar|tgz|tbz2?|txz|7z|rar)"
COMPRESSION = re.compile(r"\.(gz|bz2|xz|zst|lzma|lz4|z|zip|7z)\Z")
NAMED_TABLE = re.compile(rf"(.*[-_. ])?({'|'.join(map(re.escape, DATA_WORDS))})([-_. ].*)?({TABLE}|{ARCHIVE})")
NAMED_ARCHIVE = re.compile(rf"(.*[-_. ])?({'|'.join(map(re.escape, PUBLISHED_NAMES))}){ARCHIVE}")
STORE_NAMES = frozenset({RECORD_NAME, *(f"{name}.npy" for name in ARRAY_DTYPES)})


def require_redistributable(path: Path, record: AnyManifest) -> None:
    """Raise ContentError if a bundle, verified before, holds data that may not be redistributed.

    The author's word on the data is compared with its name, with the store's own record and with the names of all
    files, so that a wrong word does not put MovieLens on the Hub.
    """
    files = record.contents.files
    if named := sorted(file.path for file in files if is_named_as_data(file.path)):
        raise ContentError(
            f"{path}: holds {list_some(named, at_most=MAX_SHOWN)}, which may not be redistributed; pack it without them"
        )
    carried = [file for file in files if file.role is Role.DATA]
    if record.data is not None:
        if carried or record.data.included:
            require_own_word(path, record.data, carried)
    elif carried:
        held = list_some((file.path for file in carried), at_most=MAX_SHOWN)
        raise ContentError(f"{path}: holds {held}, and nobody says that it may be redistributed")


def is_named_as_data(path: str) -> bool:
    """Whether a file is named as MovieLens, upstream or a store name data, wherever it lies.

    A store in the data folder is named so, too; what it is, its own record says.
    """
    place = PurePosixPath(path.casefold())
    names = {place.name, COMPRESSION.sub("", place.name)}
    if names & STORE_NAMES and str(place.parent) != DATA_FOLDER:
        return True
    return any(name in DATA_NAMES or NAMED_TABLE.fullmatch(name) or NAMED_ARCHIVE.fullmatch(name) for name in names)


def require_own_word(path: Path, data: DataReference, carried: list[FileRecord]) -> None:
    """Raise ContentError unless manifest, name and store all say that the data in the bundle may be redistributed."""
    refusal = f"{path}: holds data of {data.name}, which may not be redistributed; train it without bundle.include_data"
    if not data.redistributable or data.name in PUBLISHED_NAMES:
        raise ContentError(refusal)
    if not data.included:
        held = list_some((file.path for file in carried), at_most=MAX_SHOWN)
        raise ContentError(f"{path}: holds {held}, though it says it carries no data")
    member = f"{DATA_FOLDER}/{RECORD_NAME}"
    if member not in {file.path for file in carried}:
        raise ContentError(f"{path}: says that it carries its data, and holds no {member}")
    content = read_member(path, member=member, max_bytes=MAX_RECORD_BYTES)
    store = StoreRecord.from_json(content, source=f"{path}: {member}")
    if not store.provenance.redistributable or store.name in PUBLISHED_NAMES:
        raise ContentError(refusal)
    if store.fingerprint != data.fingerprint:
        raise ContentError(f"{path}: carries other data than its manifest names (fingerprint {store.fingerprint})")
