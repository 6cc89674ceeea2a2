"""One event of a line: `user item`, `user item rating timestamp`, or a review of Amazon or Steam."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import NoReturn, TypeAlias

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.wording import printable
from hstu_preserve.raw_data.number_fields import MAX_DIGITS, STARS_RULE, TIME_RULE
from hstu_preserve.raw_data.sequences.fields import read_fields
from hstu_preserve.raw_data.sequences.lines import Line, LineFile

MAX_NAME_CHARACTERS = 256
MAX_QUOTED_CHARACTERS = 80
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
UNIX_EPOCH = date(1970, 1, 1)
SECONDS_PER_DAY = 86_400
UNRATED = 0
HALF_STARS = {f"{value / 2:.1f}": value for value in range(1, 11)} | {str(stars): 2 * stars for stars in range(1, 6)}
HEADER = re.compile(r"user\w*\s+(?:item|product|movie)\w*", re.IGNORECASE)
FORMS = (
    "expected 'user item' or 'user item rating timestamp', a review of Amazon (reviewerID, asin, overall, "
    "unixReviewTime) or one of Steam (username, product_id, date)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One user meets one item."""

    user: str
    item: str
    half_stars: int
    """Rating × 2; 0 if there is none."""
    timestamp: int | None
    """In seconds since 1970; None if the file has no times."""


@dataclass(frozen=True, kw_only=True)
class ReviewFields:
    """Where a publisher's reviews say what is needed of them."""

    user: str
    item: str
    rating: str | None
    time: str


AMAZON = ReviewFields(user="reviewerID", item="asin", rating="overall", time="unixReviewTime")
STEAM = ReviewFields(user="username", item="product_id", rating=None, time="date")
Parser: TypeAlias = Callable[[str], Event]
"""Reads a line's text; raises ValueError with a reason."""


def read_events(file: LineFile) -> Iterator[Event]:
    """Yield the events of a file in its order; the first line decides which form all lines have.

    Raises:
        ContentError: Another form, or a malformed line, which is named with its number; or no line at all.
    """
    parse: Parser | None = None
    for line in file.read_lines():
        try:
            text = line.content.decode("utf-8")
            parse = parse or find_parser(text)
            event = parse(text)
        except UnicodeDecodeError:
            refuse(line, "not UTF-8", file=file)
        except ValueError as error:
            refuse(line, str(error), file=file)
        yield event
    if parse is None:
        raise ContentError(f"{file.label}: holds no events")


def refuse(line: Line, reason: str, *, file: LineFile) -> NoReturn:
    """Raise ContentError that names file and line, and quotes the line."""
    found = printable(line.content[:MAX_QUOTED_CHARACTERS].decode("latin-1"))
    raise ContentError(f"{file.label}, line {line.number}: {reason} (found '{found}')")


def find_parser(text: str) -> Parser:
    """Return what reads the lines of a file whose first line this is.

    Raises:
        ValueError: No known form.
    """
    if text.lstrip().startswith("{"):
        fields = read_fields(text)
        for known in (AMAZON, STEAM):
            if known.user in fields:
                return partial(parse_review, known=known)
        raise ValueError(FORMS)
    if text.lstrip().startswith(("<", "[")):  # a page of a server, or a list in JSON
        raise ValueError(FORMS)
    if HEADER.match(text.strip()):
        raise ValueError("a header, not an event; remove the line")
    match len(text.split()):
        case 2:
            return parse_pair
        case 4:
            return parse_rated
        case _:
            raise ValueError(FORMS)


def parse_pair(text: str) -> Event:
    """Return the event of a line `user item`."""
    user, item = split(text, num_fields=2)
    return Event(user=require_name(user), item=require_name(item), half_stars=UNRATED, timestamp=None)


def parse_rated(text: str) -> Event:
    """Return the event of a line `user item rating timestamp`."""
    user, item, rating, time = split(text, num_fields=4)
    return Event(
        user=require_name(user),
        item=require_name(item),
        half_stars=parse_rating(rating),
        timestamp=parse_time(time),
    )


def split(text: str, *, num_fields: int) -> list[str]:
    """Return the fields of a line, between blanks or tabs."""
    fields = text.split()
    if len(fields) != num_fields:
        raise ValueError(f"{len(fields)} fields, where the first line has {num_fields}")
    return fields


def parse_review(text: str, *, known: ReviewFields) -> Event:
    """Return the event of a review."""
    fields = read_fields(text) if text.lstrip().startswith("{") else {}

    def take(field: str) -> str:
        value = fields.get(field)
        if isinstance(value, str):
            return value
        raise ValueError(f"a review without '{field}'" if value is None else f"'{field}' is neither text nor number")

    time = take(known.time)
    return Event(
        user=require_name(take(known.user)),
        item=require_name(take(known.item)),
        half_stars=UNRATED if known.rating is None else parse_rating(take(known.rating)),
        timestamp=parse_date(time) if known is STEAM else parse_time(time),
    )


def require_name(text: str) -> str:
    """Return the name of a user or item, whatever it is; names are counted and numbered, and never kept."""
    if not text or len(text) > MAX_NAME_CHARACTERS:
        raise ValueError(f"a name of {len(text)} characters; they have 1 to {MAX_NAME_CHARACTERS}")
    if CONTROL.search(text):
        raise ValueError("a name with a control character")
    return text


def parse_rating(text: str) -> int:
    """Return twice a rating."""
    if text not in HALF_STARS:
        raise ValueError(f"a rating that is not {STARS_RULE}")
    return HALF_STARS[text]


def parse_time(text: str) -> int:
    """Return a time in seconds."""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise ValueError(f"times are {TIME_RULE}, at most {MAX_DIGITS} digits")
    return int(text)


def parse_date(text: str) -> int:
    """Return the first second of a day."""
    rule = "dates are days from 1970-01-01 on, as 2017-12-31"
    if not DATE.fullmatch(text):
        raise ValueError(rule)
    try:
        days = (date.fromisoformat(text) - UNIX_EPOCH).days
    except ValueError:
        raise ValueError(rule) from None
    if days < 0:
        raise ValueError(rule)
    return days * SECONDS_PER_DAY
