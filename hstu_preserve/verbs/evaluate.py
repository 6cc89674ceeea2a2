"""Evaluate a checkpoint: a bundle's, a run's, an archive's, or one that upstream's code wrote."""

from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.bundle.destinations import require_new
from hstu_preserve.compute.machine import describe_environment
from hstu_preserve.compute.processes import require_alone
from hstu_preserve.data.finding import (
    find_store_for_recipe,
    locate_store_for_bundle,
    open_pinned_store,
    open_store_for_bundle,
)
from hstu_preserve.data.store import open_store, verify_store
from hstu_preserve.errors import UsageError
from hstu_preserve.evaluation.evaluated import Evaluated
from hstu_preserve.evaluation.one_evaluation import count_comparable, evaluators_agree
from hstu_preserve.evaluation.ranks import encode_ranks
from hstu_preserve.foreign.evaluation import ready
from hstu_preserve.foreign.opening import open_foreign
from hstu_preserve.foreign.stores import find_stores
from hstu_preserve.foreign.warnings import describe_names, describe_not_built, warn_of_borrowed_name
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.gin_recipes.scattered import read_scattered_chain
from hstu_preserve.library.sources import Form, Source, obtain
from hstu_preserve.primitives.files import write_new
from hstu_preserve.primitives.given_paths import as_path
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.environment import NumericsRecord
from hstu_preserve.records.results import EvaluationResult
from hstu_preserve.reruns.checkpoint_evaluation import evaluate_checkpoint, evaluate_read
from hstu_preserve.reruns.opening import open_run
from hstu_preserve.reruns.other_kinds import Kinds, parse_kinds
from hstu_preserve.training.foreign_checkpoint import read_any_checkpoint


def evaluate(
    target: str | Path,
    *,
    data: str | Path | None = None,
    ranks: str | Path | None = None,
    device: str = "auto",
    also: Sequence[str] = (),
    voice: Voice = SILENT,
) -> EvaluationResult:
    """Rank every user's test item with the checkpoint behind a bundle's claims.

    Args:
        target: A bundle, run directory, `sample`, a catalog id or an `hf://` address; it is fetched if it is not here.
        data: The store; None takes the bundle's own or searches the folder that HSTU_PRESERVE_DATA names.
        ranks: A new file for per-user ranks, as `.npz`; None writes none.
        device: `auto`, `cpu` or `cuda`.
        also: Other kinds of evaluation, or `all`: the same model, with numbers that are not comparable.
        voice: Shows each batch; before a transfer begins, names the file and its size.

    Raises:
        UsageError: The file for the ranks exists, or lies in a run, bundle or store; or there is no such kind.
        ContentError: The bundle, checkpoint or data lacks the digests that it must have.
        UnavailableError: No torch, device or data, or the bundle cannot be fetched.
    """
    data, ranks, kinds = as_path(data), as_path(ranks), parse_kinds(also)
    if ranks is not None:
        require_new(ranks, option="--ranks")
    source = obtain(str(target), voice=voice)
    if source.form in {Form.LEGACY, Form.MIGRATED}:
        return evaluate_archive(source, data=data, ranks=ranks, device=device, kinds=kinds, voice=voice)
    with open_run(source, voice=voice) as bundle:
        run = bundle.manifest.run
        store = open_store_for_bundle(run.data, locate_store_for_bundle(run.data, data, carried=bundle.data))
        evaluated, numerics = evaluate_checkpoint(
            bundle.checkpoint,
            recipe=run.recipe,
            store=store,
            device=device,
            ranking_path=bundle.results.final.ranking_path,
            also=kinds,
            voice=voice,
        )
        checkpoint = bundle.manifest.checkpoint
    return make_result(str(target), evaluated, checkpoint=checkpoint, numerics=numerics, ranks_path=ranks, warnings=())


def evaluate_archive(
    source: Source, *, data: Path | None, ranks: Path | None, device: str, kinds: Kinds, voice: Voice
) -> EvaluationResult:
    """Evaluate the weights of an archive that somebody else made; what it says of itself is compared by `reproduce`.

    Raises:
        UsageError: The weights fit several stores, of which one must be named.
        NotRunnableError: It lacks what an evaluation needs, or holds what no code here evaluates.
    """
    require_alone("evaluate")
    with open_foreign(source, voice=voice) as archive:
        readied = ready(archive)
    stores = list(find_stores(readied.num_item_rows, name=readied.recipe.dataset.name, data=data))
    if len(stores) > 1:
        raise UsageError(
            f"the weights fit several stores ({list_some(map(str, stores), at_most=6)}); name one with --data, or have "
            f"'hstu-preserve reproduce {source.text} --data {stores[0].parent}' find the one that the archive is of"
        )
    store = open_store(stores[0])
    verify_store(store, place=stores[0])
    evaluated, numerics = evaluate_read(
        readied.checkpoint, recipe=readied.recipe, store=store, device=device, also=kinds, voice=voice
    )
    return make_result(
        source.text,
        evaluated,
        checkpoint=readied.source,
        numerics=numerics,
        ranks_path=ranks,
        warnings=(*describe_names(readied.chain), *describe_not_built(readied.read.not_built)),
    )


def evaluate_file(
    checkpoint: str | Path,
    *,
    gin: str | Path,
    data: str | Path | None = None,
    gin_root: str | Path | None = None,
    ranks: str | Path | None = None,
    device: str = "auto",
    also: Sequence[str] = (),
    voice: Voice = SILENT,
) -> EvaluationResult:
    """Rank every user's test item with a checkpoint file and the gin file it was trained with.

    Args:
        checkpoint: As `torch.save` wrote it, by this program, by Meta's code or by another trainer. Whatever it holds
            beside the weights is not built, and named in the warnings.
        gin: The chain's entry file; its shapes must be the checkpoint's. An include is looked for beside the file that
            names it, in the root, and by its name alone below the root.
        data: The store; None searches the folder that HSTU_PRESERVE_DATA names.
        gin_root: The folder that includes may not leave.
        ranks: A new file for per-user ranks, as `.npz`; None writes none.
        device: `auto`, `cpu` or `cuda`.
        also: Other kinds of evaluation, or `all`: the same model, with numbers that are not comparable.
        voice: Shows each batch.

    Raises:
        UsageError: The file for the ranks exists, or lies in a run, bundle or store; or there is no such kind.
        RecipeError: The chain does not resolve.
        CheckpointError: The checkpoint cannot be read or has other shapes; the first differing tensors are named.
        UnavailableError: No torch, device or data.
    """
    checkpoint, gin, kinds = Path(checkpoint), Path(gin), parse_kinds(also)
    data, gin_root, ranks = as_path(data), as_path(gin_root), as_path(ranks)
    if ranks is not None:
        require_new(ranks, option="--ranks")
    scattered = read_scattered_chain(gin, root=gin_root)
    resolution = resolve(scattered.chain)
    settings = resolution.recipe.dataset
    warnings = (*map(str, resolution.warnings), *scattered.found_by_name)
    if data is None:
        store = find_store_for_recipe(settings, None)
    else:
        store = open_pinned_store(settings, data)
        warnings += warn_of_borrowed_name(settings.name, store)
    require_alone("evaluate")
    read = read_any_checkpoint(checkpoint)
    warnings += describe_not_built(read.not_built)
    evaluated, numerics = evaluate_read(
        read.checkpoint, recipe=resolution.recipe, store=store, device=device, also=kinds, voice=voice
    )
    return make_result(
        str(checkpoint),
        evaluated,
        checkpoint=str(checkpoint),
        numerics=numerics,
        ranks_path=ranks,
        warnings=warnings,
    )


def make_result(
    target: str,
    evaluated: Evaluated,
    *,
    checkpoint: str,
    numerics: NumericsRecord,
    ranks_path: Path | None,
    warnings: tuple[str, ...],
) -> EvaluationResult:
    """Return the result, after writing the ranks if the user asked for them."""
    if ranks_path is not None:
        write_new(ranks_path, encode_ranks(evaluated.ranks))
    return EvaluationResult(
        target=target,
        checkpoint=checkpoint,
        evaluation=evaluated.record,
        evaluators_agree=evaluators_agree(evaluated.ranks),
        users_compared=count_comparable(evaluated.ranks, is_checked=evaluated.is_checked),
        environment=describe_environment(numerics),
        ranks_path=ranks_path,
        warnings=warnings,
        also=evaluated.also,
    )
