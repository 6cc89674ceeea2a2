"""`list`."""

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit

EXAMPLES = (
    "hstu-preserve list",
    "hstu-preserve list --json",
)


def command(json: JsonOption = False) -> None:
    """List the published results and what they claim.

    Each with its recipe, its gain over the paper's HSTU, and where the bundle is.
    """
    from hstu_preserve.library.listing import list_experiments

    emit(list_experiments(), as_json=json)
