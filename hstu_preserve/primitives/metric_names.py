"""The names of the metrics, and of their curves over the test items."""

LIKED_SUFFIX = "_>=4"
METRIC_NAMES = (
    *(f"hr@{k}" for k in (1, 10, 50, 100, 200, 500, 1000)),
    *(f"ndcg@{k}" for k in (1, 10, 50, 100, 200)),
    "mrr",
    *(f"{name}{LIKED_SUFFIX}" for name in ("ndcg@10", "hr@10", "hr@50", "mrr")),
)
"""The metrics, named as upstream names them; `_>=4` counts only targets rated 4 stars or more."""

FULL_EPOCH_TAG, EPOCH_TAG = "eval_epoch_full", "eval_epoch"
"""What stands before the name of a metric over the test items of everybody, or perhaps of a part of the users.

`eval/` is none of them: upstream writes it for one batch of training.
"""
