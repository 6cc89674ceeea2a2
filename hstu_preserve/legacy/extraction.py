"""Write files of a legacy archive that was verified, and see that it is still the one that was."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hstu_preserve.bundle.extraction import fresh_directory, write_file
from hstu_preserve.errors import ContentError
from hstu_preserve.legacy.walker import open_legacy, show_reading
from hstu_preserve.primitives.temporary_folders import scratch_folder
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.legacy.outcomes import LegacyFile
from hstu_preserve.records.legacy.verification import LegacyVerification


def extract(
    path: Path, files: Mapping[str, LegacyFile], *, destination: Path, verification: LegacyVerification, voice: Voice
) -> int:
    """Write the given files of the archive to their places, and return the archive's size.

    Raises:
        ContentError: The archive is no longer the one that was verified.
    """
    places = {file.path: place for place, file in files.items()}
    listen = show_reading(path, "unpacking", voice=voice)
    with open_legacy(path, listen=listen) as walker, fresh_directory(destination) as root:
        for member in walker.members():
            if member.path in places:
                write_file(root, path=places[member.path], chunks=member.chunks)
        if walker.findings or walker.sha256 != verification.sha256 or tuple(walker.files) != verification.files:
            raise ContentError(describe_change(path))
        return walker.input.size


def describe_change(path: Path) -> str:
    """Say that the archive is another than the one that was verified."""
    return f"{path}: changed while it was worked on; try again once nobody writes to it"


@contextmanager
def unpacked_file(path: Path, wanted: str, *, verification: LegacyVerification, voice: Voice) -> Iterator[Path]:
    """Yield one file of the archive, under its own name, for as long as the block lasts.

    Raises:
        ContentError: The archive is no longer the one that was verified.
        UnavailableError: There is no room for it.
    """
    (file,) = (file for file in verification.files if file.path == wanted)
    name = Path(wanted).name
    with scratch_folder() as folder:
        extract(path, {name: file}, destination=folder / "file", verification=verification, voice=voice)
        yield folder / "file" / name
