"""`list`."""

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit


def command(json: JsonOption = False) -> None:
    """The catalog: published results, their recipes, the gain over the paper, where the bundle is."""
    from hstu_preserve.library.listing import list_experiments

    emit(list_experiments(), as_json=json)
