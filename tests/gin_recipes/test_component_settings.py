"""Components in gin text: their defaults, what contradicts itself, and what a form of one does not read."""

from pathlib import Path

import pytest

from hstu_preserve.gin_recipes.bindings import SWITCHES
from hstu_preserve.primitives.json_values import Json
from tests.gin_recipes.gin_texts import CHUNK, HSTU, LOSS_DECAY, N128, ONE_TO_ONE, refuse, resolve_text

DEFAULTS: list[tuple[str, Json]] = [
    (
        "prism.variant = 'moe'",
        {
            "variant": "moe",
            "features": ["genres", "year"],
            "side_dim": 32,
            "hidden_dim": 64,
            "num_experts": 4,
            "expert_dim": 64,
            "top_k": 0,
            "router_temperature": 1.0,
            "film_scale": None,
            "load_balance_weight": 0.01,
            "apply_to": "input",
        },
    ),
    (
        "input_compression.pooling = 'chunk'",
        {
            "pooling": "chunk",
            "ratio": 4,
            "recent_len": 150,
            "num_tokens": 50,
            "decay": 1.0,
            "loss_on": "recent",
            "random_boundary": False,
        },
    ),
    ("action_fusion.enabled = True", {"enabled": True}),
    (
        "time_decay.mode = 'exp_power'",
        {
            "mode": "exp_power",
            "rate": 0.1,
            "learnable": True,
            "tau_seconds": 86_400.0,
            "beta": 0.5,
            "where": "attention",
            "per_layer": False,
        },
    ),
    (
        "hard_negatives.fraction = 0.25",
        {
            "fraction": 0.25,
            "pool_size": 2048,
            "warmup_epochs": 1,
            "exclude_history": True,
        },
    ),
    ("pop_debias.mode = 'logit_adjust'", {"mode": "logit_adjust", "alpha": 0.1}),
    ("pop_debias.mode = 'ips'", {"mode": "ips", "alpha": 0.5, "clip_min": 0.1, "clip_max": 10.0}),
    ("pop_debias.mode = 'pop_sampler'", {"mode": "pop_sampler", "mix": 0.5, "power": 1.0, "correct": True}),
]
"""What a component is where its recipe says no more than that it is there."""


@pytest.mark.parametrize(("text", "expected"), DEFAULTS)
def test_a_component_that_is_only_turned_on_has_the_defaults_of_its_definition(
    tmp_path: Path, text: str, expected: Json
) -> None:
    value = resolve_text(tmp_path, HSTU + N128 + text).recipe.to_json_value()
    assert isinstance(value, dict)
    assert value[text.split(".", maxsplit=1)[0]] == expected


def test_the_defaults_are_checked_for_every_component_and_every_debiasing() -> None:
    assert {text.split(".", maxsplit=1)[0] for text, _ in DEFAULTS} == {switch.section for switch in SWITCHES}
    (debias,) = (switch for switch in SWITCHES if switch.section == "pop_debias")
    assert [text.split("'")[1] for text, _ in DEFAULTS if text.startswith("pop_debias")] == list(debias.on)


@pytest.mark.parametrize(
    ("text", "culprits"),
    [
        ("prism.variant = 'film'\nprism.features = []", ["prism.features"]),
        (
            "prism.variant = 'film'\nprism.features = ['genres', 'rating']\nprism.apply_to = 'shared'",
            ["prism.features", "prism.apply_to"],
        ),
        ("prism.variant = 'film'\nprism.features = ['genres', 'genres']", ["prism.features", "twice"]),
        (
            "input_compression.pooling = 'learned'\ntrain_fn.main_module = 'SASRec'",
            ["input_compression.pooling", "train_fn.main_module"],
        ),
        (
            "input_compression.pooling = 'learned'\ntime_decay.mode = 'exp'\ntime_decay.where = 'pool'",
            ["input_compression.pooling", "time_decay.where"],
        ),
        (
            f"{CHUNK}\n{ONE_TO_ONE}\ntime_decay.mode = 'exp'\ntime_decay.where = 'pool'",
            ["input_compression.pooling", "input_compression.ratio", "time_decay.where"],
        ),
        (
            f"{LOSS_DECAY}\ntime_decay.per_layer = True",
            ["time_decay.per_layer", "time_decay.where"],
        ),
        ("prism.variant = 'moe'\nprism.top_k = 5", ["prism.top_k", "prism.num_experts (default 4)"]),
        (
            "input_compression.pooling = 'chunk'\ninput_compression.recent_len = 200",
            ["input_compression.recent_len", "train_fn.max_sequence_length (default 200)"],
        ),
        ("train_fn.main_module = 'HSTU-TF'\nprism.variant = 'film'", ["train_fn.main_module", "prism.variant"]),
        ("train_fn.main_module = 'SASRec'\ntime_decay.mode = 'power'", ["train_fn.main_module", "time_decay.where"]),
        ("time_decay.mode = 'exp'\ntime_decay.where = 'pool'", ["time_decay.where", "input_compression.pooling"]),
        ("time_decay.mode = 'exp'\ntime_decay.where = 'loss'", ["time_decay.where", "time_decay.learnable"]),
        (
            "hard_negatives.fraction = 0.5\ntrain_fn.loss_module = 'FullSoftmaxLoss'",
            ["hard_negatives.fraction", "train_fn.loss_module"],
        ),
        (
            "pop_debias.mode = 'pop_sampler'\ntrain_fn.loss_module = 'FullSoftmaxLoss'",
            ["pop_debias.mode", "train_fn.loss_module"],
        ),
        (
            "pop_debias.mode = 'pop_sampler'\ntrain_fn.sampling_strategy = 'in-batch'",
            ["pop_debias.mode", "train_fn.sampling_strategy"],
        ),
        (
            "hard_negatives.fraction = 0.5\ntrain_fn.sampling_strategy = 'in-batch'",
            ["hard_negatives.fraction", "train_fn.sampling_strategy"],
        ),
        (
            f"{N128}hard_negatives.fraction = 0.003",
            ["hard_negatives.fraction", "train_fn.num_negatives", "rounds to none"],
        ),
        (
            f"{N128}hard_negatives.fraction = 0.25\nhard_negatives.pool_size = 31",
            ["hard_negatives.fraction", "hard_negatives.pool_size", "train_fn.num_negatives"],
        ),
        (
            f"{N128}hard_negatives.fraction = 0.25\nhard_negatives.warmup_epochs = 101",
            ["hard_negatives.warmup_epochs", "train_fn.num_epochs (default 101)"],
        ),
        (
            f"{N128}hard_negatives.fraction = 0.25\npop_debias.mode = 'pop_sampler'",
            ["hard_negatives.fraction", "pop_debias.mode", "pop_debias.correct (default True)"],
        ),
        ("pop_debias.mode = 'ips'\npop_debias.clip_min = 11", ["pop_debias.clip_min", "pop_debias.clip_max"]),
        ("training.patience = 3", ["training.patience", "data.protocol (default 'upstream')"]),
        (
            "training.optimizer = 'TensorFlowAdam'",
            ["training.optimizer", "train_fn.weight_decay (default 0.001)"],
        ),
        (
            "time_decay.mode = 'exp'\ntime_decay.per_layer = True\ntime_decay.learnable = False",
            ["time_decay.per_layer", "time_decay.learnable"],
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_their_gin_names(
    tmp_path: Path, text: str, culprits: list[str]
) -> None:
    (line,) = refuse(tmp_path, HSTU + text)
    for culprit in culprits:
        assert culprit in line
    assert line.startswith("r.gin:")


@pytest.mark.parametrize(
    "text",
    [
        "hard_negatives.fraction = 0.004",
        "hard_negatives.fraction = 0.25\nhard_negatives.pool_size = 32",
        "hard_negatives.fraction = 0.25\nhard_negatives.warmup_epochs = 100",
        "hard_negatives.fraction = 0.25\npop_debias.mode = 'pop_sampler'\npop_debias.correct = False",
        "hard_negatives.fraction = 0.25\npop_debias.mode = 'pop_sampler'\npop_debias.mix = 0",
        "hard_negatives.fraction = 0.25\npop_debias.mode = 'logit_adjust'",
    ],
)
def test_what_just_fits_is_taken(tmp_path: Path, text: str) -> None:
    resolution = resolve_text(tmp_path, HSTU + N128 + text)
    assert resolution.recipe.hard_negatives is not None
    assert resolution.warnings == ()


@pytest.mark.parametrize("off", ["0", "0.0"])
def test_a_fraction_of_nothing_is_off_however_it_is_written(tmp_path: Path, off: str) -> None:
    assert resolve_text(tmp_path, f"hard_negatives.fraction = {off}").recipe.hard_negatives is None


@pytest.mark.parametrize("pooling", ["chunk", "category"])
def test_one_event_per_token_compresses_nothing_so_that_any_window_fits(tmp_path: Path, pooling: str) -> None:
    text = f"input_compression.pooling = '{pooling}'\ninput_compression.ratio = 1\ntrain_fn.max_sequence_length = 20"
    recipe = resolve_text(tmp_path, text).recipe
    assert recipe.input_compression is not None
    assert recipe.padded_length == 20 + 10 + 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("prism.variant = 'moe'\nprism.router_temperature = 1e-300", "prism.router_temperature"),
        ("prism.variant = 'film'\nprism.film_scale = 1e-300", "prism.film_scale"),
        ("pop_debias.mode = 'ips'\npop_debias.clip_min = 1e-300", "pop_debias.clip_min"),
        ("\ntrain_fn.temperature = 1e-300", "train_fn.temperature"),
        ("\ntrain_fn.l2_norm_eps = 1e-300", "train_fn.l2_norm_eps"),
    ],
)
def test_what_would_make_training_infinite_is_refused(tmp_path: Path, text: str, name: str) -> None:
    (line,) = refuse(tmp_path, text)
    assert line.startswith(f"r.gin:2: {name}: ")
    assert "1e-300 is below 1e-" in line


MOE_ONLY = {
    "num_experts": 8,
    "expert_dim": 16,
    "top_k": 3,
    "router_temperature": 0.7,
    "load_balance_weight": 3.0,
}
ADDITIVE = "prism.variant = 'additive'"
FILM = "prism.variant = 'film'"
ALL_BY_UNIFORM_DRAW = "pop_debias.mode = 'pop_sampler'\npop_debias.mix = 0"


@pytest.mark.parametrize(
    ("chosen", "idle", "reason"),
    [
        *((ADDITIVE, f"prism.{name} = {value}", ADDITIVE) for name, value in MOE_ONLY.items()),
        *((FILM, f"prism.{name} = {value}", FILM) for name, value in MOE_ONLY.items()),
        (ADDITIVE, "prism.film_scale = 0.5", ADDITIVE),
        ("prism.variant = 'moe'", "prism.film_scale = None", "prism.variant = 'moe'"),
        ("time_decay.mode = 'power'", "time_decay.beta = 1.0", "time_decay.mode = 'power'"),
        ("time_decay.mode = 'exp'", "time_decay.beta = 1.0", "time_decay.mode = 'exp'"),
        (
            f"time_decay.mode = 'exp'\ntime_decay.where = 'pool'\n{CHUNK}",
            "input_compression.decay = 0.5",
            "time_decay.where = 'pool'",
        ),
        *(
            (f"input_compression.pooling = '{pooling}'", line, f"input_compression.pooling = '{pooling}'")
            for pooling, line in (
                ("category", "input_compression.ratio = 16"),
                ("learned", "input_compression.ratio = 16"),
                ("learned", "input_compression.decay = 0.5"),
            )
        ),
        *(
            (f"{CHUNK}\n{ONE_TO_ONE}", f"input_compression.{line}", ONE_TO_ONE)
            for line in (
                "random_boundary = True",
                "recent_len = 9",
                "num_tokens = 9",
                "decay = 0.5",
                "loss_on = 'recent'",
            )
        ),
        (ALL_BY_UNIFORM_DRAW, "pop_debias.power = 2.0", "pop_debias.mix = 0"),
        (ALL_BY_UNIFORM_DRAW, "pop_debias.correct = False", "pop_debias.mix = 0"),
    ],
)
def test_what_a_components_form_does_not_read_is_warned_of_and_makes_no_other_recipe(
    tmp_path: Path, chosen: str, idle: str, reason: str
) -> None:
    text = HSTU + chosen
    resolution = resolve_text(tmp_path, f"{text}\n{idle}")
    line, name = text.count("\n") + 2, idle.split(" ", maxsplit=1)[0]
    assert [str(notice) for notice in resolution.warnings] == [f"r.gin:{line}: {name} is not read by {reason}"]
    assert resolution.recipe.digest() == resolve_text(tmp_path, text).recipe.digest()


@pytest.mark.parametrize(
    ("chosen", "read"),
    [
        *(("prism.variant = 'moe'", f"prism.{name} = {value}") for name, value in MOE_ONLY.items()),
        (FILM, "prism.film_scale = 0.5"),
        ("time_decay.mode = 'exp_power'", "time_decay.beta = 1.0"),
        (CHUNK, "input_compression.ratio = 2"),
        (f"{CHUNK}\ntime_decay.mode = 'exp'", "input_compression.decay = 0.5"),
        (CHUNK, "input_compression.random_boundary = True"),
        ("input_compression.pooling = 'category'", "input_compression.ratio = 1"),
        ("pop_debias.mode = 'pop_sampler'", "pop_debias.power = 0.5"),
    ],
)
def test_what_a_components_form_reads_makes_another_recipe_without_a_warning(
    tmp_path: Path, chosen: str, read: str
) -> None:
    resolution = resolve_text(tmp_path, f"{HSTU}{chosen}\n{read}")
    assert resolution.warnings == ()
    assert resolution.recipe != resolve_text(tmp_path, HSTU + chosen).recipe


def test_more_experts_kept_than_there_are_is_no_matter_where_there_are_none(tmp_path: Path) -> None:
    resolution = resolve_text(tmp_path, f"{HSTU}{ADDITIVE}\nprism.top_k = 5")
    assert [notice.message for notice in resolution.warnings] == [f"prism.top_k is not read by {ADDITIVE}"]


def test_a_decay_that_is_off_does_not_stand_in_for_that_of_compression(tmp_path: Path) -> None:
    resolution = resolve_text(tmp_path, f"{HSTU}{CHUNK}\ninput_compression.decay = 0.5\ntime_decay.where = 'pool'")
    assert resolution.recipe.input_compression is not None
    assert resolution.recipe.input_compression.decay == 0.5
    assert [notice.message for notice in resolution.warnings] == [
        "time_decay.where is not read by time_decay.mode = 'none'"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{ADDITIVE}\nprism.num_experts = 'x'", "Input should be a valid integer (found 'x')"),
        (f"{ADDITIVE}\nprism.num_experts = 0", "Input should be greater than or equal to 1 (found 0)"),
        (f"{ADDITIVE}\nprism.film_scale = -1", "Input should be greater than 0 (found -1)"),
    ],
)
def test_what_is_not_read_must_fit_all_the_same(tmp_path: Path, text: str, problem: str) -> None:
    assert refuse(tmp_path, HSTU + text) == [f"r.gin:4: {text.split()[3]}: {problem}"]
