"""The usage of every command, read from the commands themselves, for the generated reference."""

from collections.abc import Iterator
from typing import Any

import typer.main

from hstu_preserve.cli.app import app

Command = Any  # typer carries its own click and declares it private


def list_commands() -> Iterator[tuple[str, Command]]:
    """Yield every command with its full name, groups resolved."""
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        if below is None:
            yield name, command
        else:
            yield from ((f"{name} {sub}", child) for sub, child in below.items())


def usage_of(name: str, command: Command) -> str:
    """Return the usage of a command, with brackets around the options that may be left out."""
    words = [f"hstu-preserve {name}"]
    for parameter in command.params:
        if parameter.name == "help":
            continue
        if parameter.param_type_name == "argument":
            name_of_all = f"{parameter.metavar}..." if parameter.nargs == -1 else parameter.metavar
            words.append(name_of_all if parameter.required else f"[{name_of_all}]")
            continue
        text = parameter.opts[0] if parameter.is_flag else f"{parameter.opts[0]} {parameter.metavar}"
        words.append(text if parameter.required else f"[{text}]")
    return " ".join(words)
