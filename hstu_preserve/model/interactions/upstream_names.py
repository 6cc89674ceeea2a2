"""The names that bailuding/rails' checkpoints have for the parameters of Mixture of Logits."""

GATES = r"_ndp_module._gating_fn"
QUERY, ITEM = r"_ndp_module._query_embeddings_fn", r"_ndp_module._item_embeddings_fn"

NAME_RULES = (
    (r"mixture\.query\.expand\.(w|b)(?:eight|ias)", rf"{QUERY}._query_emb_proj_module.1._\1"),
    (r"mixture\.query\.contract\.(weight|bias)", rf"{QUERY}._query_emb_proj_module.2.\1"),
    (r"mixture\.query\.linear\.(weight|bias)", rf"{QUERY}._query_emb_proj_module.1.\1"),
    (r"mixture\.uid\.(\d+)\.weight", rf"{QUERY}._uid_embeddings_\1.weight"),
    (r"mixture\.item\.expand\.(w|b)(?:eight|ias)", rf"{ITEM}._item_emb_proj_module.1._\1"),
    (r"mixture\.item\.contract\.(weight|bias)", rf"{ITEM}._item_emb_proj_module.2.\1"),
    (r"mixture\.item\.linear\.(weight|bias)", rf"{ITEM}._item_emb_proj_module.1.\1"),
    (r"mixture\.query_gate\.expand\.(weight|bias)", rf"{GATES}._query_only_partial_module.0.\1"),
    (r"mixture\.query_gate\.contract\.weight", rf"{GATES}._query_only_partial_module.2.weight"),
    (r"mixture\.item_gate\.expand\.(weight|bias)", rf"{GATES}._item_only_partial_module.1.\1"),
    (r"mixture\.item_gate\.contract\.weight", rf"{GATES}._item_only_partial_module.3.weight"),
    (r"mixture\.pair_gate\.expand\.(weight|bias)", rf"{GATES}._qi_partial_module.1.\1"),
    (r"mixture\.pair_gate\.contract\.(weight|bias)", rf"{GATES}._qi_partial_module.3.\1"),
    (r"mixture\.pair_gate\.linear\.(weight|bias)", rf"{GATES}._qi_partial_module.1.\1"),
)
"""Pattern of our name, and theirs; numbers are places in their stacks of layers, dropout counted."""
