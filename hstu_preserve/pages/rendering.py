"""Turn a page into HTML: every text is escaped, and nothing that the page shows is asked of anybody."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.pages.blocks import Page
from hstu_preserve.primitives.wording import printable

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATES = Path(__file__).resolve().parent / "templates"
BEGINNING = '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="generator" content="hstu-preserve {}">\n'  # noqa: E501  as the file has it
"""How a page of a command begins, by which a later call knows that it may replace it."""


def render(page: Page) -> bytes:
    """Return a page as the bytes of its file; equal pages give equal bytes."""
    style = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    body = load_template().render(page=page, style=style)
    return (begin(page.command) + body).encode("utf-8")


def begin(command: str) -> str:
    """Return how each page of a command begins."""
    return BEGINNING.format(command)


@cache
def load_template() -> "Template":
    """Return the template; it escapes whatever it prints but the figures and the style sheet, which are our own."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=show,
    )
    return environment.get_template("page.html")


def show(value: object) -> object:
    """Return what is printed of a value: of a text, escapes for characters that steer a screen or cannot be encoded."""
    is_markup = hasattr(value, "__html__")  # the template's own: what it took as safe, and what its macros made
    return printable(value) if isinstance(value, str) and not is_markup else value
