"""What a page is made of: plain text and figures in blocks, which the template lays out and escapes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeAlias

FOOTER = (
    "Written by hstu-preserve {} with the command '{}'. The page has no date and asks nobody for anything: the same "
    "input gives the same bytes."
)
"""Who wrote the page, with which release and by which command."""


class Tone(StrEnum):
    """How something is coloured; its text says the same, for those who see no colour."""

    PLAIN = "plain"
    GOOD = "good"
    BAD = "bad"
    OPEN = "open"
    MUTED = "muted"
    CODE = "code"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: As it is; the template escapes it.
        tone: Its colour.
        anchor: The part of this page that it leads to; empty leads nowhere.
        address: The other page of the same site that it leads to, relative to this one; empty leads nowhere.
        order: By which rows are sorted; empty sorts them by the text.
    """

    text: str
    tone: Tone = Tone.PLAIN
    anchor: str = ""
    address: str = ""
    order: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under headings; on a narrow screen each row becomes a list of its headings and cells."""

    kind: ClassVar[str] = "table"
    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing with what it says in words, and its numbers for those who cannot see it or want to paste them.

    Attributes:
        svg: One `svg` element, which holds no text from outside but what `drawing` let in.
        label: What is drawn, for those who hear the page.
        caption: How to read it.
        numbers: What is drawn, in figures.
    """

    kind: ClassVar[str] = "figure"
    svg: str
    label: str
    caption: str
    numbers: Table


@dataclass(frozen=True, kw_only=True)
class Paragraphs:
    """Sentences, each on its own line."""

    kind: ClassVar[str] = "paragraphs"
    texts: Sequence[str]
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Lines as they stand in a file or are typed."""

    kind: ClassVar[str] = "listing"
    label: str
    lines: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Folded:
    """Something long that is shown on demand."""

    kind: ClassVar[str] = "folded"
    summary: str
    blocks: "Sequence[Block]"


Block: TypeAlias = Table | Figure | Paragraphs | Listing | Folded


@dataclass(frozen=True, kw_only=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True)
class Headline:
    """What comes first: the outcome and why.

    Attributes:
        outcome: One word, or few.
        tone: Its colour.
        why: One sentence.
        facts: What one has to know beside it, a sentence each.
    """

    outcome: str
    tone: Tone
    why: str
    facts: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One bundle, or one comparison.

    Attributes:
        anchor: By which links lead to it.
        title: In words.
        headline: Its outcome.
        first: What is shown beside the outcome, before any heading.
        sections: Everything else.
    """

    anchor: str
    title: str
    headline: Headline
    first: Sequence[Block]
    sections: Sequence[Section]


@dataclass(frozen=True, kw_only=True)
class Link:
    """Leads to another page of the same site, by its address relative to this one."""

    text: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page.

    Attributes:
        command: That wrote it: `report` or `compare`.
        title: Of the window.
        overview: The parts side by side; empty if there is one part.
        parts: One after the other.
        footer: Who wrote the page, with which release.
        links: To other pages of its site; empty if it is none of a site.
    """

    command: str
    title: str
    overview: Sequence[Block]
    parts: Sequence[Part]
    footer: str
    links: Sequence[Link] = ()


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One field by which an index is filtered.

    Attributes:
        label: Of the field.
        column: Whose text is compared, from 0.
        options: The texts.
    """

    label: str
    column: int
    options: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Index:
    """The first page of a site.

    Attributes:
        command: That wrote it.
        title: Of the window.
        headline: The outcome of everything.
        choices: How the tables are filtered.
        tables: Alike in their columns; each is sorted by itself.
        sections: What follows.
        footer: Who wrote the page, with which release.
        links: None, since it is where the others lead to.
    """

    command: str
    title: str
    headline: Headline
    choices: Sequence[Choice]
    tables: Sequence[Table]
    sections: Sequence[Section]
    footer: str
    links: Sequence[Link] = ()


def plain_row(*texts: str) -> tuple[Cell, ...]:
    """Return a row of plain cells."""
    return tuple(Cell(text=text) for text in texts)
