"""Train the recipe of a gin file or an id, and write a run directory, or a folder of them with a seed each."""

from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.data.finding import find_store_for_recipe
from hstu_preserve.gin_recipes.overlay import read_changed_chain, require_read
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.primitives.given_paths import as_path
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.results import TrainingResult
from hstu_preserve.runs.durability import Durability
from hstu_preserve.runs.plan import Plan
from hstu_preserve.runs.planning import find_gin, make_plan
from hstu_preserve.runs.seeds import plan_runs, train_runs
from hstu_preserve.runs.training import train_chain
from hstu_preserve.studies.results import TrainedSeeds


def train(
    gin: str | Path,
    *,
    output: str | Path,
    data: str | Path | None = None,
    gin_root: str | Path | None = None,
    settings: Sequence[str] = (),
    device: str = "auto",
    durability: Durability = Durability(),  # noqa: B008  frozen
    voice: Voice = SILENT,
) -> TrainingResult:
    """Train the recipe of a gin chain and write the run directory that `pack` takes.

    In the main thread, the signals that ask a process to end (SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGUSR1) save the run
    before training ends.

    Args:
        gin: The chain's entry file, or the id of a chain that comes with the program.
        output: The run directory; must not exist, or be empty, unless a run there is resumed.
        data: The store; None searches the folder that HSTU_PRESERVE_DATA names.
        gin_root: The folder that includes may not leave.
        settings: `NAME = VALUE`, gin bindings that follow the chain; the run holds them as one more gin file.
        device: `auto`, `cpu` or `cuda`.
        durability: Whether to go on with the run in `output` (from its newest whole checkpoint, or from the start if
            there is none), when checkpoints are written beside those the recipe asks for, and which stay.
        voice: Shows every step and evaluation; says where a resumed run goes on, and what was saved before leaving.

    Raises:
        RecipeError: The chain does not resolve, or a setting is not one binding, or one that nothing reads.
        DataMismatchError: The store is not the recipe's, or not the resumed run's.
        UsageError: The output is in use or holds another run, or data that may not be redistributed shall be included.
        CheckpointError: The run cannot be resumed, since none of its checkpoints is whole.
        ContentError: No user has enough events to be trained on, or the loss became NaN or infinite.
        UnavailableError: No torch, no such device, no data, or the output cannot be written.
    """
    plan = make_plan(gin, data=data, gin_root=gin_root, settings=settings, device=device)
    return train_chain(plan, output=Path(output), durability=durability, voice=voice)


def train_seeds(
    gin: str | Path,
    *,
    num_seeds: int,
    output: str | Path,
    data: str | Path | None = None,
    gin_root: str | Path | None = None,
    settings: Sequence[str] = (),
    device: str = "auto",
    durability: Durability = Durability(),  # noqa: B008  frozen
    voice: Voice = SILENT,
) -> TrainedSeeds:
    """Train a recipe with several seeds, one after the other, into one folder; the same call goes on where it was cut.

    The seeds are the recipe's own and the numbers after it. Each run is `output/seed-N`, as `train` makes it; a run
    that is finished is not trained again, and a later call may ask for more seeds.

    Args:
        gin: The chain's entry file, or the id of a chain that comes with the program.
        num_seeds: 1 to 99.
        output: The folder; holds nothing else than runs of this recipe.
        data: The store; None searches the folder that HSTU_PRESERVE_DATA names.
        gin_root: The folder that includes may not leave.
        settings: `NAME = VALUE`, gin bindings that follow the chain.
        device: `auto`, `cpu` or `cuda`.
        durability: When checkpoints are written, and which stay.
        voice: Shows every step and evaluation; says which seed is trained.

    Raises:
        RecipeError: The chain does not resolve, or a setting is not one binding, or one that nothing reads.
        DataMismatchError: The store is not the recipe's.
        UsageError: No sensible number of seeds, or the folder holds something else, or another recipe's runs.
        ContentError: No user has enough events to be trained on.
        UnavailableError: No torch, no such device, no data, or the folder cannot be written.
    """
    entry, output, data, gin_root = find_gin(gin), Path(output), as_path(data), as_path(gin_root)
    resolution = resolve(read_changed_chain(entry, root=gin_root, settings=settings))
    require_read(resolution)
    recipe = resolution.recipe
    store = find_store_for_recipe(recipe.dataset, data)

    def plan_seed(seed: int) -> Plan:
        chain = read_changed_chain(entry, root=gin_root, settings=settings, seed=seed)
        return Plan(chain=chain, resolution=resolve(chain), store=store, device=device)

    runs = plan_runs(recipe.training.random_seed, num_seeds=num_seeds, output=output, make_plan=plan_seed)
    return train_runs(runs, output=output, durability=durability, voice=voice)


def train_seed_of_plan(
    plan: str | Path,
    *,
    seed: int,
    output: str | Path,
    data: str | Path | None = None,
    device: str = "auto",
    durability: Durability = Durability(),  # noqa: B008  frozen
    voice: Voice = SILENT,
) -> TrainingResult:
    """Train one retraining of a plan, on this or any other machine; `reproduce` judges the runs of all its seeds.

    Args:
        plan: The `plan.json` that `reproduce --rung training --seeds N --output DIR` wrote; nothing else is needed.
        seed: One of its seeds.
        output: The run directory; `DIR/seed-SEED` is where `reproduce` looks for it.
        data: The store; None searches the folder that HSTU_PRESERVE_DATA names.
        device: `auto`, `cpu` or `cuda`.
        durability: As `train` has it.
        voice: Shows every step and evaluation.

    Raises:
        UsageError: The plan does not have the seed, or the output is in use or holds another run.
        ContentError: It is no plan, or the loss became NaN or infinite.
        DataMismatchError: The store is not the plan's.
        UnavailableError: No torch, no such device, no data, or the output cannot be written.
    """
    from hstu_preserve.retraining.planned_training import resolve_plan, train_planned
    from hstu_preserve.retraining.stored_plans import read_plan

    read = read_plan(Path(plan))
    dataset = resolve_plan(read).recipe.dataset.model_copy(update={"fingerprint": read.data_fingerprint})
    return train_planned(
        read,
        seed=seed,
        store=find_store_for_recipe(dataset, as_path(data)),
        device=device,
        output=Path(output),
        durability=durability,
        voice=voice,
    )
