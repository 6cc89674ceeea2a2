import subprocess
import sys
from pathlib import Path

import pytest

from hstu_preserve.errors import RecipeError
from hstu_preserve.gin_recipes.bindings import (
    KNOWN_NAMES,
    RECIPE_BINDINGS,
    SWITCHES,
    RecipeBinding,
    Switch,
    find_unmet,
)
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.records.claim import Direction, SelectionRule
from hstu_preserve.records.recipe import (
    BinaryCrossEntropySettings,
    DatasetSettings,
    EvaluationSettings,
    FullSoftmaxSettings,
    Protocol,
    Recipe,
    SampledSoftmaxSettings,
    TrainingSettings,
)
from hstu_preserve.records.record import Record
from hstu_preserve.records.settings.components import (
    ActionFusionSettings,
    HardNegativeSettings,
    InputCompressionSettings,
    InversePropensity,
    LogitAdjustment,
    PopularitySampler,
    PrismSettings,
    TimeDecaySettings,
)
from hstu_preserve.records.settings.encoders import (
    FparecSettings,
    HstuSettings,
    HstuTfSettings,
    SasrecSettings,
    SasrecTfSettings,
    TisasrecSettings,
)
from hstu_preserve.records.settings.interactions import MolSettings
from tests.gin_recipes.gin_texts import refuse, resolve_text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_an_empty_file_is_upstreams_defaults(folder: Path) -> None:
    resolution = resolve_text(folder, "")
    recipe = resolution.recipe
    assert recipe.model.kind == "SASRec"
    assert (recipe.model.item_embedding_dim, recipe.model.num_blocks, recipe.model.num_heads) == (240, 2, 1)
    assert (recipe.dataset.name, recipe.dataset.protocol) == ("ml-20m", Protocol.UPSTREAM)
    assert isinstance(recipe.loss, SampledSoftmaxSettings)
    assert (recipe.loss.sampling_strategy, recipe.loss.num_negatives) == ("in-batch", 1)
    assert recipe.loss.interaction_module_type == "DotProduct"
    assert (recipe.training.weight_decay, recipe.training.enable_tf32) == (1e-3, False)
    assert (resolution.warnings, resolution.inert) == ((), ())


def test_the_defaults_of_hstu_are_those_of_its_encoder(folder: Path) -> None:
    model = resolve_text(folder, "train_fn.main_module = 'HSTU'").recipe.model
    assert isinstance(model, HstuSettings)
    assert (model.dqk, model.dv, model.linear_dropout_rate, model.attn_dropout_rate) == (64, 64, 0.0, 0.0)
    assert (model.normalization, model.linear_config, model.linear_activation) == ("rel_bias", "uvqk", "silu")
    assert (model.concat_ua, model.enable_relative_attention_bias) == (False, True)


MODELS: dict[str, type[Record]] = {
    "HSTU": HstuSettings,
    "SASRec": SasrecSettings,
    "HSTU-TF": HstuTfSettings,
    "SASRec-TF": SasrecTfSettings,
    "TiSASRec": TisasrecSettings,
    "FPARec": FparecSettings,
}
ALL_MODELS = "'HSTU', 'HSTU-TF', 'SASRec', 'SASRec-TF', 'TiSASRec' or 'FPARec'"
LOSSES: dict[str, type[Record]] = {
    "SampledSoftmaxLoss": SampledSoftmaxSettings,
    "FullSoftmaxLoss": FullSoftmaxSettings,
    "BinaryCrossEntropyLoss": BinaryCrossEntropySettings,
}
DEBIASINGS: dict[str, type[Record]] = {
    "logit_adjust": LogitAdjustment,
    "ips": InversePropensity,
    "pop_sampler": PopularitySampler,
}
SECTIONS: dict[str, type[Record]] = {
    "dataset": DatasetSettings,
    "training": TrainingSettings,
    "evaluation": EvaluationSettings,
    "prism": PrismSettings,
    "input_compression": InputCompressionSettings,
    "action_fusion": ActionFusionSettings,
    "time_decay": TimeDecaySettings,
    "hard_negatives": HardNegativeSettings,
    "mol": MolSettings,
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("debiasing", DEBIASINGS)
def test_the_table_fills_every_field_of_the_recipe_once(model: str, loss: str, debiasing: str) -> None:
    chosen = {"train_fn.main_module": model, "train_fn.loss_module": loss, "pop_debias.mode": debiasing}
    chosen["train_fn.interaction_module_type"] = "MoL"
    paths = [row.path for row in RECIPE_BINDINGS if find_unmet(row, lambda name: chosen.get(name, "on")) is None]
    records = SECTIONS | {"model": MODELS[model], "loss": LOSSES[loss], "pop_debias": DEBIASINGS[debiasing]}
    assert records.keys() == Recipe.model_fields.keys()
    assert sorted(paths) == sorted(f"{section}.{name}" for section in records for name in records[section].model_fields)


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: switch.name)
def test_a_component_that_is_turned_off_is_none_and_its_settings_are_not_read(folder: Path, switch: Switch) -> None:
    rows = [row for row in RECIPE_BINDINGS if row.path.startswith(f"{switch.section}.") and row.name != switch.name]
    names = dict.fromkeys(row.name for row in rows)
    lines = [f"{name} = {next(row.default for row in rows if row.name == name)!r}" for name in names]
    resolution = resolve_text(folder, "\n".join(lines))
    assert getattr(resolution.recipe, switch.section) is None
    assert [warning.message for warning in resolution.warnings] == [
        f"{name} is not read by {switch.name} = {switch.off!r}" for name in names
    ]


def test_no_name_is_in_two_tables() -> None:
    assert len(set(KNOWN_NAMES)) == len(KNOWN_NAMES)


def test_rows_of_one_name_are_never_read_together() -> None:
    by_name: dict[str, list[RecipeBinding]] = {}
    for row in RECIPE_BINDINGS:
        by_name.setdefault(row.name, []).append(row)
    for rows in by_name.values():
        values = [value for row in rows if row.read_if for value in row.read_if.values]
        assert len(rows) == 1 or len(set(values)) == len(values) >= len(rows)


def test_a_whole_number_serves_as_a_float(folder: Path) -> None:
    recipe = resolve_text(folder, "train_fn.weight_decay = 0\ntrain_fn.learning_rate = 1").recipe
    assert [type(value) for value in (recipe.training.weight_decay, recipe.training.learning_rate)] == [float, float]
    assert recipe.training.learning_rate == 1.0


def test_no_weights_and_none_are_the_same(folder: Path) -> None:
    assert resolve_text(folder, "train_fn.loss_weights = None").recipe.loss.weights == {}
    assert resolve_text(folder, "train_fn.loss_weights = {}").recipe.loss.weights == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train_fn.num_epochs = 1.5", "1: train_fn.num_epochs: Input should be a valid integer (found 1.5)"),
        ("train_fn.num_epochs = True", "1: train_fn.num_epochs: Input should be a valid integer (found True)"),
        ("train_fn.num_epochs = '5'", "1: train_fn.num_epochs: Input should be a valid integer (found '5')"),
        (
            "train_fn.weight_decay = False",
            "1: train_fn.weight_decay: Input should be a valid number (found False)",
        ),
        (
            "hard_negatives.fraction = False",
            "1: hard_negatives.fraction: Input should be a valid number (found False)",
        ),
        (
            "action_fusion.enabled = 0",
            "1: action_fusion.enabled: Input should be a valid boolean (found 0)",
        ),
        (
            "action_fusion.enabled = 1",
            "1: action_fusion.enabled: Input should be a valid boolean (found 1)",
        ),
        (
            "train_fn.main_module = 'HSTU'\nhstu_encoder.enable_relative_attention_bias = 1",
            "2: hstu_encoder.enable_relative_attention_bias: Input should be a valid boolean (found 1)",
        ),
        ("prism.variant = None", "1: prism.variant: Input should be 'additive', 'film' or 'moe' (found None)"),
        ("train_fn.item_l2_norm = 1", "1: train_fn.item_l2_norm: Input should be a valid boolean (found 1)"),
        (
            "train_fn.num_epochs = 0",
            "1: train_fn.num_epochs: Input should be greater than or equal to 1 (found 0)",
        ),
        ("train_fn.dropout_rate = 1e999", "1: train_fn.dropout_rate: not a finite number"),
        (
            "train_fn.random_seed = 9007199254740992",
            "1: train_fn.random_seed: 9007199254740992 is outside ±(2**53 - 1)",
        ),
        ("train_fn.dataset_name = 1j", "1: train_fn.dataset_name: a plain value is needed here, found 1j"),
        ("train_fn.dataset_name = b'x'", "1: train_fn.dataset_name: a plain value is needed here, found b'x'"),
        ("train_fn.dataset_name = @f", "1: train_fn.dataset_name: a plain value is needed here, found @f"),
        ("train_fn.dataset_name = '\\ud800'", "1: train_fn.dataset_name: lone surrogate in a string"),
        ("train_fn.loss_weights = {1: 2}", "1: train_fn.loss_weights: a key must be text, found 1"),
        (
            "train_fn.main_module = 'GRU'",
            f"1: train_fn.main_module: should be {ALL_MODELS} (found 'GRU')",
        ),
        (
            "train_fn.main_module = ['HSTU']",
            f"1: train_fn.main_module: should be {ALL_MODELS} (found ['HSTU'])",
        ),
        (
            "train_fn.embedding_module_type = 'x'",
            "1: train_fn.embedding_module_type: Input should be 'local' (found 'x')",
        ),
        (
            "train_fn.interaction_module_type = 'MLP'",
            "1: train_fn.interaction_module_type: Input should be 'DotProduct' or 'MoL' (found 'MLP')",
        ),
        ("train_fn.main_module = 'SASRec'\nhstu_encoder.dqk = 'wide'", "2: hstu_encoder.dqk: Input should be a valid"),
        ("sasrec_encoder.ffn_dropout_rate = [1]", "1: sasrec_encoder.ffn_dropout_rate: Input should be a valid number"),
        ("prism.features = 'year'", "1: prism.features: Input should be a valid"),
        ("prism.film_scale = 'much'", "1: prism.film_scale: Input should be a valid number"),
        ("time_decay.learnable = 1", "1: time_decay.learnable: Input should be a valid boolean"),
        ("pop_debias.alpha = None", "1: pop_debias.alpha: Input should be a valid number"),
        (
            "create_data_loader.num_workers = 1.5",
            "1: create_data_loader.num_workers: Input should be a valid integer (found 1.5)",
        ),
        ("train_fn.rank = 'a'", "1: train_fn.rank: Input should be a valid integer (found 'a')"),
        (
            "train_fn.learnin_rate = 1",
            "1: train_fn.learnin_rate: unknown gin name; did you mean 'train_fn.learning_rate'",
        ),
        ("zzz.q = 1", "1: zzz.q: unknown gin name"),
        ("a/zzz.q = 1", "1: a/zzz.q: unknown gin name"),
        (
            "\ndata.protocol = 'test'",
            "2: data.protocol: Input should be 'upstream' or 'validated' (found 'test')",
        ),
        ("claim.seeds = (1, 'a')", "1: claim.seeds: Input should be a valid integer (found 'a')"),
        ("claim.seeds = 1", "1: claim.seeds: Input should be a valid array (found 1)"),
        (
            "claim.margin = 0.1",
            (
                "1: claim.margin, claim.margin_derivation (default None): "
                "margin and margin_derivation are given together or not at all"
            ),
        ),
        (
            "claim.selection_rule = 'best-on-validation'",
            (
                "1: data.protocol (default 'upstream'), claim.selection_rule: "
                "selection_rule best-on-validation exists only under protocol validated"
            ),
        ),
        ("hr10/claim.margin = None", "1: hr10/claim.metric is not bound"),
        (
            "claim.metric = 'mrr'\nmrr/claim.metric = 'mrr'",
            "2: two claims are named 'mrr'",
        ),
        (
            "sasrec_encoder.num_heads = 7",
            (
                "1: train_fn.item_embedding_dim (default 240), sasrec_encoder.num_heads: "
                "item_embedding_dim 240 is not divisible by num_heads 7"
            ),
        ),
        (
            "sasrec_encoder.num_heads = 7\ntrain_fn.item_embedding_dim = 50",
            (
                "2, r.gin:1: train_fn.item_embedding_dim, sasrec_encoder.num_heads: "
                "item_embedding_dim 50 is not divisible by num_heads 7"
            ),
        ),
        ("bundle.include_data = 'yes'", "1: bundle.include_data: Input should be a valid boolean (found 'yes')"),
        (
            "train_fn.loss_weights = {'temperature': 'x'}",
            "1: train_fn.loss_weights: Input should be a valid number (found 'x')",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_place(folder: Path, text: str, message: str) -> None:
    assert any(line.startswith(f"r.gin:{message}") for line in refuse(folder, text))


def test_a_problem_is_told_once(folder: Path) -> None:
    assert len(refuse(folder, "data.protocol = 'test'")) == 1
    assert len(refuse(folder, "train_fn.random_seed = -1")) == 1
    assert len(refuse(folder, "claim.metric = 5")) == 1
    assert len(refuse(folder, "bundle.id = 5")) == 1


def test_an_unknown_metric_is_refused_with_the_known_ones(folder: Path) -> None:
    (line,) = refuse(folder, "claim.metric = 'ndcg@11'")
    assert line.startswith("r.gin:1: claim.metric: ")
    assert "ndcg@10" in line


def test_every_problem_is_told(folder: Path) -> None:
    text = (
        "train_fn.main_module = 'HSTU'\ntrain_fn.num_epochs = 0\nfoo.bar = 1\nhstu_encoder.dqk = 'x'\nbundle.id = '-'"
    )
    lines = refuse(folder, text)
    assert sorted(line.split(" ")[0] for line in lines) == ["r.gin:2:", "r.gin:3:", "r.gin:4:", "r.gin:5:"]


def test_a_flood_of_problems_is_cut(folder: Path) -> None:
    lines = refuse(folder, "\n".join(f"foo.a{n} = 1" for n in range(5000)))
    assert len(lines) == 21
    assert lines[-1] == "… and 4980 more"


def test_a_weight_of_a_loss_that_nothing_produces_is_refused(folder: Path) -> None:
    lines = refuse(folder, "\ntrain_fn.loss_weights = {'mi_loss': 0.1}")
    assert lines == ["r.gin:2: train_fn.loss_weights: no auxiliary loss 'mi_loss' (there are none)"]


def test_a_value_from_a_macro_is_refused_where_it_is_used(folder: Path) -> None:
    assert refuse(folder, "E = 0\ntrain_fn.num_epochs = %E")[0].startswith("r.gin:2: train_fn.num_epochs:")


def test_an_ill_typed_value_of_an_included_file_is_named_there(folder: Path) -> None:
    (folder / "base.gin").write_text("\n\ntrain_fn.num_epochs = 'x'")
    assert refuse(folder, "include 'base.gin'")[0].startswith("base.gin:3: train_fn.num_epochs:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hstu_encoder.dqk = 8", "1: hstu_encoder.dqk is not read by SASRec"),
        ("s/train_fn.num_epochs = 8", "1: s/train_fn.num_epochs: scoped binding is never read"),
        ("NUM_EPOCHS = 8", "1: macro NUM_EPOCHS is never used"),
        (
            "get_weighted_loss.weights = {'a': 1.0}",
            "1: get_weighted_loss.weights is never read: upstream's own code passes this argument",
        ),
        (
            "hstu_encoder.embedding_module = @LocalEmbeddingModule",
            "1: hstu_encoder.embedding_module is never read: upstream's own code passes this argument",
        ),
        (
            "train_fn.world_size = 2",
            "1: train_fn.world_size is never read: upstream's own code passes this argument",
        ),
        (
            "create_data_loader.drop_last = True",
            "1: create_data_loader.drop_last is never read: upstream's own code passes this argument",
        ),
    ],
)
def test_what_is_never_read_is_warned_of_and_changes_nothing(folder: Path, text: str, message: str) -> None:
    resolution = resolve_text(folder, text)
    assert [str(notice) for notice in resolution.warnings] == [f"r.gin:{message}"]
    assert resolution.recipe == resolve_text(folder, "").recipe


def test_what_decides_no_result_is_listed_without_a_warning(folder: Path) -> None:
    text = "create_data_loader.num_workers = None\nget_sequential_encoder.activation_checkpoint = True"
    resolution = resolve_text(folder, text)
    assert resolution.warnings == ()
    assert [str(notice) for notice in resolution.inert] == [
        "r.gin:1: create_data_loader.num_workers decides no result here",
        "r.gin:2: get_sequential_encoder.activation_checkpoint decides no result here",
    ]


def test_module_qualified_names_are_known(folder: Path) -> None:
    text = "generative_recommenders.research.trainer.train.train_fn.num_epochs = 7"
    assert resolve_text(folder, text).recipe.training.num_epochs == 7


def test_scopes_name_further_claims(folder: Path) -> None:
    text = """
hr10/claim.metric = "hr@10"
claim.metric = "ndcg@10"
claim.margin = 0.002
claim.margin_derivation = "two standard deviations of five seeds"
claim.seeds = [42, 2]
hr10/claim.seeds = (42, 3)
other/claim.metric = "mrr"
other/claim.name = "mean reciprocal rank"
other/claim.selection_rule = "best-on-test"
other/claim.direction = "minimize"
"""
    first, second, third = resolve_text(folder, text).policies
    assert (first.name, first.metric, first.margin, first.seeds) == ("ndcg@10", "ndcg@10", 0.002, (42, 2))
    assert (second.name, second.metric, second.seeds) == ("hr10", "hr@10", (42, 3))
    assert (second.margin, second.margin_derivation) == (None, None)
    assert (third.name, third.metric, third.seeds) == ("mean reciprocal rank", "mrr", (42,))
    assert (third.selection_rule, third.direction) == (SelectionRule.BEST_ON_TEST, Direction.MINIMIZE)


def test_only_scoped_claims_are_possible(folder: Path) -> None:
    assert [policy.name for policy in resolve_text(folder, "a/claim.metric = 'mrr'").policies] == ["a"]


def test_a_claim_follows_the_protocol_and_the_seed(folder: Path) -> None:
    (policy,) = resolve_text(folder, "data.protocol = 'validated'\ntrain_fn.random_seed = 7").policies
    assert policy.protocol is Protocol.VALIDATED
    assert policy.selection_rule is SelectionRule.BEST_ON_VALIDATION
    assert policy.seeds == (7,)


@pytest.mark.parametrize(
    ("name", "identifier"),
    [("ml-1m.hstu.gin", "ml-1m.hstu"), ("_é a b.gin", "a-b"), ("é.gin", "recipe"), ("x" * 200 + ".gin", "x" * 120)],
)
def test_the_bundle_is_by_default_named_after_the_entry_file(folder: Path, name: str, identifier: str) -> None:
    (folder / name).write_text("")
    bundle = resolve(read_chain(folder / name, root=None)).bundle
    assert (bundle.id, bundle.title) == (identifier, identifier)
    assert (bundle.licence, bundle.citation, bundle.include_data) == ("unspecified", "", False)


def test_the_bundles_settings_are_authored(folder: Path) -> None:
    text = "bundle.id = 'x'\nbundle.licence = 'MIT'\nbundle.citation = 'Doe'\nbundle.include_data = True"
    bundle = resolve_text(folder, text).bundle
    assert (bundle.id, bundle.title, bundle.licence) == ("x", "x", "MIT")
    assert (bundle.citation, bundle.include_data) == ("Doe", True)


def test_resolving_imports_neither_torch_nor_what_a_config_names() -> None:
    code = (
        "import sys; import hstu_preserve.gin_recipes.resolve, hstu_preserve.gin_recipes.writer; "
        "sys.exit(bool({'torch', 'tensorflow', 'tensorboard'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=600).returncode == 0


LEARNED_LINES = {
    "gin's operative config": "get_similarity_function.activation_checkpoint = False\n"
    "get_similarity_function.bf16_training = False\n",
    "MoL's lines left in": "create_mol_interaction_module.dropout_rate = 0.1\n"
    "create_mol_interaction_module.eps = %eps\neps/macro.value = 1e-6\n",
    "in a scope": "a/create_mol_interaction_module.dot_product_dimension = 128\n",
    "a module": "create_mol_interaction_module.uid_embedding_hash_sizes = [1, 2]\n"
    "get_similarity_function.interaction_module = @f\n",
}


@pytest.mark.parametrize("lines", LEARNED_LINES.values(), ids=LEARNED_LINES.keys())
@pytest.mark.parametrize("interaction", ["", "train_fn.interaction_module_type = 'DotProduct'\n"])
def test_lines_of_learned_similarities_are_warnings_under_the_dot_product(
    folder: Path, lines: str, interaction: str
) -> None:
    plain, found = resolve_text(folder, interaction), resolve_text(folder, interaction + lines)
    assert found.recipe == plain.recipe
    told = [warning.message for warning in found.warnings]
    assert len(told) == sum(".value" not in line for line in lines.splitlines())
    assert all(message.endswith("is read only by learned similarities (MoL)") for message in told)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("claim.margin = 1e9\nclaim.margin_derivation = 'a guess'", "recipe.gin:1: claim.margin: "),
        ("claim.margin = 1.0\nclaim.margin_derivation = 'a guess'", "recipe.gin:1: claim.margin: "),
        ("claim.margin = -0.1\nclaim.margin_derivation = 'a guess'", "recipe.gin:1: claim.margin: "),
        (
            "claim.margin = 1e999\nclaim.margin_derivation = 'a guess'",
            "recipe.gin:1: claim.margin: not a finite number",
        ),
        ("claim.margin = 0.1\nclaim.margin_derivation = ' '", "recipe.gin:2: claim.margin_derivation: is empty"),
        ("claim.loss_tolerance = 1e9", "recipe.gin:1: claim.loss_tolerance: 1e+09 is above 0.1"),
        ("claim.loss_tolerance = 0.11", "recipe.gin:1: claim.loss_tolerance: 0.11 is above 0.1"),
        ("claim.seeds = (1, 1, 2, 3)\ntrain_fn.random_seed = 1", "recipe.gin:1: claim.seeds: names 1 twice"),
        ("claim.seeds = (1, 2)", "recipe.gin:1: claim.seeds: begins with train_fn.random_seed, which is 42, "),
        ("claim.seeds = (1, 42)", "which is 42, the bundle's own run: the first is 1"),
        ("claim.seeds = ()", "which is 42, the bundle's own run: it is not there"),
        (
            "hr10/claim.metric = 'hr@10'\nhr10/claim.loss_tolerance = 0.5",
            "recipe.gin:2: hr10/claim.loss_tolerance: 0.5 is above 0.1",
        ),
        ("claim.spread = 0.0007", "claim.spread"),
        (
            "claim.spread = 0\nclaim.spread_degrees = 4\nclaim.spread_derivation = 'runs'",
            "recipe.gin:1: claim.spread: ",
        ),
        (
            "claim.spread = 0.1\nclaim.spread_degrees = 4",
            "spread, spread_degrees and spread_derivation are given together or not at all",
        ),
    ],
)
def test_a_policy_that_says_nothing_is_refused_with_its_place(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.gin"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        resolve(read_chain(path, root=None))
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_limits_of_a_policy_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "recipe.gin"
    path.write_text(
        "claim.loss_tolerance = 0.1\nclaim.seeds = (7, 8)\ntrain_fn.random_seed = 7\nclaim.margin = 0.9\n"
        "claim.margin_derivation = 'wide'\nclaim.spread = 0.0007\nclaim.spread_degrees = 4\n"
        "claim.spread_derivation = 'three models'"
    )
    (policy,) = resolve(read_chain(path, root=None)).policies
    assert (policy.seeds, policy.margin, policy.spread, policy.spread_degrees) == ((7, 8), 0.9, 0.0007, 4)
