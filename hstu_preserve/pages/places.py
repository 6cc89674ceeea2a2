"""Say where a report goes, before anything is judged for it: a Markdown file, a page, the folder of a site."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hstu_preserve.errors import UsageError
from hstu_preserve.pages.extra import require_extra
from hstu_preserve.pages.judged import Judged
from hstu_preserve.pages.markdown_report import MARK, REPORT_NAME, compose_markdown
from hstu_preserve.pages.report_page import compose_report
from hstu_preserve.pages.site.composing import compose_site
from hstu_preserve.pages.site.folder import OPTION, SitePlace, prepare_site
from hstu_preserve.pages.writing import PagePlace, prepare_page, read_earlier_file, write_in_place
from hstu_preserve.primitives.given_paths import as_path
from hstu_preserve.primitives.voice import Voice


@dataclass(frozen=True, kw_only=True)
class ReportPlaces:
    """Where a report goes; each is None if it is not asked for, but never all of them.

    Attributes:
        text: The Markdown file.
        before: The earlier report there; None if nothing is there.
        page: The page.
        site: The folder.
    """

    text: Path | None
    before: bytes | None
    page: PagePlace | None
    site: SitePlace | None

    @property
    def files(self) -> list[Path]:
        """The Markdown file and the page, as far as they are asked for."""
        return [path for path in (self.text, None if self.page is None else self.page.path) if path is not None]

    @property
    def folder(self) -> Path | None:
        """The folder of the site."""
        return None if self.site is None else self.site.path

    @property
    def lists_catalog(self) -> bool:
        """Whether every published result is named, too."""
        return self.text is not None or self.site is not None

    @property
    def needs_targets(self) -> bool:
        """Whether a bundle is shown if none is named: a site alone is of the catalog."""
        return bool(self.files)

    def write(self, judged: Sequence[Judged], *, voice: Voice) -> bool:
        """Write all of it, and return whether any is another than the earlier one.

        Raises:
            UsageError: Somebody wrote there meanwhile.
            UnavailableError: It cannot be written.
        """
        is_changed = self.page is not None and self.page.write(compose_report(judged))
        if self.site is not None:
            is_changed |= self.site.write(compose_site(judged, voice=voice))
        if self.text is not None:
            content = compose_markdown(judged)
            write_in_place(self.text, content, before=self.before)
            is_changed |= content != self.before
        return is_changed


def prepare_report(*, markdown: str | Path | None, html: str | Path | None, site: str | Path | None) -> ReportPlaces:
    """Return where a report goes; if nothing is named, to `PRESERVATION_REPORT.md`.

    Raises:
        UsageError: There is something else than an earlier report, or two of them have one name.
        UnavailableError: A page is asked for, and the extra that draws it is not installed; or it cannot be written.
    """
    text, folder = as_path(markdown), as_path(site)
    if folder is not None:
        require_extra(OPTION)
    page = prepare_page(html, command="report")
    if page is None and text is None and folder is None:
        text = Path(REPORT_NAME)
    if page is not None and text is not None and text.absolute() == page.path.absolute():
        raise UsageError(f"{text}: named with --markdown and with --html; name two files")
    require_outside(folder, [path for path in (text, page.path if page is not None else None) if path is not None])
    before = None if text is None else read_earlier_file(text, beginning=MARK, option="--markdown")
    return ReportPlaces(text=text, before=before, page=page, site=prepare_site(folder))


def require_outside(folder: Path | None, files: Sequence[Path]) -> None:
    """Raise UsageError if a file would lie in the folder of a site, which holds nothing but the site."""
    for path in files:
        if folder is not None and path.absolute().is_relative_to(folder.absolute()):
            raise UsageError(f"{path}: lies in the folder that {OPTION} names; name another place")
