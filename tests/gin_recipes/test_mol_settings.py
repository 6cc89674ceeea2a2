"""The settings of Mixture of Logits: rails' names, what is dead, and what cannot be."""

import re
from pathlib import Path

import pytest

from hstu_preserve.errors import RecipeError
from hstu_preserve.gin_recipes.overlay import read_changed_chain, require_read
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.records.recipe import SampledSoftmaxSettings
from hstu_preserve.records.settings.interactions import MolSettings
from tests.gin_recipes.bundle_chains import RAILS, entry_of, resolve_folder
from tests.gin_recipes.gin_texts import HSTU, refuse, resolve_text

PREFIX = "create_mol_interaction_module"
INTERACTION = "train_fn.interaction_module_type = 'MoL'\ntrain_fn.top_k_method = 'MoLBruteForceTopK'\n"
NEEDED = {
    "query_dot_product_groups": 8,
    "item_dot_product_groups": 4,
    "dot_product_dimension": 64,
    "temperature": 0.05,
    "query_hidden_dim": 512,
    "query_dropout_rate": 0.0,
    "item_hidden_dim": -1,
    "item_dropout_rate": 0.1,
    "softmax_dropout_rate": 0.2,
    "gating_query_hidden_dim": 128,
    "gating_item_hidden_dim": 128,
    "gating_qi_hidden_dim": 128,
}
"""What rails' function has no default for."""
MOL = HSTU + INTERACTION + "".join(f"{PREFIX}.{name} = {value}\n" for name, value in NEEDED.items())


def test_what_is_not_bound_has_rails_defaults(tmp_path: Path) -> None:
    assert resolve_text(tmp_path, MOL).recipe.mol == MolSettings.model_validate(
        NEEDED
        | {
            "dot_product_l2_norm": True,
            "query_nonlinearity": "geglu",
            "uid_embedding_hash_sizes": (),
            "uid_dropout_rate": 0.5,
            "uid_embedding_level_dropout": False,
            "item_nonlinearity": "geglu",
            "gating_combination_type": "glu_silu",
            "gating_item_dropout_rate": 0.0,
            "gating_qi_dropout_rate": 0.0,
            "eps": 1e-6,
        }
    )


@pytest.mark.parametrize(
    ("name", "dataset", "epochs", "dimension", "uids", "uid_rate", "qi_rate"),
    [
        (RAILS[0], "ml-1m", 101, 64, (6040,), 0.5, 0.0),
        (RAILS[1], "ml-20m", 151, 128, (16384,), 0.8, 0.1),
    ],
)
def test_rails_rows_have_the_settings_of_its_gin_files(
    name: str, dataset: str, epochs: int, dimension: int, uids: tuple[int, ...], uid_rate: float, qi_rate: float
) -> None:
    recipe = resolve_folder(name).recipe
    large = resolve_folder(f"paper-hstu-large-{dataset}").recipe
    assert isinstance(recipe.loss, SampledSoftmaxSettings)
    assert recipe.dataset == large.dataset
    assert recipe.model == large.model.model_copy(update={"user_embedding_norm": "layer_norm"})
    assert recipe.training == large.training.model_copy(update={"num_epochs": epochs, "weight_decay": 1e-3})
    assert (recipe.loss.temperature, recipe.loss.item_l2_norm, recipe.loss.num_negatives) == (1.0, False, 128)
    assert recipe.loss.weights == {"uid_embedding_l2_norm": 0.1, "mi_loss": 0.001}
    mol = recipe.mol
    assert mol is not None
    assert {setting: getattr(mol, setting) for setting in NEEDED} == NEEDED | {"dot_product_dimension": dimension}
    assert (mol.query_nonlinearity, mol.dot_product_l2_norm, mol.eps) == ("swiglu", True, 1e-6)
    assert (mol.uid_embedding_hash_sizes, mol.uid_dropout_rate) == (uids, uid_rate)
    assert (mol.uid_embedding_level_dropout, mol.gating_qi_dropout_rate) == (False, qi_rate)


def test_none_and_no_table_are_one_recipe(tmp_path: Path) -> None:
    bound = resolve_text(tmp_path, f"{MOL}{PREFIX}.uid_embedding_hash_sizes = None\n").recipe
    assert bound.digest() == resolve_text(tmp_path, MOL).recipe.digest()


def test_a_layer_that_metas_code_cannot_build_is_remarked_on_and_may_be_set(tmp_path: Path) -> None:
    text = f"{MOL}{PREFIX}.query_hidden_dim = 0\n"
    assert [remark.message for remark in resolve_text(tmp_path, text).remarks] == [
        f"{PREFIX}.query_hidden_dim = 0 is one linear map, as bailuding/rails has it; Meta's own code cannot run it",
        f"{PREFIX}.item_hidden_dim = -1 is one linear map, as bailuding/rails has it; Meta's own code cannot run it",
    ]
    setting = [f"{PREFIX}.query_hidden_dim = -1"]
    require_read(resolve(read_changed_chain(entry_of(RAILS[0]), root=None, settings=setting)))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"{PREFIX}.item_nonlinearity = 'swiglu'", f"is not read by {PREFIX}.item_hidden_dim = -1"),
        (f"{PREFIX}.uid_dropout_rate = 0.9", f"is not read by {PREFIX}.uid_embedding_hash_sizes = []"),
        (f"{PREFIX}.uid_embedding_level_dropout = True", f"is not read by {PREFIX}.uid_embedding_hash_sizes = []"),
        (f"{PREFIX}.query_embedding_dim = 50", "is never read: upstream's own code passes this argument"),
        (f"{PREFIX}.bf16_training = True", "is never read: upstream's own code passes this argument"),
        ("get_similarity_function.activation_checkpoint = True", "is never read: upstream's own code passes"),
        (f"x/{PREFIX}.temperature = 1", "scoped binding is never read"),
    ],
)
def test_a_dead_binding_is_named_and_changes_no_recipe(tmp_path: Path, line: str, told: str) -> None:
    found = resolve_text(tmp_path, f"{MOL}{line}\n")
    assert found.recipe.digest() == resolve_text(tmp_path, MOL).recipe.digest()
    (warning,) = found.warnings
    assert line.split(" = ", maxsplit=1)[0] in warning.message
    assert told in warning.message


@pytest.mark.parametrize("name", NEEDED)
def test_what_rails_has_no_default_for_must_be_bound(tmp_path: Path, name: str) -> None:
    (line,) = refuse(tmp_path, re.sub(rf"(?m)^{PREFIX}\.{name} = .*\n", "", MOL))
    assert f"{PREFIX}.{name} (default None): " in line
    assert line.endswith("rails has no default for it")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{PREFIX}.item_hidden_dim = -2", rf"{PREFIX}\.item_hidden_dim: .*greater than or equal to -1"),
        (f"{PREFIX}.query_nonlinearity = 'relu'", rf"{PREFIX}\.query_nonlinearity: .*'swiglu' or 'geglu'"),
        (f"{PREFIX}.gating_combination_type = 'none'", rf"{PREFIX}\.gating_combination_type: .*'glu_silu'"),
        (f"{PREFIX}.gating_query_fn = False", rf"{PREFIX}\.gating_query_fn: Input should be True"),
        ("get_similarity_function.bf16_training = True", r"get_similarity_function\.bf16_training: .*False"),
        (f"{PREFIX}.softmax_dropout_rate = 1.0", rf"{PREFIX}\.softmax_dropout_rate: .*less than 1"),
        (f"{PREFIX}.temperature = 1e-9", rf"{PREFIX}\.temperature: mol\.temperature 1e-09 is below"),
        (f"{PREFIX}.uid_embedding_hash_sizes = [0]", rf"{PREFIX}\.uid_embedding_hash_sizes: .*greater than"),
        (f"{PREFIX}.uid_embedding_hash_sizes = {[7] * 8}", rf"{PREFIX}\.uid_embedding_hash_sizes.*to the encoder"),
        (f"{PREFIX}.query_dot_product_groups = 2000", rf"{PREFIX}\.query_dot_product_groups, .*more than 4096"),
        (
            f"{PREFIX}.dot_product_dimension = 9007199254740991",
            rf"{PREFIX}\.dot_product_dimension: .*vectors of a side",
        ),
        (f"{PREFIX}.dot_product_dim = 64", rf"unknown gin name; did you mean '{PREFIX}\.dot_product_dimension'"),
        ("train_fn.top_k_method = 'MIPSBruteForceTopK'", r"train_fn\.top_k_method.*needs 'MoLBruteForceTopK'"),
        (
            "train_fn.loss_module = 'FullSoftmaxLoss'",
            r"train_fn\.loss_module, .*needs loss\.loss_module SampledSoftmaxLoss",
        ),
        ("hard_negatives.fraction = 1.0", r"hard_negatives\.fraction"),
        (
            "train_fn.loss_weights = {'info': 1.0}",
            r"train_fn\.loss_weights: no auxiliary loss 'info' \(there are mi_loss",
        ),
        (
            "train_fn.loss_weights = {'uid_embedding_l2_norm': 1.0}",
            r"train_fn\.loss_weights: .*'uid_embedding_l2_norm', which is no loss of this mixture",
        ),
    ],
)
def test_what_a_mixture_cannot_be_is_refused_by_its_gin_name(tmp_path: Path, text: str, message: str) -> None:
    lines = refuse(tmp_path, f"{MOL}{text}\n")
    assert re.search(message, "\n".join(lines)), lines


def test_a_mixture_ranks_by_itself_alone(tmp_path: Path) -> None:
    lines = refuse(tmp_path, f"{HSTU}train_fn.top_k_method = 'MoLBruteForceTopK'\n")
    assert "needs 'MIPSBruteForceTopK'" in lines[0]


def test_a_setting_that_nothing_reads_is_refused_on_the_command_line() -> None:
    setting = [f"{PREFIX}.item_nonlinearity = 'geglu'"]
    with pytest.raises(RecipeError, match="is not read by"):
        require_read(resolve(read_changed_chain(entry_of(RAILS[0]), root=None, settings=setting)))
