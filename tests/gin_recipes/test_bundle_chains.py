"""The recipe folders of `bundles/`: each says what its row of the table says, and a control isolates what it names."""

import re
from collections import Counter
from pathlib import Path

import pytest

from hstu_preserve.gin_recipes.reader import BindingStatement, parse, read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.records.claim import ClaimPolicy, SelectionRule
from hstu_preserve.records.recipe import (
    DatasetSettings,
    EvaluationSettings,
    FullSoftmaxSettings,
    Protocol,
    Recipe,
    TrainingSettings,
)
from hstu_preserve.records.settings.encoders import HstuTfSettings
from hstu_preserve.runs.planning import find_gin
from tests.gin_recipes.bundle_chains import (
    ALL_FOLDERS,
    BASE,
    BUNDLES,
    COMPARISONS,
    CONTROLS,
    EXPERIMENTS,
    EXTENSIONS,
    FOUNDATION_ROWS,
    FOUNDATIONS,
    META_ROWS,
    RAILS,
    SAMPLE,
    SHARED,
    TENSORFLOW,
    Comparison,
    Extension,
    entry_of,
    list_differences,
    resolve_folder,
)
from tests.gin_recipes.upstream_settings import UPSTREAM_CONFIGS

BANDS = {"ml-1m": 0.03, "ml-20m": 0.014, "ml-32m": 0.014}
"""The relative margin of each dataset."""

every_folder = pytest.mark.parametrize("name", ALL_FOLDERS)


def upstream_recipe(file: str) -> Recipe:
    """Return what Meta's file means, with the one setting that ours has otherwise."""
    (config,) = (config for config in UPSTREAM_CONFIGS if config.file == file)
    recipe = config.expected_recipe()
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"save_ckpt_every_n": 50})})


def count_bindings(name: str) -> Counter[str]:
    """Return how often the chain's files bind each name."""
    chain = read_chain(entry_of(name), root=None)
    return Counter(
        str(statement.key)
        for file, content in chain.files
        for statement in parse(content, file=file, path=Path(file))
        if isinstance(statement, BindingStatement)
    )


def test_there_is_a_folder_for_every_row_and_no_other() -> None:
    folders = {path.name for path in BUNDLES.iterdir() if path.is_dir()}
    assert folders == {*ALL_FOLDERS, *FOUNDATIONS, SAMPLE, SHARED.name}


@every_folder
def test_a_folder_holds_its_entry_file_and_its_readme(name: str) -> None:
    folder = BUNDLES / name
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {f"config/{name}.gin", "README.md"}


@pytest.mark.parametrize("name", FOUNDATIONS)
def test_a_foundation_has_its_own_kind_of_evaluation(name: str) -> None:
    resolution = resolve_folder(name)
    assert (resolution.warnings, resolution.inert) == ((), ())
    assert resolution.recipe.evaluation.effective_kind is FOUNDATIONS[name]
    assert (BUNDLES / name / "README.md").read_text("utf-8").startswith(f"# {name}\n")
    assert name not in read_catalog()
    assert find_gin(name).samefile(entry_of(name))


@pytest.mark.parametrize("name", FOUNDATIONS)
def test_a_foundation_claims_the_margin_of_its_row_in_the_catalog(name: str) -> None:
    resolution, row = resolve_folder(name), FOUNDATION_ROWS.get(name)
    headline, *others = resolution.policies
    assert {policy.margin for policy in others} == {None}
    if row is None:
        assert headline.margin is None
        return
    entry = read_catalog()[row]
    published = entry.find_claim("ndcg@10")
    assert published is not None
    assert (headline.metric, headline.margin, headline.spread) == ("ndcg@10", published.margin, published.spread)
    assert headline.find_kind(resolution.recipe.evaluation) is entry.kind
    assert resolution.recipe.dataset.name == entry.dataset
    assert f"{published.value:.4f}" in (BUNDLES / name / "README.md").read_text("utf-8")


def test_sasrecs_recipes_differ_in_data_window_dropout_and_users_alone() -> None:
    ml_1m, *others = (resolve_folder(name).recipe for name in FOUNDATIONS if "-sasrec-" in name)
    assert (ml_1m.dataset.min_user_events, ml_1m.dataset.min_item_events) == (5, 5)
    allowed = {"dataset.name", "dataset.max_sequence_length", "model.dropout_rate", "evaluation.max_users"}
    assert [list_differences(ml_1m, other) for other in others] == [allowed] * 3


@every_folder
def test_the_id_alone_finds_the_chain(name: str) -> None:
    assert find_gin(name).samefile(entry_of(name))


@every_folder
def test_a_chain_resolves_without_a_notice(name: str) -> None:
    resolution = resolve_folder(name)
    assert resolution.warnings == ()
    assert resolution.inert == ()


@every_folder
def test_a_chain_binds_nothing_twice(name: str) -> None:
    assert [key for key, count in count_bindings(name).items() if count > 1] == []


@every_folder
def test_every_recipe_says_its_window_encoder_width_and_dropout_itself(name: str) -> None:
    bound = count_bindings(name)
    wanted = {"train_fn.max_sequence_length", "train_fn.item_embedding_dim", "train_fn.dropout_rate"}
    if resolve_folder(name).recipe.model.kind == "HSTU":
        wanted.add("hstu_encoder.linear_dropout_rate")
    assert wanted <= set(bound)


@pytest.mark.parametrize(("name", "file"), META_ROWS.items())
def test_a_paper_row_is_metas_recipe_but_for_the_checkpoints_written(name: str, file: str) -> None:
    recipe = resolve_folder(name).recipe
    assert recipe == upstream_recipe(file)


@pytest.mark.parametrize(("name", "extension"), EXTENSIONS.items())
def test_an_extension_is_metas_base_with_exactly_the_switches_of_its_row(name: str, extension: Extension) -> None:
    assert resolve_folder(name).recipe == extension.extend(upstream_recipe(META_ROWS[BASE]))


def test_the_tensorflow_row_is_its_scripts_settings() -> None:
    assert resolve_folder(TENSORFLOW).recipe == Recipe(
        dataset=DatasetSettings(
            name="ml-1m",
            fingerprint=None,
            protocol=Protocol.UPSTREAM,
            max_sequence_length=200,
            positional_sampling_ratio=1.0,
            candidates="rated",
        ),
        model=HstuTfSettings(
            kind="HSTU-TF",
            item_embedding_dim=50,
            dropout_rate=0.2,
            user_embedding_norm="l2_norm",
            gr_output_length=0,
            main_module_bf16=False,
            num_blocks=8,
            num_heads=2,
            padding_from="normalized_query",
        ),
        prism=None,
        input_compression=None,
        action_fusion=None,
        time_decay=None,
        loss=FullSoftmaxSettings(
            loss_module="FullSoftmaxLoss",
            padding_row=True,
            temperature=0.05,
            item_l2_norm=True,
            l2_norm_eps=1e-6,
            activation_checkpoint=False,
            interaction_module_type="DotProduct",
            weights={},
        ),
        hard_negatives=None,
        pop_debias=None,
        training=TrainingSettings(
            random_seed=42,
            num_epochs=100,
            local_batch_size=128,
            learning_rate=1e-3,
            weight_decay=0.0,
            num_warmup_steps=0,
            enable_tf32=False,
            save_ckpt_every_n=50,
            eval_interval=100,
            optimizer="TensorFlowAdam",
            user_sampling="with_replacement",
            patience=None,
        ),
        evaluation=EvaluationSettings(
            eval_batch_size=256,
            eval_user_max_batch_size=None,
            top_k_method="MIPSBruteForceTopK",
            full_eval_every_n=1,
            partial_eval_num_iters=32,
            filter_all_seen=True,
        ),
    )


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda one: f"{one.experiment} against {one.control}")
def test_a_control_differs_in_exactly_what_it_isolates(comparison: Comparison) -> None:
    experiment, control = (resolve_folder(name).recipe for name in (comparison.experiment, comparison.control))
    assert list_differences(experiment, control) == comparison.differences


def test_every_experiment_and_every_control_is_compared() -> None:
    compared = {name for one in COMPARISONS for name in (one.experiment, one.control)}
    assert compared >= {*EXPERIMENTS, *CONTROLS}


def test_no_two_folders_hold_one_recipe() -> None:
    digests = Counter(resolve_folder(name).recipe.digest() for name in ALL_FOLDERS)
    assert max(digests.values()) == 1


def test_compression_compresses_in_every_window_that_has_it() -> None:
    compressed = [recipe for name in EXTENSIONS if (recipe := resolve_folder(name).recipe).input_compression]
    assert {(recipe.dataset.max_sequence_length, recipe.padded_length) for recipe in compressed} == {
        (200, 211),
        (700, 311),
    }
    for recipe in compressed:
        settings = recipe.input_compression
        assert settings is not None
        older = recipe.dataset.max_sequence_length - settings.recent_len
        assert 0 < -(-older // settings.ratio) <= settings.num_tokens  # no event of the window is dropped


@every_folder
def test_a_claims_margin_is_its_datasets_band_around_the_published_number(name: str) -> None:
    resolution, catalog = resolve_folder(name), read_catalog()
    on_ml_20m = name in EXTENSIONS and resolution.recipe.dataset.name == "ml-20m"
    anchor = BASE if on_ml_20m else "iter7-exp6-ml32m-base" if name in EXTENSIONS else name
    assert resolution.policies[0].metric == "ndcg@10"
    for policy in resolution.policies:
        published = catalog[anchor].find_claim(policy.metric)
        assert published is not None
        assert policy.margin == pytest.approx(BANDS[resolution.recipe.dataset.name] * published.value, rel=0.02)
        assert policy.margin_derivation


@every_folder
def test_policies_are_of_the_final_epoch_and_the_recipes_seed(name: str) -> None:
    def is_plain(policy: ClaimPolicy) -> bool:
        return (policy.selection_rule, policy.seeds) == (SelectionRule.FINAL_EPOCH, (42,))

    assert all(map(is_plain, resolve_folder(name).policies))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_reconstruction_never_goes_by_the_archives_id(name: str) -> None:
    bundle, entry = resolve_folder(name).bundle, read_catalog()[name]
    assert not entry.recipe_is_published
    assert bundle.id == f"{name}-reconstruction"
    assert bundle.title.endswith(f", reconstruction of {name}")
    assert resolve_folder(name).recipe.dataset.name == entry.dataset


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_goes_by_its_folder(name: str) -> None:
    assert resolve_folder(name).bundle.id == name


@pytest.mark.parametrize("name", [*META_ROWS, TENSORFLOW, *RAILS])
def test_a_retraining_never_goes_by_a_published_results_id(name: str) -> None:
    assert resolve_folder(name).bundle.id == f"{name}-retrained"


def test_the_catalog_knows_every_folder_but_the_controls() -> None:
    assert {name for name in ALL_FOLDERS if name in read_catalog()} == {*EXPERIMENTS, *META_ROWS, TENSORFLOW, *RAILS}


def test_no_shared_file_is_left_over() -> None:
    used = {file for name in (*ALL_FOLDERS, *FOUNDATIONS) for file, _ in read_chain(entry_of(name), root=None).files}
    shared = {path.relative_to(BUNDLES).as_posix() for path in SHARED.rglob("*.gin")}
    assert shared == {file for file in used if file.startswith(f"{SHARED.name}/")}


def test_a_file_of_ones_own_may_change_what_it_includes(tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    copy_chain("iter8-exp4-SOTA", root)
    own = root / "mine" / "mine.gin"
    own.parent.mkdir()
    own.write_text(
        "include 'iter8-exp4-SOTA/config/iter8-exp4-SOTA.gin'\n"
        'hstu_encoder.linear_dropout_rate = 0.2\nbundle.licence = "MIT"\n'
    )
    resolution = resolve(read_chain(own, root=None))
    assert resolution.warnings == ()
    assert resolution.recipe == resolve_folder("control-additive-ic-td").recipe
    assert resolution.bundle.licence == "MIT"


def copy_chain(name: str, root: Path) -> None:
    """Write the chain's files below another root."""
    for file, content in read_chain(entry_of(name), root=None).files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content)


@every_folder
def test_a_readme_names_its_claim_its_comparisons_and_the_shared_text(name: str) -> None:
    text = (BUNDLES / name / "README.md").read_text("utf-8")
    assert text.startswith(f"# {name}\n")
    assert f"hstu-preserve train {name} " in text
    assert "../README.md" in text
    for comparison in COMPARISONS:
        if comparison.experiment == name:
            assert f"`{comparison.control}`" in text
    entry = read_catalog().get(name)
    for policy in resolve_folder(name).policies if entry else ():
        claim = entry.find_claim(policy.metric) if entry else None
        assert claim is not None
        assert f"{claim.value:.4f}" in text
    if name in EXPERIMENTS:
        assert "reconstruction" in text


def test_the_readme_of_all_lists_every_folder() -> None:
    text = (BUNDLES / "README.md").read_text("utf-8")
    assert [name for name in (*ALL_FOLDERS, *FOUNDATIONS, SAMPLE) if f"`{name}`" not in text] == []


def test_every_link_of_a_readme_leads_somewhere() -> None:
    for readme in BUNDLES.rglob("README.md"):
        links = re.findall(r"\]\(([^)#]+)", readme.read_text("utf-8"))
        assert [link for link in links if "://" not in link and not (readme.parent / link).exists()] == []
