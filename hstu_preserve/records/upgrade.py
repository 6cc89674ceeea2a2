"""Record that a bundle has the files of an earlier bundle, whose manifest was of an earlier schema version."""

from typing import Annotated

from pydantic import Field

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.digests import Sha256, sha256_of_bytes
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.record import SCHEMA_VERSION, Record

FIELD = "upgraded_from"


class EarlierBundle(Record):
    """The bundle that another one was upgraded from."""

    schema_version: Annotated[int, Field(ge=0, lt=SCHEMA_VERSION)]
    identity: Sha256
    """Of the earlier manifest, which follows from the later one."""


def upgrade_manifest(value: dict[str, Json], *, identity: str) -> bytes:
    """Return the canonical text of a manifest of version 0 as version 1 has it: the same, and which one it was.

    Args:
        value: The earlier manifest as it is stored; a record might leave something out of it.
        identity: The sha256 of its stored bytes.
    """
    earlier: Json = {"schema_version": 0, "identity": identity}
    return canonical_dumps({**value, "schema_version": 1, FIELD: earlier})


def require_origin(value: dict[str, Json], earlier: EarlierBundle | None, *, source: str) -> None:
    """Require that a manifest is the earlier one that it names, but for the version.

    So nobody can say so of a bundle with other files, claims or recipe: the earlier manifest is made again and hashed.

    Args:
        value: The manifest as it is stored.
        earlier: What it says of an earlier one; None if it says nothing.
        source: What the manifest is, for the message.

    Raises:
        ContentError: The earlier manifest has another identity.
    """
    if earlier is None:
        return
    kept = {name: one for name, one in value.items() if name != FIELD}
    found = sha256_of_bytes(canonical_dumps({**kept, "schema_version": earlier.schema_version}))
    if found != earlier.identity:
        raise ContentError(
            f"{source}: {FIELD} names the bundle {earlier.identity}, but without the upgrade it is {found}; "
            "trust only the bundle that it was made from"
        )
