"""Run an archive again with its author's code, rung by rung, and have `verdict` judge the outcome."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from torch import Tensor

from hstu_preserve.archived.outputs import select_losses
from hstu_preserve.archived.preparation import Prepared, prepare
from hstu_preserve.archived.rungs import evaluate_archived, resume_archived, train_archived
from hstu_preserve.archived.settings import ArchivedBundle, ArchivedSettings, StageData
from hstu_preserve.data.finding import list_stores
from hstu_preserve.data.store import Store, open_store, verify_store
from hstu_preserve.errors import CheckpointError, NotRunnableError, RecipeError, UsageError
from hstu_preserve.event_files.reader import read_scalars
from hstu_preserve.foreign.evaluation import choose_checkpoint, count_processes, describe_store
from hstu_preserve.legacy.contents import find_config_root
from hstu_preserve.legacy.foreign_archive import ForeignArchive
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.primitives.wording import list_some, printable
from hstu_preserve.raw_data.sasrec_writing import locate_upstream, write_sasrec_format
from hstu_preserve.records.legacy.shown import ShownChain, ShownCheckpoint
from hstu_preserve.records.verdict import Fact, Verdict
from hstu_preserve.training.foreign_checkpoint import read_any_checkpoint
from hstu_preserve.verdict.archived import judge_archived_resume, judge_archived_training
from hstu_preserve.verdict.foreign import ForeignEvidence, Found, judge_foreign
from hstu_preserve.verdict.integrity import RERUN_RUNGS
from hstu_preserve.verdict.rungs import not_run

METRIC = "ndcg@10"
DATASET_NAME, TF32_NAME = "train_fn.dataset_name", "train_fn.enable_tf32"
NO_DATA = "the code is given no data: name a store with --data, or files with --stage SRC=DEST"


def rerun_with_code(
    archive: ForeignArchive, settings: ArchivedSettings, *, rungs: Sequence[str], data: Path | None, voice: Voice
) -> list[Verdict]:
    """Return the verdicts on the rungs that were asked for, the cheapest first.

    Args:
        archive: Its bytes were compared.
        settings: The code, whether it is trusted, and how it is run.
        rungs: Names of `RERUN_RUNGS`.
        data: A store, or a folder of stores, each of which is tried; None leaves the data to the staged files.
        voice: Says what is run, and shows for how long.

    Raises:
        UsageError: The code is not trusted, has no such entry, or no data is named.
        ContentError: The archive, its checkpoint or a store is not what it was.
        UnavailableError: The interpreter lacks something, or there is no such device.
    """
    if data is None and not settings.stages:
        raise UsageError(NO_DATA)
    runner = CodeRunner(archive, prepare(settings, voice=voice), data=data, voice=voice)
    judges = {"evaluation": runner.judge_evaluation, "resume": runner.judge_resume, "training": runner.judge_training}
    verdicts = []
    for name in (name for name in judges if name in rungs):
        try:
            verdicts.append(judges[name]())
        except (NotRunnableError, RecipeError, CheckpointError) as why:
            verdicts.append(not_run(RERUN_RUNGS[name], str(why)))
    return verdicts


class CodeRunner:
    """One archive, and its author's code ready to run."""

    def __init__(self, archive: ForeignArchive, prepared: Prepared, *, data: Path | None, voice: Voice) -> None:
        self.archive = archive
        self.prepared = prepared
        self.data = data
        self.voice = voice

    def judge_evaluation(self) -> Verdict:
        """Have the code evaluate the archive's weights, on each store until one gives every recorded value."""
        wanted = choose_checkpoint(self.archive)
        with self.archive.unpack(wanted.path) as path:
            checkpoint = read_any_checkpoint(path).checkpoint
        bundle = self.make_bundle(wanted, weights=checkpoint.weights)
        evidence = self.gather_evidence(epoch=checkpoint.epoch)
        tried: list[Found] = []
        facts: dict[int, tuple[Fact, ...]] = {}
        for attempt, store in enumerate(self.list_stores(), start=1):
            evaluation = evaluate_archived(
                self.prepared, bundle, stage_data=self.stage(store), voice=self.voice, attempt=attempt
            )
            tried.append(describe_found(store, evaluation.metrics))
            facts[id(tried[-1])] = evaluation.evidence
            if evidence.agrees(tried[-1]):
                break
        verdict = judge_foreign(evidence, tried)
        return verdict.model_copy(update={"evidence": (*verdict.evidence, *facts[id(tried[-1])])})

    def judge_resume(self) -> Verdict:
        """Have the code go on from the checkpoint before the last, and compare its losses with the recorded ones."""
        numbered = sorted((one for one in self.archive.contents.checkpoints if one.epoch is not None), key=epoch_of)
        if len(numbered) < 2:
            raise NotRunnableError("to resume, an archive must hold two checkpoints whose names end in their epochs")
        before = numbered[-2]
        bundle = self.make_bundle(before, weights={})
        with self.archive.unpack(before.path) as path:
            found = resume_archived(
                self.prepared,
                bundle,
                checkpoint=path,
                metric=METRIC,
                stage_data=self.stage(self.require_one_store()),
                voice=self.voice,
            )
        name = printable(PurePosixPath(before.path).name)
        return judge_archived_resume(found.losses, self.read_losses(), checkpoint=name, evidence=found.evidence)

    def judge_training(self) -> Verdict:
        """Have the code train anew, once, and set its curve beside the recorded one."""
        wanted = choose_checkpoint(self.archive)
        found = train_archived(
            self.prepared,
            self.make_bundle(wanted, weights={}),
            metric=METRIC,
            stage_data=self.stage(self.require_one_store()),
            voice=self.voice,
        )
        curve = self.archive.run.curves.get(METRIC)
        recorded = {} if curve is None else {epoch: curve.find(epoch).value for epoch in curve.whole}
        epoch = wanted.epoch if wanted.epoch is not None else max(found.curve, default=0)
        return judge_archived_training(found.curve, recorded, metric=METRIC, epoch=epoch, evidence=found.evidence)

    def make_bundle(self, checkpoint: ShownCheckpoint, *, weights: Mapping[str, Tensor]) -> ArchivedBundle:
        """Return what a run takes from the archive."""
        contents = self.archive.contents
        folders = [curve.file for curve in contents.curves]
        return ArchivedBundle(
            name=max([checkpoint.path, *folders], key=count_processes),
            gins=contents.gins,
            entry=self.choose_chain().entry,
            root=find_config_root(contents.gins),
            weights=weights,
        )

    def choose_chain(self) -> ShownChain:
        """Return the only chain, or the one named like the archive.

        Raises:
            NotRunnableError: There is none, or it could be several.
        """
        chains = self.archive.contents.chains
        namesakes = [chain for chain in chains if PurePosixPath(chain.entry).stem == self.archive.name]
        for some in (chains, namesakes):
            if len(some) == 1:
                return some[0]
        if not chains:
            raise NotRunnableError("the archive holds no gin file, so that nothing says how the code is to be run")
        names = list_some((printable(chain.entry) for chain in chains), at_most=6)
        raise NotRunnableError(f"several gin chains could be meant ({names}), and none has the archive's name")

    def gather_evidence(self, *, epoch: int) -> ForeignEvidence:
        """Return what the archive says of its weights; the author's code knows every name in its gin."""
        run = self.archive.run
        recorded = {name: curve.find(epoch).value for name, curve in run.curves.items() if epoch in curve.whole}
        reported = [number for number in self.archive.numbers if number.epoch in {None, epoch}]
        if not recorded and not reported:
            raise NotRunnableError(f"no event file and no printed number is of epoch {epoch}: nothing to compare with")
        return ForeignEvidence(
            epoch=epoch,
            recorded=recorded,
            reported=reported,
            other_arithmetic=self.describe_arithmetic(),
            num_processes=max((count_processes(curve.file) for curve in self.archive.contents.curves), default=1),
            pinned_by=self.archive.pinned_by,
            runner=f"the author's code (sha256:{self.prepared.code.digest[:16]}…)",
        )

    def describe_arithmetic(self) -> str | None:
        """Return how the arithmetic here is of another kind than the archive's; None if it is not."""
        if self.prepared.device == "cpu" and self.read_binding(TF32_NAME) == "True":
            return "its gin says enable_tf32 = True, and this evaluation was not made in TF32; --device cuda would be"
        return None

    def read_binding(self, name: str) -> str | None:
        """Return the value of a gin name as it is spelled in the chain, None if it is not bound."""
        chain = self.choose_chain()
        return next((one.value for one in (*chain.known, *chain.unknown) if one.name == name), None)

    def list_stores(self) -> list[Store | None]:
        """Return the stores to try, those of the dataset's name first; None alone stands for the staged files.

        Raises:
            UsageError: There is no store.
        """
        if self.data is None:
            return [None]
        stores, _ = list_stores(self.data)
        if not stores:
            raise UsageError(f"{self.data}: no store; make one with 'hstu-preserve data prepare'")
        name = (self.read_binding(DATASET_NAME) or "").strip("'\"")
        named = {path: record for path, record in stores.items() if record.name == name} or stores
        opened: list[Store | None] = []
        for path in named:
            store = open_store(path)
            verify_store(store, place=path)
            opened.append(store)
        return opened

    def require_one_store(self) -> Store | None:
        """Return the only store.

        Raises:
            NotRunnableError: There are several, and a training on each would take too long.
        """
        stores = self.list_stores()
        if len(stores) > 1:
            raise NotRunnableError(f"{self.data}: {len(stores)} stores; name the right one, which an evaluation finds")
        return stores[0]

    def stage(self, store: Store | None) -> StageData | None:
        """Return what writes a store where the code looks for its data."""
        return None if store is None else partial(write_store, store, self.read_binding(DATASET_NAME))

    def read_losses(self) -> dict[int, float]:
        """Return the training loss by step that the archive's event files hold."""
        points = []
        for file in dict.fromkeys(curve.file for curve in self.archive.contents.curves):
            with self.archive.unpack(file) as path:
                points += read_scalars(path)
        return select_losses(points)


def epoch_of(checkpoint: ShownCheckpoint) -> int:
    """Return the epoch in a checkpoint's name."""
    return -1 if checkpoint.epoch is None else checkpoint.epoch


def describe_found(store: Store | None, metrics: dict[str, float]) -> Found:
    """Return what the code measured, and on which data."""
    if store is None:
        return Found(store="the staged files (digests in the evidence)", fingerprint="", metrics=metrics, num_users=0)
    return Found(
        store=describe_store(store.record),
        fingerprint=store.fingerprint,
        metrics=metrics,
        num_users=store.num_users,
    )


def write_store(store: Store, dataset: str | None, work: Path) -> None:
    """Write a store below the folder in which the code runs, where it looks for the dataset that its gin names.

    Raises:
        UsageError: The store holds something that the code's format cannot say.
        UnavailableError: It cannot be written.
    """
    name = store.name if dataset is None else dataset.strip("'\"")
    written = work / "tmp" / ".store"
    written.mkdir(parents=True)
    for file in write_sasrec_format(store, written, label=work):
        place = work / locate_upstream(file, name=name)
        place.parent.mkdir(parents=True, exist_ok=True)
        (written / file).rename(place)
    written.rmdir()
