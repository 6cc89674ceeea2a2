"""Write text from outside into Markdown, so that no renderer takes it for Markdown, HTML or YAML."""

import re

from hstu_preserve.primitives.wording import printable

ESCAPED = re.compile(r"""[&<>"'`\\|*_\[\]{}#~$!]|@(?!(?<=[A-Za-z]@)[0-9])""")
"""What has a meaning for some renderer wherever it stands; `ndcg@10` names nobody, and is read more easily as it is."""


def escape(text: str) -> str:
    """Return text from outside so that it reads as itself and as nothing else, on one line."""
    return ESCAPED.sub(lambda found: f"&#{ord(found[0])};", printable(text)).strip() or "&#8203;"


def quote_lines(text: str) -> str:
    """Return text from outside as an indented code block, which nothing in it can end."""
    return "\n".join(f"    {printable(line)}" for line in (text.strip() or "not stated").splitlines())
