"""Evaluate the weights of an archive that somebody else made, on each store that they fit, and judge them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from hstu_preserve.compute.machine import choose_device
from hstu_preserve.compute.processes import require_alone
from hstu_preserve.compute.tf32 import rounding_to_tf32
from hstu_preserve.data.store import open_store, verify_store
from hstu_preserve.errors import CheckpointError, NotRunnableError
from hstu_preserve.evaluation.evaluated import Evaluated
from hstu_preserve.evaluation.ranks import write_ranks
from hstu_preserve.evaluation.spread import measure_spread
from hstu_preserve.foreign.stores import find_stores
from hstu_preserve.gin_recipes.bindings import is_reconstructed
from hstu_preserve.legacy.foreign_archive import ForeignArchive
from hstu_preserve.model.recommender import sketch
from hstu_preserve.model.upstream_weights import count_item_rows, find_fitting, guess_items, unwrap
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.primitives.wording import list_some, printable
from hstu_preserve.records.environment import NumericsRecord
from hstu_preserve.records.legacy.shown import ShownChain, ShownCheckpoint
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.store import StoreRecord
from hstu_preserve.records.verdict import Verdict
from hstu_preserve.reruns.checkpoint_evaluation import evaluate_read
from hstu_preserve.training.checkpoint import Checkpoint
from hstu_preserve.training.foreign_checkpoint import AnyCheckpoint, read_any_checkpoint
from hstu_preserve.verdict.foreign import ForeignEvidence, Found, judge_foreign, measure

RANKS_NAME = "ranks.npz"


@dataclass(frozen=True, kw_only=True)
class ForeignEvaluation:
    """The verdict on an archive's weights, and the evaluation that comes nearest to what it says."""

    verdict: Verdict
    evaluated: Evaluated
    numerics: NumericsRecord


@dataclass(frozen=True, kw_only=True)
class Readied:
    """What is evaluated: weights, the recipe that they fit, and the chain that says so."""

    chain: ShownChain
    recipe: Recipe
    read: AnyCheckpoint
    num_item_rows: int
    source: str
    """The checkpoint's path in the archive."""

    @property
    def checkpoint(self) -> Checkpoint:
        """The weights."""
        return self.read.checkpoint


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One store, and the evaluation on it."""

    found: Found
    evaluated: Evaluated
    numerics: NumericsRecord


def evaluate_foreign(
    archive: ForeignArchive, *, data: Path | None, device: str, output: Path | None, voice: Voice
) -> ForeignEvaluation:
    """Evaluate an archive's weights on each store that they fit until one gives every recorded value.

    Args:
        archive: Its bytes were compared.
        data: A store or a folder of stores; None takes the folder that HSTU_PRESERVE_DATA names.
        device: `auto`, `cpu` or `cuda`.
        output: The folder that keeps the ranks on the nearest store; None keeps none.
        voice: Shows each evaluation.

    Raises:
        NotRunnableError: It lacks what an evaluation needs, or holds what no code here evaluates; the sentence says
            what to do.
        ContentError: The archive, its checkpoint or a store is not what it was.
        UnavailableError: There is no such device.
    """
    require_alone("reproduce")
    chosen = choose_device(device)
    readied = ready(archive)
    evidence = gather_evidence(archive, readied, device=chosen)
    stores = find_stores(readied.num_item_rows, name=readied.recipe.dataset.name, data=data)
    tried: list[Tried] = []
    for path, record in stores.items():
        voice.say(f"evaluating epoch {readied.checkpoint.epoch} on {describe_store(record)}")
        tried.append(try_store(path, readied, evidence, device=chosen, voice=voice))
        if evidence.agrees(tried[-1].found):
            break
    verdict = judge_foreign(evidence, [one.found for one in tried])
    nearest = min(tried, key=lambda one: measure(evidence, one.found))
    if output is not None:
        write_ranks(output / RANKS_NAME, nearest.evaluated.ranks)
    return ForeignEvaluation(verdict=verdict, evaluated=nearest.evaluated, numerics=nearest.numerics)


def ready(archive: ForeignArchive) -> Readied:
    """Return the weights and the recipe that they fit.

    Raises:
        NotRunnableError: There are none, or no recipe that every tensor has a place in.
    """
    chains = [chain for chain in archive.contents.chains if chain.known_part is not None]
    if not chains:
        raise NotRunnableError(explain_no_chain(archive))
    wanted = choose_checkpoint(archive)
    place = ""
    try:
        with archive.unpack(wanted.path) as path:
            place = str(path)
            read = read_any_checkpoint(path)
        weights = read.checkpoint.weights
        num_item_rows = count_item_rows(unwrap(weights), source=wanted.path)
    except CheckpointError as error:
        said = str(error).replace(place, wanted.path) if place else str(error)  # the place is gone with the block
        raise NotRunnableError(f"{said}; {advise_archived(archive)}") from None
    chain = choose_chain(archive, chains, weights=weights, source=wanted.path)
    assert chain.known_part is not None
    return Readied(chain=chain, recipe=chain.known_part, read=read, num_item_rows=num_item_rows, source=wanted.path)


def choose_checkpoint(archive: ForeignArchive) -> ShownCheckpoint:
    """Return the checkpoint of the reported epoch, else the only one, else that of the last epoch.

    Raises:
        NotRunnableError: There is none, or several are of that epoch.
    """
    checkpoints = archive.contents.checkpoints
    if not checkpoints:
        raise NotRunnableError("the archive holds no checkpoint (below ckpts/); ask its author for the weights")
    epochs = {number.epoch for number in archive.numbers if number.epoch is not None}
    named = [one for one in checkpoints if one.epoch in epochs] or list(checkpoints)
    last = max((one.epoch for one in named if one.epoch is not None), default=None)
    chosen = [one for one in named if one.epoch == last]
    if len(chosen) == 1:
        return chosen[0]
    names = list_some((printable(one.path) for one in chosen), at_most=4)
    raise NotRunnableError(
        f"several checkpoints could be meant ({names}); evaluate the one that is: unpack the archive, then "
        "'hstu-preserve evaluate --checkpoint FILE --gin FILE --data STORE'"
    )


def explain_no_chain(archive: ForeignArchive) -> str:
    """Return why there is no recipe, and what to do."""
    problems = [f"{chain.entry}: {chain.problem}" for chain in archive.contents.chains if chain.problem]
    if not problems:
        return (
            f"the archive holds no gin file, so that nothing says what its weights are of; {advise_archived(archive)}"
        )
    return f"no gin chain resolves ({list_some(map(printable, problems), at_most=2, separator='; ')})"


def choose_chain(
    archive: ForeignArchive, chains: Sequence[ShownChain], *, weights: Mapping[str, Tensor], source: str
) -> ShownChain:
    """Return the chain whose model takes every tensor: the only one, the one named like the archive, or the only fit.

    Raises:
        NotRunnableError: No model takes every tensor, or several do.
    """
    problems: dict[str, str] = {}
    for chain in chains:
        assert chain.known_part is not None
        try:
            require_fitting(chain.known_part, weights, source=source)
        except CheckpointError as error:
            problems[chain.entry] = str(error)
    fitting = [chain for chain in chains if chain.entry not in problems]
    namesakes = [chain for chain in fitting if PurePosixPath(chain.entry).stem == archive.name]
    for some in (fitting, namesakes):
        if len(some) == 1:
            return some[0]
    if not fitting:
        raise NotRunnableError(explain_misfit(archive, chains, problems))
    names = list_some((printable(chain.entry) for chain in fitting), at_most=6)
    raise NotRunnableError(
        f"the weights fit several gin chains ({names}), and none has the archive's name; evaluate with the right one: "
        "unpack the archive, then 'hstu-preserve evaluate --checkpoint FILE --gin FILE --data STORE'"
    )


def require_fitting(recipe: Recipe, state: Mapping[str, Tensor], *, source: str) -> None:
    """Require that a recipe's model takes these weights, without building it or knowing the items behind them.

    Raises:
        CheckpointError: There is no item table, or names or shapes differ; the first differing tensors are named.
    """
    state = unwrap(state)
    find_fitting(sketch(recipe, guess_items(state, source=source)), state, source=source)


def explain_misfit(archive: ForeignArchive, chains: Sequence[ShownChain], problems: Mapping[str, str]) -> str:
    """Return that no model here takes the weights, the gin names that may be why, and what to type."""
    unknown = sorted({binding.name for chain in chains for binding in chain.unknown})
    names = f"; not known here: {list_some(map(printable, unknown), at_most=6)}" if unknown else ""
    first = printable(next(iter(problems.values())))
    return f"no model here takes every tensor ({first}){names}; {advise_archived(archive)}"


def advise_archived(archive: ForeignArchive) -> str:
    """Return the command that runs the author's own code."""
    return (
        "the author's own code can evaluate it: "
        f"'hstu-preserve reproduce {archive.target} --runner archived --code CODE.tar.gz'"
    )


def gather_evidence(archive: ForeignArchive, readied: Readied, *, device: torch.device) -> ForeignEvidence:
    """Return what the archive says of the weights.

    Raises:
        NotRunnableError: It says nothing that an evaluation could be compared with.
    """
    epoch, chain = readied.checkpoint.epoch, readied.chain
    run = archive.run
    recorded = {name: curve.find(epoch).value for name, curve in run.curves.items() if epoch in curve.whole}
    reported = [number for number in archive.numbers if number.epoch in {None, epoch}]
    if not recorded and not reported:
        raise NotRunnableError(
            f"the checkpoint is of epoch {epoch}, and no event file and no printed number is: nothing to compare with; "
            f"'hstu-preserve evaluate {archive.target} --data STORE' says what the weights give"
        )
    return ForeignEvidence(
        epoch=epoch,
        recorded=recorded,
        reported=reported,
        unknown_names=sorted({binding.name for binding in chain.unknown}),
        reconstructed_names=sorted({one.name for one in chain.known if is_reconstructed(one.name)}),
        other_arithmetic=describe_arithmetic(readied.recipe, device=device),
        num_processes=max((count_processes(curve.file) for curve in archive.contents.curves), default=1),
        pinned_by=archive.pinned_by,
    )


def describe_arithmetic(recipe: Recipe, *, device: torch.device) -> str | None:
    """Return how the arithmetic here is of another kind than the archive's; None if it is not."""
    if recipe.training.enable_tf32 and device.type != "cuda":
        return "its gin says enable_tf32 = True, and this evaluation was not made in TF32; --device cuda would be"
    if recipe.model.dtype != "float32":
        return f"its model computes in {recipe.model.dtype}, which every kernel rounds at other places"
    return None


def count_processes(path: str) -> int:
    """Return how many processes the name of a run's folder tells, as upstream writes it: `…-ddp4-b128-…`."""
    found = re.search(r"-ddp([0-9]{1,4})-", path)
    return max(1, int(found[1])) if found else 1


def try_store(path: Path, readied: Readied, evidence: ForeignEvidence, *, device: torch.device, voice: Voice) -> Tried:
    """Return what the weights give on one store; in TF32 as well, if that could be why the recorded values differ."""
    store = open_store(path)
    verify_store(store, place=path)
    evaluated, numerics = evaluate_read(
        readied.checkpoint, recipe=readied.recipe, store=store, device=device.type, voice=voice
    )
    found = Found(
        store=describe_store(store.record),
        fingerprint=store.fingerprint,
        metrics=evaluated.record.metrics,
        num_users=evaluated.record.num_users,
    )
    asks_tf32 = readied.recipe.training.enable_tf32 and device.type != "cuda"
    if asks_tf32 and evidence.recorded and not evidence.agrees(found):
        with rounding_to_tf32():
            rounded, _ = evaluate_read(
                readied.checkpoint, recipe=readied.recipe, store=store, device=device.type, voice=voice
            )
        found = replace(found, tf32_spread=measure_spread(evaluated.ranks, rounded.ranks))
    return Tried(found=found, evaluated=evaluated, numerics=numerics)


def describe_store(record: StoreRecord) -> str:
    """Return a store in words, with the order of its data, which decides the value."""
    order = record.provenance.tie_policy.value
    return f"{printable(record.name)} in the order {order} (fingerprint {record.fingerprint[:16]}…)"
