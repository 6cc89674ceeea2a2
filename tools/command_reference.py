"""The reference page of the command line, from the commands themselves: `docs/reference/commands.md`."""

from collections.abc import Iterator
from pathlib import PurePath

from hstu_preserve.cli.reference import Command, list_commands, usage_of

LINE_WIDTH = 88
"""Of a usage line: what a page shows without scrolling."""


def command_pages() -> str:
    """Return an overview of all commands, then one section for each, as Markdown."""
    commands = list(list_commands())
    overview = [f"| [`{name}`](#{anchor_of(name)}) | {summary_of(command)} |" for name, command in commands]
    sections = [section_of(name, command) for name, command in commands]
    return "\n".join(["| command | what it does |", "|---|---|", *overview, "", "\n\n".join(sections)])


def summary_of(command: Command) -> str:
    """Return the first paragraph of a command's help."""
    help_text: str = command.help
    return help_text.strip().partition("\n\n")[0]


def anchor_of(name: str) -> str:
    """Return the anchor that a page makes of a section's title."""
    return name.replace(" ", "-")


def section_of(name: str, command: Command) -> str:
    """Return usage, arguments, options and examples of one command."""
    usage = "\n".join(wrap_usage(usage_of(name, command)))
    described = "\n".join(f"* {describe(parameter)}" for parameter in command.params if parameter.name != "help")
    examples = "\n".join(line.strip() for line in command.epilog.splitlines()[2:])
    return (
        f"## {name}\n\n{command.help.strip()}\n\n```text\n{usage}\n```\n\n{described}\n\n"
        f"Examples:\n\n```text\n{examples}\n```"
    )


def wrap_usage(usage: str) -> Iterator[str]:
    """Yield a usage text in lines of `LINE_WIDTH`; an option and its value stay together."""
    line = ""
    for part in split_usage(usage):
        if line and len(line) + 1 + len(part) > LINE_WIDTH:
            yield line
            line = "   "
        line = f"{line} {part}" if line else part
    yield line


def split_usage(usage: str) -> Iterator[str]:
    """Yield the words of a usage text; `[--data DIR]` and `--output DIR` are one each."""
    words = usage.split()
    while words:
        word = words.pop(0)
        is_open = word.startswith("[") and "]" not in word
        takes_value = word.startswith("--") and bool(words) and words[0].isupper()
        yield f"{word} {words.pop(0)}" if is_open or takes_value else word


def describe(parameter: Command) -> str:
    """Return one argument or option: how it is typed, what it means, and its default."""
    if parameter.param_type_name == "argument" or parameter.is_flag:
        typed = parameter.metavar if parameter.param_type_name == "argument" else parameter.opts[0]
    else:
        typed = f"{parameter.opts[0]} {parameter.metavar}"
    return " ".join(filter(None, (f"`{typed}`:", escape(parameter.help or ""), describe_default(parameter))))


def escape(text: str) -> str:
    """Return help as Markdown that shows it as it is."""
    return text.replace("*", "\\*").replace("<", "&lt;").replace("'", "`") if text.count("'") % 2 == 0 else text


def describe_default(parameter: Command) -> str:
    """Return the default or that there must be a value; nothing where the help already says it."""
    if parameter.required:
        return "" if parameter.param_type_name == "argument" else "*Required.*"
    if parameter.default in (None, False, (), []) or "[default:" in (parameter.help or ""):
        return ""
    if isinstance(parameter.show_default, str):
        return f"[default: {parameter.show_default}]"
    value = parameter.default
    return f"[default: {value.as_posix() if isinstance(value, PurePath) else value}]"
