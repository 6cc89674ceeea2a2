"""Evaluate a checkpoint file on a store."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.compute.machine import choose_device, describe_numerics
from hstu_preserve.compute.processes import require_alone
from hstu_preserve.data.split import Part
from hstu_preserve.data.store import Store
from hstu_preserve.errors import DataMismatchError
from hstu_preserve.evaluation.evaluated import Evaluated
from hstu_preserve.evaluation.one_evaluation import evaluate_model
from hstu_preserve.inputs.items import describe_items, naming_item_rows
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import build_with_weights, find_other_dtypes
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.environment import NumericsRecord
from hstu_preserve.records.evaluation import RankingPath
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.reruns.other_kinds import Kinds, evaluate_others
from hstu_preserve.training.checkpoint import Checkpoint, read_checkpoint


def evaluate_checkpoint(
    path: Path,
    *,
    recipe: Recipe,
    store: Store,
    device: str,
    ranking_path: RankingPath = RankingPath.REFERENCE,
    tolerance: float | None = None,
    also: Kinds = (),
    voice: Voice,
) -> tuple[Evaluated, NumericsRecord]:
    """Return the test evaluation of a checkpoint file of ours, and the arithmetic it was made with.

    Users are ranked by the path that is named: bits come out again only by the one that they were recorded with. With a
    tolerance of scores, the candidates near each target are counted as well.
    """
    require_alone("evaluate")
    return evaluate_read(
        read_checkpoint(path),
        recipe=recipe,
        store=store,
        device=device,
        ranking_path=ranking_path,
        tolerance=tolerance,
        also=also,
        voice=voice,
    )


def evaluate_read(
    checkpoint: Checkpoint,
    *,
    recipe: Recipe,
    store: Store,
    device: str,
    ranking_path: RankingPath = RankingPath.REFERENCE,
    tolerance: float | None = None,
    also: Kinds = (),
    voice: Voice,
) -> tuple[Evaluated, NumericsRecord]:
    """Return the test evaluation of a checkpoint that was read, and the arithmetic it was made with.

    With more kinds of evaluation, the model is evaluated under each of them as well.
    """
    path = checkpoint.path
    if checkpoint.data_fingerprint not in {None, store.fingerprint}:
        raise DataMismatchError(
            f"{path}: trained on other data (fingerprint {checkpoint.data_fingerprint}, "
            f"the store's is {store.fingerprint})"
        )
    chosen = choose_device(device)
    with repeatable_arithmetic(tf32=recipe.training.enable_tf32):
        with naming_item_rows(store):
            model = build_with_weights(recipe, describe_items(store, recipe), checkpoint.weights, source=str(path))
        for warning in list_warnings(checkpoint, model):
            voice.say(f"warning: {path}: {warning}")
        evaluated = evaluate_model(
            model.to(chosen),
            store,
            part=Part.TEST,
            epoch=checkpoint.epoch,
            num_batches=None,
            ranking_path=ranking_path,
            tolerance=tolerance,
            voice=voice,
        )
        others = evaluate_others(model, store, kinds=also, epoch=checkpoint.epoch, voice=voice)
        return replace(evaluated, also=others), describe_numerics(chosen, dtype=recipe.model.dtype)


def list_warnings(checkpoint: Checkpoint, model: Recommender) -> Iterator[str]:
    """Yield what the figures of a checkpoint that fits may not show by themselves."""
    if not checkpoint.has_checksums:
        yield "written without checksums (torch.serialization.set_crc32_options(False)): a changed byte is not noticed"
    theirs, ours = find_other_dtypes(model, checkpoint.weights)
    if theirs:
        yield (
            f"its weights are {' and '.join(sorted(theirs))}, those of the recipe's model {' and '.join(sorted(ours))} "
            "(train_fn.main_module_bf16): the figures are of converted weights, not of the model that was trained"
        )
