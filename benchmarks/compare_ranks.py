"""Compare per-user ranks of two programs: ours (`evaluate --ranks`) with somebody else's.

Usage: python -m benchmarks.compare_ranks OURS.npz THEIRS.npz

THEIRS holds int arrays `user_ids`, `target_ids` and `ranks` (2,501 for a miss, as upstream counts), users in any order.
Exits with 1 where a user without a near-tie has another rank.
"""

import sys
from pathlib import Path

import numpy as np

from hstu_preserve.evaluation.ranks import read_ranks


def main(ours_path: str, theirs_path: str) -> int:
    """Print how many users differ, near-ties apart."""
    ours = read_ranks(Path(ours_path), source=ours_path)
    with np.load(theirs_path, allow_pickle=False) as theirs:
        order = np.argsort(theirs["user_ids"], kind="stable")
        users, targets, ranks = (theirs[name][order] for name in ("user_ids", "target_ids", "ranks"))
    if not np.array_equal(users, ours.user_ids) or not np.array_equal(targets, ours.target_ids):
        print("not the same users and targets: another dataset, order of ties or split")
        return 1
    differs = ranks != ours.ranks_topk
    is_near_tie = ours.near_ties > 0
    print(f"users                         {len(users)}")
    print(f"with a near-tie at the target {int(is_near_tie.sum())}")
    print(f"with another rank             {int(differs.sum())}")
    print(f"of them without a near-tie    {int((differs & ~is_near_tie).sum())}")
    return int((differs & ~is_near_tie).any())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
