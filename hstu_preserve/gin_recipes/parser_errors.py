"""Say why a text is no gin, in words of our own: those of gin's parser name objects of Python."""

import re
import tokenize
from collections.abc import Mapping

from hstu_preserve.errors import RecipeError
from hstu_preserve.gin_recipes.syntax import Location, shorten

PARSER_ERRORS = (SyntaxError, tokenize.TokenError, RecursionError, ValueError, TypeError, StopIteration)
"""Raised by Python's tokenizer and gin's parser for text that is not gin."""

FAILED_VALUE = re.compile(r"Failed to parse token '(.+)'$", re.DOTALL)
PYTHON_SPELLINGS = {
    **dict.fromkeys(("true", "TRUE", "yes", "Yes", "on", "On"), "True"),
    **dict.fromkeys(("false", "FALSE", "no", "No", "off", "Off"), "False"),
    **dict.fromkeys(("null", "NULL", "none", "nil", "NONE"), "None"),
}
"""How gin spells what other configuration languages spell otherwise."""
SENTENCES: Mapping[str, str] = {
    "Unable to parse value.": "the value cannot be read: gin takes numbers, quoted text, True, False, None, lists, "
    "tuples and dictionaries",
    "Couldn't parse statement, expected ':' or '='.": "expected NAME.ARGUMENT = VALUE",
    "Malformatted scope or selector.": "the name is not SCOPE/NAME.ARGUMENT",
    "Unexpected token.": "a name is expected here",
    "Expected newline.": "more text follows the value: a line binds one value, and nothing is computed",
}
"""gin's messages that do not say what to write instead."""
UNHASHABLE = re.compile(r"unhashable type: '(\w+)'")
ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-fA-F]+>")


def describe_parser_error(error: Exception, *, file: str, line: int) -> RecipeError:
    """Return the error with its place; `line` is the last one known to be read."""
    reason = str(error)
    match error:
        case SyntaxError():
            line, reason = error.lineno or line, error.msg
        case tokenize.TokenError(args=(str() as message, (int() as row, _))):
            line, reason = row, message
        case StopIteration():
            reason = "the file ends within a statement"
        case RecursionError():
            reason = "nested too deep"
        case _:
            pass
    return RecipeError(f"{Location(file=file, line=line)}: not gin: {shorten(reword(reason))}")


def reword(reason: str) -> str:
    """Return gin's reason in words that a user can act on."""
    if failed := FAILED_VALUE.search(reason):
        return describe_failed_value(failed[1])
    if key := UNHASHABLE.fullmatch(reason):
        return f"a {key[1]} cannot be a dictionary's key"
    return SENTENCES.get(reason.strip(), ADDRESS.sub("a value", reason))


def describe_failed_value(text: str) -> str:
    """Return why a word is no value, and what to write instead."""
    if text in PYTHON_SPELLINGS:
        return f"{text!r} is no gin value; write {PYTHON_SPELLINGS[text]}"
    if text.isdigit():
        return f"a number of {len(text)} digits"
    if text.endswith(("'", '"')):
        return f"the text {text} cannot be read: an escape is broken, or it is no plain text"
    return f"{text!r} is no gin value; text stands in quotes, and nothing is computed or called"
