"""The gin text of runs that take a moment."""

SHARED = {
    "dataset_name": "synthetic",
    "max_sequence_length": 20,
    "main_module": "HSTU",
    "item_embedding_dim": 16,
    "num_negatives": 16,
    "item_l2_norm": True,
    "weight_decay": 0,
}


def tiny_gin(**settings: str | float | bool) -> str:
    """Return the text of a tiny HSTU's gin file, with more settings of `train_fn`, or others."""
    return "".join(f"train_fn.{name} = {value!r}\n" for name, value in {**SHARED, **settings}.items())
