"""`train`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hstu_preserve.cli.completion import complete_recipes
from hstu_preserve.cli.options import DeviceOption, GinRootOption, JsonOption, SetOption
from hstu_preserve.cli.output import emit, is_first_process
from hstu_preserve.cli.voice import spoken
from hstu_preserve.errors import ContentError

if TYPE_CHECKING:
    from hstu_preserve.records.estimates.costs import Rehearsal
    from hstu_preserve.records.results import TrainingResult
    from hstu_preserve.studies.results import TrainedSeeds

EXAMPLES = (
    "hstu-preserve train paper-hstu-ml-1m --output run",
    "hstu-preserve train paper-hstu-ml-1m --dry-run",
    "hstu-preserve train recipe.gin --data stores/ml-1m --output run",
    "hstu-preserve train recipe.gin --output run --resume",
    "hstu-preserve train recipe.gin --set 'train_fn.num_epochs = 5' --output run",
    "hstu-preserve train recipe.gin --seeds 5 --output study",
    "hstu-preserve train --plan again/plan.json --seed 3 --output again/seed-3",
)


def command(
    gin: Annotated[
        str | None,
        typer.Argument(
            metavar="GIN|ID",
            help="The gin file, or the id of a chain shipped with us.",
            autocompletion=complete_recipes,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="The new directory; needed but for --dry-run.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="The store; else one in the folder that HSTU_PRESERVE_DATA names."),
    ] = None,
    gin_root: GinRootOption = None,
    settings: SetOption = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            metavar="N",
            min=1,
            max=99,
            help="Train N seeds, from the recipe's own on, each into --output/seed-K; the same command goes on.",
        ),
    ] = None,
    device: DeviceOption = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --output from its newest whole checkpoint.")
    ] = False,
    keep_checkpoints: Annotated[
        int,
        typer.Option(
            "--keep-checkpoints", metavar="K", min=0, help="Keep the newest K after an epoch, and the best; 0: all."
        ),
    ] = 2,
    checkpoint_minutes: Annotated[
        float,
        typer.Option(
            "--checkpoint-minutes", metavar="M", min=0.0, help="Write one within an epoch after so many minutes."
        ),
    ] = 10.0,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", help="Train a seed of this plan, which 'reproduce --seeds' wrote."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="SEED", help="Which seed of the plan.")] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Take three steps, say what all would cost, and write nothing."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Train a recipe into a run directory.

    'pack' makes a bundle of a finished run. With --seeds, a folder of runs that 'compare' takes.
    """
    from hstu_preserve.rehearsals.asked import require_output, require_rehearsable
    from hstu_preserve.retraining.asked import choose_planned
    from hstu_preserve.runs.durability import Durability
    from hstu_preserve.verbs.train import train, train_seed_of_plan, train_seeds

    others = {"--set": settings, "--seeds": seeds, "--gin-root": gin_root}
    planned = choose_planned(gin, plan=plan, seed=seed, others=[name for name, value in others.items() if value])
    run: Callable[..., Rehearsal | TrainingResult | TrainedSeeds]
    if planned is not None:
        run = partial(train_seed_of_plan, planned.path, seed=planned.seed)
    else:
        several = train if seeds is None else partial(train_seeds, num_seeds=seeds)
        run = partial(several, gin or "", gin_root=gin_root, settings=tuple(settings or ()))
    if dry_run:
        from hstu_preserve.rehearsals.dry_run import preview_training

        require_rehearsable({"--plan": planned is not None, "--resume": resume})
        run = partial(preview_training, gin or "", num_seeds=seeds or 1, gin_root=gin_root, settings=settings or ())
    else:
        durability = Durability(resume=resume, num_kept=keep_checkpoints, minutes=checkpoint_minutes)
        run = partial(run, durability=durability, output=require_output(output))
    with spoken() as voice:
        result = run(output=output, data=data, device=device, voice=voice)
    if is_first_process():
        emit(result, as_json=json)
    if not result.ok:  # a seed diverged
        raise typer.Exit(ContentError.exit_code)
