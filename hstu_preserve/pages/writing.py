"""Write a report or page to its file: a new one, or in the place of an earlier one that the same command wrote."""

from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.bundle.destinations import require_new, require_writable
from hstu_preserve.errors import UsageError
from hstu_preserve.pages.blocks import Page
from hstu_preserve.pages.extra import require_extra
from hstu_preserve.pages.rendering import begin, render
from hstu_preserve.primitives.files import read_bytes, write_atomically, write_new


def read_earlier_file(path: Path, *, beginning: bytes, option: str) -> bytes | None:
    """Return what will be replaced, None if nothing is there; a file that begins otherwise is left alone.

    Args:
        path: The file.
        beginning: How each file that this command writes begins.
        option: With which the user names the file.

    Raises:
        UsageError: There is another file, or it would become part of a run, bundle or store.
        UnavailableError: It cannot be read or written.
    """
    if not path.is_file():
        require_new(path, option=option)
        return None
    require_writable(path, option=option)
    content = read_bytes(path)
    if not content.startswith(beginning):
        raise UsageError(f"{path}: exists and is no report that this command wrote; name another file with {option}")
    return content


def write_in_place(path: Path, content: bytes, *, before: bytes | None) -> None:
    """Write a file, unless what was there before the work began is no longer there.

    Raises:
        UsageError: Somebody wrote there meanwhile.
        UnavailableError: It cannot be written.
    """
    if before is None:
        write_new(path, content)
        return
    if not path.is_file() or read_bytes(path) != before:
        raise UsageError(f"{path}: changed meanwhile, and was left as it is now; run the same command again")
    write_atomically(path, content)


@dataclass(frozen=True, kw_only=True)
class PagePlace:
    """Where a page will be written, looked at before the work begins.

    Attributes:
        path: The file.
        before: The earlier page there; None if nothing is there.
    """

    path: Path
    before: bytes | None

    def write(self, page: Page) -> bool:
        """Write the page, and return whether it is another than the earlier one.

        Raises:
            UsageError: Somebody wrote there meanwhile.
            UnavailableError: It cannot be written.
        """
        content = render(page)
        write_in_place(self.path, content, before=self.before)
        return content != self.before


def prepare_page(path: str | Path | None, *, command: str) -> PagePlace | None:
    """Return where a command will write its page; None if no page is asked for.

    Raises:
        UsageError: There is something else than an earlier page of the same command.
        UnavailableError: It cannot be written there, or the extra that draws pages is not installed.
    """
    if path is None:
        return None
    require_extra()
    place = Path(path)
    return PagePlace(path=place, before=read_earlier_file(place, beginning=begin(command).encode(), option="--html"))
