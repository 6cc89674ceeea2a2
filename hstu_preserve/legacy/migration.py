"""Place the files of a legacy archive in a bundle, and describe them in its manifest."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from hstu_preserve.bundle.layout import (
    CHECKPOINT_FOLDER,
    CONFIG_FOLDER,
    EVENTS_FOLDER,
    LEGACY_FOLDER,
    MAX_MANIFEST_BYTES,
    ROLE_OF_FOLDER,
)
from hstu_preserve.bundle.tree import read_chunks
from hstu_preserve.bundle.verification import read_stored_manifest
from hstu_preserve.errors import ContentError, MissingPathError, UsageError
from hstu_preserve.legacy.assessment import MD5_ONLY, NOT_LISTED, SELF_VOUCHED
from hstu_preserve.legacy.contents import read_contents
from hstu_preserve.legacy.recognition import is_legacy
from hstu_preserve.legacy.statements import list_statements
from hstu_preserve.legacy.walker import LegacyMember
from hstu_preserve.primitives.archive_names import strip_suffix
from hstu_preserve.primitives.files import refuse_unwritable
from hstu_preserve.primitives.paths import is_companion, require_inside_bundle
from hstu_preserve.primitives.temporaries import list_leftovers, remove_abandoned
from hstu_preserve.primitives.temporary_folders import temporary_folder
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.contents import Contents, FileRecord
from hstu_preserve.records.legacy.migration import LegacySource, OriginalFile
from hstu_preserve.records.legacy.outcomes import LegacyFile
from hstu_preserve.records.legacy.verification import LegacyVerification
from hstu_preserve.records.manifest import MigratedManifest
from hstu_preserve.records.record import SCHEMA_VERSION

KEPT_FOLDERS = (CONFIG_FOLDER, CHECKPOINT_FOLDER, EVENTS_FOLDER)
"""The published archive's own folders, which a bundle has too; all else goes below `legacy/`."""


MISSING_GUARANTEES = (
    "no recipe that was resolved before the run: known gin names alone are not the recipe where others are unknown",
    "no data fingerprint: which data, in which order, is not known",
    "no policy fixed before the run: a reported value is not a claim",
    "no record of environment and code by the run itself",
    "times, owners, modes and empty folders of the archive are not kept, nor what macOS notes of a folder",
)


ARCHIVE_DOUBTS = frozenset({MD5_ONLY, NOT_LISTED, SELF_VOUCHED})


def require_legacy(path: Path) -> None:
    """Raise if there is nothing to migrate.

    Raises:
        UsageError: A directory, or a native bundle.
        VerificationError: Neither a native bundle nor an archive that can be read.
    """
    if path.is_dir():
        raise UsageError(f"{path}: a directory; 'migrate' takes a legacy archive (.tar.gz)")
    if not is_legacy(path):
        identity = read_stored_manifest(path).identity
        raise UsageError(f"{path}: a native bundle already (identity sha256:{identity}); there is nothing to migrate")


def place_files(files: Iterable[LegacyFile], *, source: Path) -> dict[str, LegacyFile]:
    """Return the archive's files by their places in the bundle, in its order.

    The folders that a bundle has stay; everything else goes below `legacy/`. One folder that all files lie in, as
    `tar czf X.tar.gz X` writes it, is left out.

    Raises:
        ContentError: There is no file, or a path becomes too long.
    """
    files = tuple(files)
    top = find_top_folder(file.path for file in files if not is_companion(file.path))
    placed = {choose_place(file.path, top=top): file for file in files}
    if not placed:
        raise ContentError(f"{source}: holds no file, so there is nothing to migrate")
    for path in placed:
        try:
            require_inside_bundle(path)
        except ValueError as error:
            raise ContentError(f"{source}: cannot become a bundle ({printable(str(error))})") from None
    return dict(sorted(placed.items()))


def find_top_folder(paths: Iterable[str]) -> str:
    """Return the one folder that all paths begin with, `/` included, if it is none of a bundle; else nothing."""
    tops = {path.partition("/")[0] + path.partition("/")[1] for path in paths}
    (top, *others) = tops or {""}
    return top if not others and top.endswith("/") and top.removesuffix("/") not in ROLE_OF_FOLDER else ""


def choose_place(path: str, *, top: str) -> str:
    """Return where in the bundle a file goes, without the folder `top`; no two files go to one place."""
    if is_companion(path):
        return f"{LEGACY_FOLDER}/{path}"  # with `top`, beside which others may lie, and among nothing that is read
    path = path.removeprefix(top)
    folder, separator, _ = path.partition("/")
    # Below a folder of their own, other files cannot take the place of a bundle's own, such as run.json.
    return path if separator and folder in KEPT_FOLDERS else f"{LEGACY_FOLDER}/{path}"


@contextmanager
def work_directory(destination: Path) -> Iterator[Path]:
    """Yield a new directory beside the destination, on its file system, that does not outlive the block.

    Raises:
        MissingPathError: There is no directory to put it in.
        UnavailableError: It cannot be made.
    """
    if not destination.parent.is_dir():
        raise MissingPathError(f"{destination.parent}: no such directory")
    remove_abandoned(list_leftovers(destination))
    with ExitStack() as stack:
        with refuse_unwritable(destination):
            temporary = stack.enter_context(temporary_folder(destination))
        yield temporary


def describe_archive(
    path: Path, files: dict[str, LegacyFile], *, tree: Path, size: int, verification: LegacyVerification
) -> MigratedManifest:
    """Return the manifest of the bundle: contents, origin, and what the archive says.

    Raises:
        ContentError: It says more than a manifest may hold.
    """
    contents = read_contents(
        LegacyMember(path=file.path, size=file.size, chunks=read_chunks(tree / place)) for place, file in files.items()
    )
    manifest = MigratedManifest(
        schema_version=SCHEMA_VERSION,
        kind="migrated",
        source=describe_source(path, size=size, verification=verification),
        contents=Contents(files=tuple(describe_file(place, file) for place, file in files.items())),
        files=tuple(OriginalFile(path=place, original_path=file.path, md5=file.md5) for place, file in files.items()),
        statements=list_statements(contents, name=strip_suffix(printable(path.name))),
        chains=contents.chains,
        problems=contents.problems,
        missing_guarantees=(*MISSING_GUARANTEES, *list_doubts(verification)),
    )
    if len(manifest.to_json()) > MAX_MANIFEST_BYTES:
        raise ContentError(
            f"{path}: cannot become a bundle, its manifest would be larger than {MAX_MANIFEST_BYTES} bytes "
            f"({len(files)} files, {len(manifest.statements)} statements)"
        )
    return manifest


def list_doubts(verification: LegacyVerification) -> list[str]:
    """Return what of the archive itself cannot be known, in whatever form it is kept."""
    return [f"the archive: {one}" for one in verification.missing_guarantees if one in ARCHIVE_DOUBTS]


def describe_file(place: str, file: LegacyFile) -> FileRecord:
    """Return the file's record in the bundle."""
    folder = PurePosixPath(place).parts[0]
    return FileRecord(path=place, size=file.size, sha256=file.sha256, role=ROLE_OF_FOLDER[folder])


def describe_source(path: Path, *, size: int, verification: LegacyVerification) -> LegacySource:
    """Return which archive was migrated and who vouched for it, without a path of this machine."""
    assert verification.md5 is not None
    assert verification.sha256 is not None
    return LegacySource(
        name=printable(path.name),
        size=size,
        md5=verification.md5,
        sha256=verification.sha256,
        outcome=verification.outcome,
        md5_list=printable(Path(verification.md5_list).name) if verification.md5_list else None,
        md5_list_sha256=verification.md5_list_sha256,
        listed=verification.listed,
        manifest=verification.manifest,
        num_vouched=verification.num_vouched,
    )
