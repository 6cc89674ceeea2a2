"""`doctor`."""

from typing import Annotated

import typer

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit

EXAMPLES = ("hstu-preserve doctor", "hstu-preserve doctor --costs")


def command(
    costs: Annotated[
        bool, typer.Option("--costs", help="Also estimate what each recipe costs, here and on a GPU.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Check what this machine can run.

    For what it cannot run: what to type.
    """
    from hstu_preserve.verbs.doctor import doctor

    emit(doctor(costs=costs), as_json=json)
