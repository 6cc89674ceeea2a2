"""Turn a page into HTML: every text is escaped, and nothing that the page shows is asked of anybody."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.pages.blocks import Index, Page
from hstu_preserve.primitives.wording import printable

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).resolve().parent / "templates"
BEGINNING = '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="generator" content="hstu-preserve {}">\n'  # noqa: E501  as the file has it
"""How a page of a command begins, by which a later call knows that it may replace it."""


def render(page: Page) -> bytes:
    """Return a page as the bytes of its file; equal pages give equal bytes."""
    return fill(page, template="page.html", script="")


def render_index(index: Index) -> bytes:
    """Return the first page of a site, with the script that sorts and filters; without it everything is shown."""
    return fill(index, template="index.html", script=read_template("index.js"))


def fill(page: Page | Index, *, template: str, script: str) -> bytes:
    """Return a filled template; of all scripts the page allows this one alone, by its digest."""
    body = (
        load_templates()
        .get_template(template)
        .render(
            page=page,
            style=read_template("page.css"),
            script=script,
            script_sha256=b64encode(sha256(script.encode()).digest()).decode(),
        )
    )
    return (begin(page.command) + body).encode("utf-8")


def read_template(name: str) -> str:
    """Return a file that pages are made of, as it is."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def begin(command: str) -> str:
    """Return how each page of a command begins."""
    return BEGINNING.format(command)


@cache
def load_templates() -> "Environment":
    """Return the templates; they escape whatever they print but figures, style sheet and script, which are our own."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=show,
    )


def show(value: object) -> object:
    """Return what is printed of a value: of a text, escapes for characters that steer a screen or cannot be encoded."""
    is_markup = hasattr(value, "__html__")  # the template's own: what it took as safe, and what its macros made
    return printable(value) if isinstance(value, str) and not is_markup else value
