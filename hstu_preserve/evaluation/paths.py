"""Choose the path of an evaluation that nobody recorded one for."""

import os

from hstu_preserve.errors import UsageError
from hstu_preserve.records.evaluation import RankingPath

VARIABLE = "HSTU_PRESERVE_RANKING_PATH"
"""Names a path, in place of the one that would be chosen here; `auto`, empty or unset chooses."""


def choose_ranking_path(device_type: str) -> RankingPath:
    """Return the path of a new run on such a device (`cpu`, say): the fast one was written for processors.

    Raises:
        UsageError: The environment names one that does not exist.
    """
    asked = os.environ.get(VARIABLE) or "auto"
    if asked == "auto":
        return RankingPath.GROUPED if device_type == "cpu" else RankingPath.REFERENCE
    if asked not in set(RankingPath):
        raise UsageError(f"{VARIABLE}={asked[:40]}: no such path; choose one of auto, {', '.join(RankingPath)}")
    return RankingPath(asked)
