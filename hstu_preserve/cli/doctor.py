"""`doctor`."""

from hstu_preserve.cli.options import JsonOption
from hstu_preserve.cli.output import emit

EXAMPLES = ("hstu-preserve doctor",)


def command(json: JsonOption = False) -> None:
    """Check what this machine can run.

    For what it cannot run: what to type.
    """
    from hstu_preserve.verbs.doctor import doctor

    emit(doctor(), as_json=json)
