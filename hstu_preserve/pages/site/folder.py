"""Write a site as a folder that appears whole or not at all; of earlier folders it replaces its own, if unchanged."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from hstu_preserve.bundle.destinations import require_absent, require_new, require_writable
from hstu_preserve.errors import ContentError, UsageError
from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.primitives.files import read_small, refuse_unwritable
from hstu_preserve.primitives.temporaries import draw_temporary
from hstu_preserve.primitives.temporary_folders import whole_folder
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.record import Record

OPTION = "--site"
LIST_NAME = "hstu-preserve-site.json"
"""Lists every other file of a site, by which a later call knows that it may replace them."""
MAX_LIST_BYTES = 2**20
MAX_PAGE_BYTES = 2**26
MAX_NAMED = 3


class SiteFiles(Record):
    """The files of a site with their digests, by their paths in it."""

    site: dict[str, Sha256]


def list_digests(files: Mapping[str, bytes]) -> SiteFiles:
    """Return the list of a site's files."""
    return SiteFiles(site={path: sha256(content).hexdigest() for path, content in files.items()})


@dataclass(frozen=True, kw_only=True)
class SitePlace:
    """Where a site will be written, looked at before the work begins.

    Attributes:
        path: The folder.
        before: The files of the earlier site there; None if nothing is there.
    """

    path: Path
    before: SiteFiles | None

    def write(self, files: Mapping[str, bytes]) -> bool:
        """Write the site, and return whether it is another than the earlier one.

        Raises:
            UsageError: Somebody wrote there meanwhile.
            UnavailableError: It cannot be written.
        """
        listed = list_digests(files)
        if listed == self.before:
            return False
        aside = draw_temporary(self.path)
        try:
            with (
                whole_folder(self.path, require_free=partial(self.make_room, aside)) as folder,
                refuse_unwritable(folder),
            ):
                for path, content in {**files, LIST_NAME: listed.to_json()}.items():
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (folder / path).write_bytes(content)
        finally:  # whatever ended it: either the new site has the name, or the earlier one gets it back
            if os.path.lexists(aside) and not os.path.lexists(self.path):
                aside.rename(self.path)
            shutil.rmtree(aside, ignore_errors=True)
        return True

    def make_room(self, aside: Path) -> None:
        """Move the earlier site aside, if it is still the one that was looked at.

        Raises:
            UsageError: It is not, or something came into being in the place of nothing.
        """
        if self.before is None:
            require_absent(self.path)
        elif read_earlier_site(self.path) != self.before:
            raise UsageError(f"{self.path}: changed meanwhile, and was left as it is now; run the same command again")
        else:
            self.path.rename(aside)


def prepare_site(path: Path | None) -> SitePlace | None:
    """Return where a site will be written; None if none is asked for.

    Raises:
        UsageError: There is something else than an earlier site, or a file of it was changed or added since.
        UnavailableError: It cannot be written there.
    """
    if path is None:
        return None
    if not os.path.lexists(path):
        require_new(path, option=OPTION)
        return SitePlace(path=path, before=None)
    require_writable(path, option=OPTION)
    return SitePlace(path=path, before=read_earlier_site(path))


def read_earlier_site(folder: Path) -> SiteFiles:
    """Return the list of a site whose files are as they were written.

    Raises:
        UsageError: It is no such folder.
    """
    if folder.is_symlink() or not (folder / LIST_NAME).is_file():
        raise UsageError(f"{folder}: exists and is no site that this command wrote; name a new folder with {OPTION}")
    try:
        listed = SiteFiles.from_json(read_small(folder / LIST_NAME, max_bytes=MAX_LIST_BYTES), source=LIST_NAME)
    except ContentError as error:
        raise UsageError(
            f"{folder}: no site that this command wrote ({error}); name a new folder with {OPTION}"
        ) from None
    changed = list(list_changes(folder, listed))
    if changed:
        some = list_some(changed, at_most=MAX_NAMED)
        raise UsageError(f"{folder}: not as this command wrote it ({some}); name a new folder with {OPTION}")
    return listed


def list_changes(folder: Path, listed: SiteFiles) -> Iterator[str]:
    """Yield each file that was added, removed or changed since the site was written."""
    found = {LIST_NAME}
    for place, folders, names in os.walk(folder):
        for name in [*names, *(one for one in folders if (Path(place) / one).is_symlink())]:
            path = (Path(place) / name).relative_to(folder).as_posix()
            found.add(path)
            if path not in listed.site and path != LIST_NAME:
                yield f"{path} was added"
    for path, digest in listed.site.items():
        if path not in found:
            yield f"{path} is gone"
        elif not is_as_written(folder / path, digest):
            yield f"{path} was changed"


def is_as_written(path: Path, digest: str) -> bool:
    """Whether a file has a digest; a link or something larger than any page has not."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_PAGE_BYTES:
        return False
    return sha256(read_small(path, max_bytes=MAX_PAGE_BYTES)).hexdigest() == digest
