"""How help is laid out: commands in groups, examples that can be typed below each command."""

from typing import Any

from typer.core import TyperGroup

Context = Any  # typer carries its own click and declares it private
Formatter = Any


class GroupedCommands(TyperGroup):
    """The commands of an application in the groups that `rich_help_panel` names, in the order they were added."""

    def format_commands(self, ctx: Context, formatter: Formatter) -> None:
        """Write a section for each group; the summaries of all sections begin in one column."""
        width = max(map(len, self.commands))
        limit = formatter.width - 6 - width
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            summary = command.get_short_help_str(limit)
            groups.setdefault(getattr(command, "rich_help_panel", None) or "Commands", []).append(
                (name.ljust(width), summary)
            )
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)


def show_examples(examples: tuple[str, ...]) -> str:
    """Return command lines as the end of a command's help, line by line."""
    return "\n".join(("\b", "Examples:", *(f"  {example}" for example in examples)))
