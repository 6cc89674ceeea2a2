"""Settings that follow a gin chain: one more file of the chain, which reads as the settings say."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.cli.main import main
from hstu_preserve.errors import RecipeError
from hstu_preserve.gin_recipes.overlay import MAX_BINDINGS, parse_binding, read_changed_chain
from hstu_preserve.gin_recipes.reader import GinChain, read_chain
from hstu_preserve.gin_recipes.resolve import Resolution, resolve

MINE = """
train_fn.main_module = "HSTU"
rate = 0.1
train_fn.learning_rate = %rate
hstu_encoder.num_blocks = 3
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "recipes" / "mine.gin"
    path.parent.mkdir()
    path.write_text(MINE)
    return path


def read_again(chain: GinChain, folder: Path) -> Resolution:
    """Write a chain's files, as a run does, and resolve what is there."""
    for name, content in chain.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return resolve(read_chain(folder / chain.entry, root=folder))


def test_a_chain_without_settings_is_as_it_is(mine: Path) -> None:
    assert read_changed_chain(mine, root=None, settings=()) == read_chain(mine, root=None)


def test_settings_are_the_last_word_and_part_of_the_chain(mine: Path, tmp_path: Path) -> None:
    settings = ["hstu_encoder.num_blocks = 5", "rate = 0.2  # late bound", 'claim.metric = "hr@10"']
    chain = read_changed_chain(mine, root=None, settings=settings)
    found = resolve(chain)
    assert found.recipe.model.num_blocks == 5
    assert found.recipe.training.learning_rate == 0.2
    assert found.policies[0].metric == "hr@10"
    assert found.bundle.id == "mine-set"
    assert [name for name, _ in chain.files] == ["mine-set.gin", "mine.gin"]
    again = read_again(chain, tmp_path / "run")
    assert (again.recipe, again.policies, again.bundle) == (found.recipe, found.policies, found.bundle)
    assert sorted(path.name for path in mine.parent.iterdir()) == ["mine.gin"]  # nothing is written beside it


def test_an_included_chain_and_a_file_of_that_name_are_left_alone(mine: Path, tmp_path: Path) -> None:
    (mine.parent / "mine-set.gin").write_text("include 'mine.gin'\nhstu_encoder.num_heads = 2\n")
    chain = read_changed_chain(mine.parent / "mine-set.gin", root=None, settings=["hstu_encoder.num_blocks = 5"])
    assert [name for name, _ in chain.files] == ["mine-set-set.gin", "mine-set.gin", "mine.gin"]
    assert read_changed_chain(mine, root=None, settings=["rate = 1.0"]).entry == "mine-set-2.gin"
    assert read_again(chain, tmp_path / "run").recipe == resolve(chain).recipe


def test_another_seed_keeps_the_seeds_behind_a_claim_the_own_one_first(mine: Path, tmp_path: Path) -> None:
    mine.write_text(MINE + 'claim.seeds = (42, 43)\nhr/claim.metric = "hr@10"\nhr/claim.seeds = (42, 44)\n')
    for seed, entry, expected in (
        (42, "mine.gin", [(42, 43), (42, 44)]),
        (43, "mine-seed-43.gin", [(43, 42), (43,)]),
        (45, "mine-seed-45.gin", [(45,), (45,)]),
    ):
        chain = read_changed_chain(mine, root=None, settings=(), seed=seed)
        found = resolve(chain)
        assert (chain.entry, found.recipe.training.random_seed) == (entry, seed)
        assert [policy.seeds for policy in found.policies] == expected
        again = read_again(chain, tmp_path / str(seed))
        assert (again.recipe, again.policies, again.bundle) == (found.recipe, found.policies, found.bundle)
    both = read_changed_chain(mine, root=None, settings=["rate = 0.3"], seed=7)
    assert (both.entry, resolve(both).recipe.training.learning_rate) == ("mine-set-seed-7.gin", 0.3)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("hstu_encoder.num_block = 1", "unknown gin name; did you mean 'hstu_encoder.num_blocks'"),
        ('hstu_encoder.num_blocks = "two"', "should be a valid integer"),
        ("hstu_encoder.num_blocks = two", "no gin value"),
        ("nonsense", "expected NAME.ARGUMENT = VALUE"),
        ("", "not one binding"),
        ("# nothing", "not one binding"),
        ("import os", "import of os refused"),
        ("include 'mine.gin'", "not one binding"),
        ("a.b = 1\nc.d = 2", "not one binding"),
        ("a.b = 1\x0cc.d = 2", "not gin"),
        ("a.b = @f()", "would call a function"),
        ("a.b = " + "[" * 99, "nested deeper"),
        ("train_fn.learning_rate = %absent", "undefined macro"),
        ("\udcff.a = 1", "not UTF-8"),
        ("claim.margin = 2.0", "claim.margin"),
    ],
)
def test_a_bad_setting_is_quoted_and_exits_2(
    setting: str, reason: str, mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RecipeError, match="--set "):
        resolve(read_changed_chain(mine, root=None, settings=[setting]))
    if not setting.isascii() or not setting:
        return  # no argument of a process
    assert main(["show", str(mine), "--set", setting]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --set ")
    assert reason in error
    assert setting.split(maxsplit=1)[0] in error


@pytest.mark.parametrize("more", [[], ["--seeds", "2"]], ids=["one seed", "several"])
@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("sasrec_encoder.num_blocks = 3", "sasrec_encoder.num_blocks is not read by HSTU"),
        ("prism.num_experts = 3", "prism.num_experts is not read by prism.variant = 'none'"),
        ("create_data_loader.num_workers = 3", "create_data_loader.num_workers decides no result here"),
        ("width = 3", "macro width is never used"),
        ("x/train_fn.num_epochs = 3", "scoped binding is never read"),
    ],
)
def test_a_setting_that_nothing_reads_is_not_trained(
    setting: str, why: str, more: list[str], mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--set", "rate = 0.2", "--set", setting, "--output", str(tmp_path / "run"), *more]
    assert main(["train", str(mine), *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: --set '{setting}': ")
    assert f"{why}, so that the recipe stays as it is without it; leave it out" in error
    assert not (tmp_path / "run").exists()


def test_a_setting_that_nothing_reads_is_warned_of_and_quoted(mine: Path) -> None:
    (warning,) = resolve(read_changed_chain(mine, root=None, settings=["sasrec_encoder.num_blocks = 3"])).warnings
    assert str(warning).startswith("--set 'sasrec_encoder.num_blocks = 3': ")


def test_too_many_settings_are_refused(mine: Path) -> None:
    with pytest.raises(RecipeError, match="write a gin file"):
        read_changed_chain(mine, root=None, settings=["rate = 0.1"] * (MAX_BINDINGS + 1))


@given(st.text(max_size=60))
def test_any_text_is_one_binding_or_refused_with_its_quote(text: str) -> None:
    try:
        told = str(parse_binding(text).binding.location)
    except RecipeError as error:
        told = str(error)
    assert told.startswith("--set ")


def test_show_tells_the_changed_recipe_and_refuses_to_change_a_bundle(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(mine), "--set", "hstu_encoder.num_blocks = 5"]) == 0
    printed = capsys.readouterr().out
    assert "hstu_encoder.num_blocks = 5" in printed
    assert "mine-set.gin, mine.gin" in printed
    assert main(["show", "sample", "--set", "hstu_encoder.num_blocks = 5"]) == 2
    assert "--set changes the recipe of a gin file only" in capsys.readouterr().err
