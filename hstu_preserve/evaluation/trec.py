"""Write ranks as TREC's evaluators read them: the relevant item of each user, and the user's ranking down to ten.

Form: https://trec.nist.gov/data/qrels_eng/ and the README of https://github.com/usnistgov/trec_eval
A bundle records where each user's held-out item stands, and not which items stand above it. Fillers take their places:
a metric with one relevant item asks for no more.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hstu_preserve.errors import ContentError
from hstu_preserve.evaluation.ranks import UserRanks
from hstu_preserve.primitives.files import new_file_writer

CUTOFF = 10
"""Lines of a user at most: what NDCG@10, HR@10 and MRR@10 look at."""
RUN_TAG = "hstu-preserve"
QRELS_SUFFIX, RUN_SUFFIX = ".qrels", ".run"


@dataclass(frozen=True, kw_only=True)
class TrecPaths:
    """The two files of an export.

    Attributes:
        qrels: The relevant item of each user.
        run: Each user's ranking.
    """

    qrels: Path
    run: Path


def name_files(output: Path) -> TrecPaths:
    """Return the paths of the two files that share a name."""
    return TrecPaths(qrels=output.with_name(output.name + QRELS_SUFFIX), run=output.with_name(output.name + RUN_SUFFIX))


def write_trec(paths: TrecPaths, ranks: UserRanks) -> None:
    """Write both files, neither of which may exist.

    Raises:
        ContentError: A user occurs twice, which evaluators would merge without a word.
        UsageError: A file came into being meanwhile.
        UnavailableError: One cannot be written; neither is there then.
    """
    if len(np.unique(ranks.user_ids)) != len(ranks.user_ids):
        raise ContentError("ranks: a user occurs twice, which no TREC file can hold")
    users, items = ranks.user_ids.tolist(), ranks.target_ids.tolist()
    with ExitStack() as undone:
        with new_file_writer(paths.qrels) as stream:
            stream.writelines(f"{user} 0 {item} 1\n".encode() for user, item in zip(users, items, strict=True))
        undone.callback(paths.qrels.unlink, missing_ok=True)
        with new_file_writer(paths.run) as stream:
            for user, item, rank in zip(users, items, ranks.ranks_topk.tolist(), strict=True):
                stream.write("".join(list_ranking(user, item, rank)).encode())
        undone.pop_all()


def list_ranking(user: int, item: int, rank: int) -> Iterator[str]:
    """Yield the lines of one user down to the held-out item or the cutoff: user, Q0, item, place, score, tag.

    Scores fall from line to line, since some evaluators look at them and not at the places.
    """
    for place in range(1, min(rank, CUTOFF) + 1):
        name = str(item) if place == rank else f"filler-{place}"
        yield f"{user} Q0 {name} {place} {CUTOFF + 1 - place} {RUN_TAG}\n"
