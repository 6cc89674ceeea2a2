"""Event files that are in memory, read."""

import io

from hstu_preserve.event_files.reader import ScalarPoint, iterate_scalars


def parse_scalars(content: bytes, *, source: str) -> list[ScalarPoint]:
    return list(iterate_scalars(io.BytesIO(content), source=source))
