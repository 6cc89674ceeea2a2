"""Evaluate a checkpoint: a bundle's, a run's, or one that upstream's code wrote."""

from pathlib import Path

from hstu_preserve.data.split import Part
from hstu_preserve.data.store import Store
from hstu_preserve.errors import DataMismatchError
from hstu_preserve.evaluation.items import describe_items
from hstu_preserve.evaluation.ranks import write_ranks
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import load_state
from hstu_preserve.records.environment import NumericsRecord
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.results import EvaluationResult
from hstu_preserve.training.checkpoint import read_checkpoint
from hstu_preserve.training.determinism import repeatable_arithmetic
from hstu_preserve.training.distributed import require_alone
from hstu_preserve.workflows.bundles import open_bundle
from hstu_preserve.workflows.destinations import require_new
from hstu_preserve.workflows.evaluation import Evaluated, evaluate_model, evaluators_agree
from hstu_preserve.workflows.machine import choose_device, describe_environment, describe_numerics
from hstu_preserve.workflows.obtaining import obtain_local
from hstu_preserve.workflows.progress import Announcer, Listener, ignore, say_nothing
from hstu_preserve.workflows.stores import (
    find_store_for_recipe,
    locate_store_for_bundle,
    open_pinned_store,
    open_store_for_bundle,
)


def evaluate(
    target: str | Path,
    *,
    data: Path | None = None,
    ranks: Path | None = None,
    device: str = "auto",
    listener: Listener = ignore,
    announce: Announcer = say_nothing,
) -> EvaluationResult:
    """Rank every user's test item with the checkpoint behind a bundle's claims.

    Args:
        target: A bundle, run directory, `sample`, a catalog id or an `hf://` address; what is not here is fetched.
        data: The store; None takes the bundle's own or searches the folder that HSTU_PRESERVE_DATA names.
        ranks: A new file for per-user ranks, as `.npz`; None writes none.
        device: `auto`, `cpu` or `cuda`.
        listener: Hears of each batch.
        announce: Is told what will be fetched, and how much, before it is.

    Raises:
        UsageError: The file for the ranks exists, or lies in a run, bundle or store.
        ContentError: The bundle, checkpoint or data is not what it claims to be.
        UnavailableError: No torch, device or data, or the bundle cannot be fetched.
    """
    if ranks is not None:
        require_new(ranks, option="--ranks")
    path = obtain_local(str(target), announce=announce, listener=listener).path
    with open_bundle(path, identity=None) as bundle:
        run = bundle.manifest.run
        store = open_store_for_bundle(run.data, locate_store_for_bundle(run.data, data, carried=bundle.data))
        evaluated, numerics = evaluate_checkpoint(
            bundle.checkpoint, recipe=run.recipe, store=store, device=device, listener=listener
        )
        checkpoint = bundle.manifest.checkpoint
    return make_result(str(target), evaluated, checkpoint=checkpoint, numerics=numerics, ranks_path=ranks, warnings=())


def evaluate_file(
    checkpoint: Path,
    *,
    gin: Path,
    data: Path | None = None,
    gin_root: Path | None = None,
    ranks: Path | None = None,
    device: str = "auto",
    listener: Listener = ignore,
) -> EvaluationResult:
    """Rank every user's test item with a checkpoint file, ours or upstream's, and the gin file it was trained with.

    Args:
        checkpoint: As `torch.save` wrote it, names with or without DDP's `module.`.
        gin: The chain's entry file; its shapes must be the checkpoint's.
        data: The store; None searches the folder that HSTU_PRESERVE_DATA names.
        gin_root: The folder that includes may not leave.
        ranks: A new file for per-user ranks, as `.npz`; None writes none.
        device: `auto`, `cpu` or `cuda`.
        listener: Hears of each batch.

    Raises:
        UsageError: The file for the ranks exists, or lies in a run, bundle or store.
        RecipeError: The chain does not resolve.
        CheckpointError: The checkpoint cannot be read or has other shapes; the first differing tensors are named.
        UnavailableError: No torch, device or data.
    """
    if ranks is not None:
        require_new(ranks, option="--ranks")
    resolution = resolve(read_chain(gin, root=gin_root))
    settings = resolution.recipe.dataset
    warnings = tuple(map(str, resolution.warnings))
    if data is None:
        store = find_store_for_recipe(settings, None)
    else:
        store = open_pinned_store(settings, data)
        warnings += warn_of_borrowed_name(settings.name, store)
    evaluated, numerics = evaluate_checkpoint(
        checkpoint, recipe=resolution.recipe, store=store, device=device, listener=listener
    )
    return make_result(
        str(checkpoint),
        evaluated,
        checkpoint=str(checkpoint),
        numerics=numerics,
        ranks_path=ranks,
        warnings=warnings,
    )


def warn_of_borrowed_name(name: str, store: Store) -> tuple[str, ...]:
    """Return a warning where a gin file names another dataset than the store.

    Upstream's code knows few names, so that whoever ran it on other data borrowed one.
    """
    if name == store.name:
        return ()
    return (f"the gin file is for {name}, the store holds {store.name}: the figures are of {store.name}",)


def evaluate_checkpoint(
    path: Path, *, recipe: Recipe, store: Store, device: str, listener: Listener
) -> tuple[Evaluated, NumericsRecord]:
    """Return the test evaluation of a checkpoint file, and the arithmetic it was made with."""
    require_alone("evaluate")
    checkpoint = read_checkpoint(path)
    if checkpoint.data_fingerprint not in {None, store.fingerprint}:
        raise DataMismatchError(
            f"{path}: trained on other data (fingerprint {checkpoint.data_fingerprint}, "
            f"the store's is {store.fingerprint})"
        )
    chosen = choose_device(device)
    with repeatable_arithmetic(tf32=recipe.training.enable_tf32):
        model = Recommender(recipe, describe_items(store, recipe))
        load_state(model, checkpoint.weights, source=str(path))
        evaluated = evaluate_model(
            model.to(chosen),
            store,
            part=Part.TEST,
            epoch=checkpoint.epoch,
            device=chosen,
            num_batches=None,
            listener=listener,
        )
        dtype = "bfloat16" if recipe.model.main_module_bf16 else "float32"
        return evaluated, describe_numerics(chosen, dtype=dtype)


def make_result(
    target: str,
    evaluated: Evaluated,
    *,
    checkpoint: str,
    numerics: NumericsRecord,
    ranks_path: Path | None,
    warnings: tuple[str, ...],
) -> EvaluationResult:
    """Return the result, after writing the ranks where asked to."""
    if ranks_path is not None:
        write_ranks(ranks_path, evaluated.ranks)
    return EvaluationResult(
        target=target,
        checkpoint=checkpoint,
        evaluation=evaluated.record,
        evaluators_agree=evaluators_agree(evaluated.ranks),
        environment=describe_environment(numerics),
        ranks_path=ranks_path,
        warnings=warnings,
    )
