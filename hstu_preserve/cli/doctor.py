"""`doctor`."""

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit


def command(json: JsonOption = False) -> None:
    """What this machine can run, and what to type for the rest."""
    from hstu_preserve.verbs.doctor import doctor

    emit(doctor(), as_json=json)
