"""Our recipes and weights of the foundations' golden files: SASRec, TiSASRec, FPARec and PARec."""

from typing import Any

from torch import Tensor

from hstu_preserve.model.objective import training_losses
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.records.recipe import AnyLossSettings, BinaryCrossEntropySettings, FullSoftmaxSettings, Recipe
from hstu_preserve.records.settings.encoders import Foundation, FparecSettings, SasrecTfSettings, TisasrecSettings
from tests.factories import make_recipe
from tests.model.foundations_golden import Golden, rename_linear, rename_norm

EXACT = 1e-5
GOLDEN_FILES = ("sasrec_tiny", "tisasrec_tiny", "fparec_tiny", "parec_tiny", "fparec_per_block_tiny")
KEY_BIAS = ".key.bias"  # cancels in SASRec's softmax: its gradient is rounding, of which Adam makes steps
TABLES = {
    "input_embeddings": "item_embedding.weight",
    "dec_pos": "encoder.position_weight",
    "abs_pos_K": "encoder.position_key",
    "abs_pos_V": "encoder.position_value",
    "dec_time_K": "encoder.time_key",
    "dec_time_V": "encoder.time_value",
}
SCORES = {
    "factorized_positional_attention/factor1": "query_factor",
    "factorized_positional_attention/factor2": "key_factor",
    "positional_attention/positional_attention": "score",
}


def make_foundation_recipe(golden: Golden, *, dropout_rate: float = 0.0, embedding_l2: float | None = None) -> Recipe:
    """Return the recipe of a golden file's arguments, with their penalty unless another is named."""
    arguments = golden.arguments
    # TiSASRec's is the sum of squares, the others' is half of it.
    own_l2 = arguments["l2_emb"] if golden.about["system"] == "tisasrec" else arguments["l2_emb"] / 2
    recipe = make_recipe(
        dataset={"max_sequence_length": golden.length, "protocol": "validated"},
        training={
            "optimizer": "TensorFlowAdam",
            "user_sampling": "with_replacement",
            "learning_rate": arguments["lr"],
        },
    )
    model = make_settings(golden, dropout_rate=dropout_rate)
    training = recipe.training.model_copy(update={"embedding_l2": embedding_l2 or own_l2 or None})
    return recipe.model_copy(update={"model": model, "loss": make_loss(model), "training": training})


def make_settings(golden: Golden, *, dropout_rate: float) -> Foundation:
    """Return the encoder's settings."""
    arguments = golden.arguments
    shared: dict[str, Any] = {
        "item_embedding_dim": arguments["hidden_units"],
        "dropout_rate": dropout_rate,
        "user_embedding_norm": "none",
        "gr_output_length": 0,
        "main_module_bf16": False,
        "num_blocks": arguments["num_blocks"],
        "num_heads": arguments["num_heads"],
    }
    match golden.about["system"]:
        case "sasrec":
            return SasrecTfSettings(kind="SASRec-TF", **shared)
        case "tisasrec":
            return TisasrecSettings(kind="TiSASRec", time_span=arguments["time_span"], **shared)
        case system:
            return FparecSettings(
                kind="FPARec",
                attention="full" if system == "parec" else "factorized",
                factors=arguments["factorized_positional_attention_k"],
                ffn_hidden_dim=arguments["inner_size"],
                ffn_activation_fn=arguments["inner_act"],
                feed_forward="per_block" if system == "fparec_per_block" else "after_blocks",
                **shared,
            )


def make_loss(model: Foundation) -> AnyLossSettings:
    """Return the settings of the loss that the encoder was published with."""
    shared: dict[str, Any] = {
        "temperature": 1.0,
        "item_l2_norm": False,
        "l2_norm_eps": 1e-6,
        "activation_checkpoint": False,
        "interaction_module_type": "DotProduct",
        "weights": {},
    }
    if isinstance(model, FparecSettings):
        return FullSoftmaxSettings(loss_module="FullSoftmaxLoss", padding_row=True, **shared)
    return BinaryCrossEntropySettings(loss_module="BinaryCrossEntropyLoss", sampling_strategy="unseen", **shared)


def rename(golden: Golden, variables: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the reference's variables, or their gradients, in our names and shapes."""
    found = {
        ours: variables[f"{theirs}/lookup_table"]
        for theirs, ours in TABLES.items()
        if f"{theirs}/lookup_table" in variables
    }
    settings = make_settings(golden, dropout_rate=0.0)
    if isinstance(settings, FparecSettings):
        return found | rename_fparec(variables, settings)
    found |= rename_norm(variables, "ln", ours="encoder.output_norm")
    for block in range(settings.num_blocks):
        theirs, layer = f"num_blocks_{block}", f"encoder.layers.{block}"
        found |= rename_norm(variables, f"{theirs}/ln", ours=f"{layer}.input_norm")
        found |= rename_norm(variables, f"{theirs}/ln_1", ours=f"{layer}.attended_norm")
        for number, name in enumerate(("query", "key", "value")):
            dense = f"{theirs}/self_attention/dense{f'_{number}' if number else ''}"
            found |= rename_linear(variables, dense, ours=f"{layer}.{name}")
        found |= rename_net(variables, f"{theirs}/", ours=layer)
    return found


def rename_fparec(variables: dict[str, Tensor], settings: FparecSettings) -> dict[str, Tensor]:
    """Return what stands between FPARec's tables and its last norm; its queries and keys are left out."""
    found: dict[str, Tensor] = {}
    is_per_block = settings.feed_forward == "per_block"
    for block in range(settings.num_blocks):
        theirs, place = f"num_blocks_{block}", 2 * block if is_per_block else block
        layer = f"encoder.layers.{place}"
        found |= rename_norm(variables, f"{theirs}/ln", ours=f"{layer}.input_norm")
        found |= rename_linear(variables, f"{theirs}/self_attention/dense_2", ours=f"{layer}.value")
        for name, ours in SCORES.items():
            if f"{theirs}/self_attention/{name}" in variables:
                found[f"{layer}.scores.{ours}"] = variables[f"{theirs}/self_attention/{name}"]
        if is_per_block:
            found |= rename_norm(variables, f"{theirs}/ln_1", ours=f"encoder.layers.{place + 1}.norm")
            found |= rename_net(variables, f"{theirs}/", ours=f"encoder.layers.{place + 1}")
    if is_per_block:
        return found | rename_norm(variables, "ln", ours="encoder.output_norm")
    net = f"encoder.layers.{settings.num_blocks}"
    found |= rename_norm(variables, "ln", ours=f"{net}.norm") | rename_net(variables, "", ours=net)
    return found | rename_norm(variables, "ln_1", ours="encoder.output_norm")


def rename_net(variables: dict[str, Tensor], scope: str, *, ours: str) -> dict[str, Tensor]:
    """Return both maps of a feed-forward net in our names."""
    expand = rename_linear(variables, f"{scope}multihead_attention/conv1d", ours=f"{ours}.expand")
    return expand | rename_linear(variables, f"{scope}multihead_attention/conv1d_1", ours=f"{ours}.contract")


def load_model(
    golden: Golden, tag: str, *, dropout_rate: float = 0.0, embedding_l2: float | None = None
) -> Recommender:
    """Return our model with the weights of a tag, in evaluation mode."""
    recipe = make_foundation_recipe(golden, dropout_rate=dropout_rate, embedding_l2=embedding_l2)
    return golden.make_model(recipe, rename(golden, golden.variables(tag)))


def backpropagate(model: Recommender, golden: Golden, *, batch: int = 0) -> float:
    """Return the loss of a golden batch, its gradients computed."""
    model.zero_grad()
    losses = training_losses(model, golden.batch(batch))
    losses.total.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
    return losses.total.item()


def require_gradients(model: Recommender, expected: dict[str, Tensor]) -> None:
    """Every gradient is within 1e-5 of its norm, but for those that are rounding noise."""
    assert {name for name, _ in model.named_parameters()} == expected.keys()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        if not name.endswith(KEY_BIAS):
            assert expected[name].norm() > 0, name
            assert (parameter.grad - expected[name]).norm() <= EXACT * expected[name].norm(), name
