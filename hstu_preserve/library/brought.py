"""Find a published file that another tool brought to this machine: `hf download`, with or without `--local-dir`."""

from pathlib import Path

from hstu_preserve.hub.client import find_in_client_cache
from hstu_preserve.library.addresses import Address


def find_brought(address: Address) -> Path | None:
    """Return a published bundle from the client's own cache or the current directory, None if neither has it.

    Only a catalog's id is looked up so: whoever types an address means the file of that server.
    """
    cached = find_in_client_cache(address.repository, address.path, revision=address.revision)
    here = Path(address.path)
    return cached if cached is not None else here if here.is_file() else None
