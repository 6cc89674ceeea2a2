"""Edits of an unpacked bundle as somebody would make them who also makes the digests fit."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hstu_preserve.bundle.layout import DATA_FOLDER, ENVIRONMENT, METRICS, RANKS, RUN_RECORD
from hstu_preserve.bundle.tree import read_tree_manifest, record_files, seal
from hstu_preserve.compute.determinism import initialization_generators, repeatable_arithmetic
from hstu_preserve.compute.machine import describe_environment, describe_numerics
from hstu_preserve.data.split import Part
from hstu_preserve.data.store import RECORD_NAME, describe_array, open_store
from hstu_preserve.evaluation.evaluated import Evaluated
from hstu_preserve.evaluation.metrics import compute_metrics
from hstu_preserve.evaluation.one_evaluation import evaluate_model
from hstu_preserve.evaluation.ranks import UserRanks, read_ranks, write_ranks
from hstu_preserve.inputs.items import describe_items
from hstu_preserve.model.initialization import initialize
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import load_state
from hstu_preserve.primitives.voice import SILENT
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.evaluation import EvaluationRecord, ResultsRecord
from hstu_preserve.records.manifest import Manifest, RunRecord
from hstu_preserve.records.recipe import Protocol
from hstu_preserve.records.store import StoreRecord, fingerprint_of
from hstu_preserve.training.checkpoint import Content, read_checkpoint, state_digest, write_checkpoint


@dataclass(kw_only=True)
class Forgery:
    """An unpacked bundle that is being changed; `finish` makes every digest of the manifest fit.

    Attributes:
        root: Where its files are.
        manifest: What will be sealed, apart from the contents.
    """

    root: Path
    manifest: Manifest

    @classmethod
    def begin(cls, root: Path) -> "Forgery":
        """Open the tree for changes."""
        return cls(root=root, manifest=read_tree_manifest(root).manifest)

    def finish(self) -> None:
        """Seal the tree: afterwards all bytes are the packed bytes."""
        seal(self.root, manifest=self.manifest.model_copy(update={"contents": record_files(self.root)}))

    @property
    def checkpoint(self) -> Path:
        """The checkpoint behind the claims."""
        return self.root / self.manifest.checkpoint

    @property
    def checkpoints(self) -> list[Path]:
        """All checkpoints, the earliest first."""
        return sorted(self.checkpoint.parent.iterdir())

    def read_results(self) -> ResultsRecord:
        """Return the recorded results."""
        return ResultsRecord.from_json((self.root / METRICS).read_bytes(), source=METRICS)

    def write_results(self, results: ResultsRecord) -> None:
        """Record other results, and claims that are theirs."""
        (self.root / METRICS).write_bytes(results.to_json())
        metrics = results.final.metrics
        self.change_claims(lambda claim: claim.model_copy(update={"value": metrics[claim.policy.metric]}))

    def change_claims(self, change: Callable[[Claim], Claim]) -> None:
        """Change each claim in the manifest."""
        self.manifest = self.manifest.model_copy(update={"claims": tuple(map(change, self.manifest.claims))})

    def write_final(self, final: EvaluationRecord) -> None:
        """Record another final evaluation."""
        self.write_results(self.read_results().model_copy(update={"final": final}))

    def write_run(self, run: RunRecord) -> None:
        """Record another run, in the manifest and beside it."""
        self.manifest = self.manifest.model_copy(update={"run": run})
        (self.root / RUN_RECORD).write_bytes(run.to_json())
        (self.root / ENVIRONMENT).write_bytes(run.environment.to_json())

    def write_state(self, path: Path, content: Content) -> None:
        """Write another checkpoint; the recorded final state stays what it was."""
        write_checkpoint(path, content)

    def fit_state(self) -> None:
        """Record the checkpoint's state as the run's final state."""
        digest = state_digest(read_checkpoint(self.checkpoint).content)
        results = self.read_results().model_copy(update={"state_sha256": digest})
        (self.root / METRICS).write_bytes(results.to_json())

    def evaluate(self, part: Part, *, protocol: Protocol) -> Evaluated:
        """Rank the users' items that a protocol holds out for a part, on this machine."""
        checkpoint, recipe = read_checkpoint(self.checkpoint), self.manifest.run.recipe
        recipe = recipe.model_copy(update={"dataset": recipe.dataset.model_copy(update={"protocol": protocol})})
        store = open_store(self.root / DATA_FOLDER)
        with repeatable_arithmetic(tf32=recipe.training.enable_tf32):
            model = Recommender(recipe, describe_items(store, recipe))
            load_state(model, checkpoint.weights, source=str(self.checkpoint))
            return evaluate_model(model, store, part=part, epoch=checkpoint.epoch, num_batches=None, voice=SILENT)


def record_here(forgery: Forgery) -> None:
    """Make the bundle one that was recorded on this machine, so that the bitwise rung is required on every machine."""
    run = forgery.manifest.run
    recorded = run.environment.numerics
    assert recorded is not None
    before = torch.get_num_threads()
    torch.set_num_threads(recorded.threads)
    evaluated = forgery.evaluate(Part.TEST, protocol=run.recipe.dataset.protocol)
    with repeatable_arithmetic(tf32=recorded.tf32):
        numerics = describe_numerics(torch.device("cpu"), dtype=recorded.dtype)
    torch.set_num_threads(before)
    forgery.write_run(run.model_copy(update={"environment": describe_environment(numerics)}))
    write_ranks(forgery.root / RANKS, evaluated.ranks)
    forgery.write_final(evaluated.record)


def edit_results(forgery: Forgery, *, metric: str, by: float) -> None:
    """Report another number, in the results and in the claim."""
    final = forgery.read_results().final
    metrics = {**final.metrics, metric: final.value_of(metric) + by}
    forgery.write_final(final.model_copy(update={"metrics": metrics}))


def edit_claim(forgery: Forgery, *, metric: str, by: float) -> None:
    """Claim another number than the results record."""
    forgery.change_claims(
        lambda claim: claim.model_copy(update={"value": claim.value + by}) if claim.policy.metric == metric else claim
    )


def loosen_margin(forgery: Forgery, *, margin: float) -> None:
    """Judge every claim by a wider margin than was fixed before the run."""
    forgery.change_claims(
        lambda claim: claim.model_copy(update={"policy": claim.policy.model_copy(update={"margin": margin})})
    )
    policies = tuple(claim.policy for claim in forgery.manifest.claims)
    forgery.write_run(forgery.manifest.run.model_copy(update={"policies": policies}))


def forge_ranks(forgery: Forgery) -> None:
    """Halve every rank, and report what follows from that."""
    ranks = read_ranks(forgery.root / RANKS, source=RANKS)
    better = np.maximum(1, ranks.ranks // 2)
    write_forged_ranks(forgery, replace(ranks, ranks=better, ranks_topk=better))


def rank_wrong_split(forgery: Forgery) -> None:
    """Report the validation items' ranks as those of the test items."""
    write_forged_ranks(forgery, forgery.evaluate(Part.VALIDATION, protocol=Protocol.VALIDATED).ranks)


def write_forged_ranks(forgery: Forgery, ranks: UserRanks) -> None:
    """Record ranks, and metrics and claims that follow from them."""
    write_ranks(forgery.root / RANKS, ranks)
    final = forgery.read_results().final
    update = {"metrics": compute_metrics(ranks), "ranks_sha256": ranks.digest()}
    forgery.write_final(final.model_copy(update=update))


def name_earlier_checkpoint(forgery: Forgery) -> None:
    """Say that the claims were made with an earlier epoch's checkpoint."""
    path = str(forgery.checkpoints[0].relative_to(forgery.root))
    assert path != forgery.manifest.checkpoint
    forgery.manifest = forgery.manifest.model_copy(update={"checkpoint": path})


def take_earlier_checkpoint(forgery: Forgery) -> None:
    """Put an earlier epoch's checkpoint in the last one's place."""
    forgery.checkpoint.write_bytes(forgery.checkpoints[0].read_bytes())


def take_other_seed(forgery: Forgery, *, seed: int, state_fits: bool) -> None:
    """Put a model of another seed in the checkpoint's place, epoch, recipe and data as they should be."""
    content = read_checkpoint(forgery.checkpoint).content
    store = open_store(forgery.root / DATA_FOLDER)
    model = Recommender(forgery.manifest.run.recipe, describe_items(store, forgery.manifest.run.recipe))
    initialize(model, initialization_generators(seed))
    forgery.write_state(forgery.checkpoint, {**content, "model_state_dict": model.state_dict()})
    if state_fits:
        forgery.fit_state()


def perturb_weights(forgery: Forgery, *, relative: float, state_fits: bool) -> None:
    """Multiply every weight by 1 + noise."""
    noise = torch.Generator().manual_seed(1)

    def perturb(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        return tensor * (1 + relative * torch.randn(tensor.shape, generator=noise))

    change_weights(forgery, perturb)
    if state_fits:
        forgery.fit_state()


def move_one_weight(forgery: Forgery) -> None:
    """Move one weight of each tensor to the next float."""

    def move(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point() or not tensor.numel():
            return tensor
        moved = tensor.clone()
        first = moved.flatten()[:1]
        moved.view(-1)[:1] = torch.nextafter(first, first + 1)
        return moved

    change_weights(forgery, move)


def change_weights(forgery: Forgery, change: Callable[[Tensor], Tensor]) -> None:
    """Change every tensor of the checkpoint's model."""
    checkpoint = read_checkpoint(forgery.checkpoint)
    weights = {name: change(tensor) for name, tensor in checkpoint.weights.items()}
    forgery.write_state(forgery.checkpoint, {**checkpoint.content, "model_state_dict": weights})


def cut_events(forgery: Forgery, *, bytes_from_end: int) -> None:
    """Cut the event file in the middle of a record."""
    path = find_events(forgery)
    path.write_bytes(path.read_bytes()[:-bytes_from_end])


def drop_events(forgery: Forgery, *, keep: float) -> None:
    """Keep the first part of the event file's records, each of them whole."""
    path = find_events(forgery)
    content = path.read_bytes()
    ends, position = [], 0
    while position < len(content):
        position += 12 + int.from_bytes(content[position : position + 8], "little") + 4
        ends.append(position)
    path.write_bytes(content[: ends[int(keep * (len(ends) - 1))]])


def find_events(forgery: Forgery) -> Path:
    """Return the event file."""
    (path,) = forgery.root.glob("tb/*/*tfevents*")
    return path


def reorder_data(forgery: Forgery, *, fits: str) -> None:
    """Exchange each user's last two items.

    Args:
        forgery: The bundle.
        fits: How far the forger goes: `manifest` (only its digests), `store` (its record and fingerprint), `run` (every
            record that names the fingerprint), `checkpoints` (and the checkpoints).
    """
    folder = forgery.root / DATA_FOLDER
    items, offsets = np.load(folder / "item_ids.npy"), np.load(folder / "offsets.npy")
    last = offsets[1:] - 1
    items[last], items[last - 1] = items[last - 1], items[last].copy()
    np.save(folder / "item_ids.npy", items)
    if fits == "manifest":
        return
    path = folder / RECORD_NAME
    record = StoreRecord.from_json(path.read_bytes(), source=RECORD_NAME)
    arrays = tuple(describe_array("item_ids", items) if a.name == "item_ids" else a for a in record.arrays)
    fingerprint = fingerprint_of(arrays, record.genres)
    path.write_bytes(record.model_copy(update={"arrays": arrays, "fingerprint": fingerprint}).to_json())
    if fits == "store":
        return
    run, results = forgery.manifest.run, forgery.read_results()
    data = run.data.model_copy(update={"fingerprint": fingerprint})
    forgery.write_run(run.model_copy(update={"data": data}))
    forgery.write_final(results.final.model_copy(update={"data_fingerprint": fingerprint}))
    if fits == "run":
        return
    for checkpoint in forgery.checkpoints:
        content = {**read_checkpoint(checkpoint).content, "data_fingerprint": fingerprint}
        forgery.write_state(checkpoint, content)
    forgery.fit_state()
