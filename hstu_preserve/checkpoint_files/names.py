"""What the name of a checkpoint file tells: upstream's `…_ep12` was written after epoch 12, counted from 0."""

import re

EPOCH_IN_NAME = re.compile(r"_ep([0-9]{1,9})$")


def epoch_of_name(name: str) -> int | None:
    """Return the epoch that a checkpoint's name or path ends in, None if it ends in none."""
    found = EPOCH_IN_NAME.search(name)
    return int(found[1]) if found else None
