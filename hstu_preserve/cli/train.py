"""`train`."""

from typing import Annotated

import typer

from hstu_preserve.cli.options import DataOption, DeviceOption, GinRootOption, JsonOption, NewDirectoryOption
from hstu_preserve.cli.output import emit
from hstu_preserve.cli.progress import progress_bar


def command(
    gin: Annotated[str, typer.Argument(metavar="GIN|ID", help="The gin file, or the id of a chain shipped with us.")],
    output: NewDirectoryOption,
    data: DataOption = None,
    gin_root: GinRootOption = None,
    device: DeviceOption = "auto",
    json: JsonOption = False,
) -> None:
    """Train what a gin file says, into a run directory that 'pack' takes."""
    from hstu_preserve.workflows.train import train

    with progress_bar() as listener:
        result = train(gin, output=output, data=data, gin_root=gin_root, device=device, listener=listener)
    emit(result, as_json=json)
