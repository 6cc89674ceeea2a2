"""Run a bundle again with this program's code, and have `verdict` judge the outcome."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from hstu_preserve.bundle.layout import CONFIG_FOLDER
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.compute.machine import choose_device, describe_numerics
from hstu_preserve.data.finding import locate_store_for_bundle, open_store_for_bundle
from hstu_preserve.data.store import Store
from hstu_preserve.errors import NotRunnableError
from hstu_preserve.evaluation.moves import measure_moves
from hstu_preserve.evaluation.one_evaluation import evaluators_agree
from hstu_preserve.evaluation.ranks import UserRanks, write_ranks
from hstu_preserve.gin_recipes.reader import read_chain
from hstu_preserve.gin_recipes.resolve import resolve
from hstu_preserve.primitives.temporary_folders import scratch_folder
from hstu_preserve.primitives.threads import require_threads
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.environment import NumericsRecord
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.results import TrainingResult
from hstu_preserve.records.verdict import Cause, Rung, Verdict
from hstu_preserve.reruns.checkpoint_evaluation import evaluate_checkpoint
from hstu_preserve.reruns.continuation import continue_run, find_stretch
from hstu_preserve.reruns.counterfactuals import Scene, explain_ranks, explain_training, set_scene
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.reruns.published_claims import find_published
from hstu_preserve.reruns.recorded_data import require_described, require_held_out_items
from hstu_preserve.reruns.same_draw import compare_first_epoch
from hstu_preserve.runs.plan import Plan
from hstu_preserve.runs.training import train_chain
from hstu_preserve.verdict.near_ties import judge_evaluation_numeric
from hstu_preserve.verdict.number_formats import FormatPair, find_format
from hstu_preserve.verdict.qualifications import qualify
from hstu_preserve.verdict.resumption import judge_resume
from hstu_preserve.verdict.rungs import PASSED, judge_evaluation_bitwise, list_missed, not_run
from hstu_preserve.verdict.same_draw import judge_training_bitwise, judge_training_numeric
from hstu_preserve.verdict.triviality import call_trivial

RANKS_NAME = "ranks.npz"
RETRAINED_NAME = "retrained"


class NativeRunner:
    """Runs one opened bundle again.

    Args:
        bundle: Verified.
        data: The store, or None for the bundle's own or a search.
        device: `auto`, `cpu` or `cuda`.
        output: The folder that keeps re-run ranks and runs; None keeps nothing.
        max_steps: How many steps a resumed run takes at most; None goes to the run's end.
        voice: Shows progress.
    """

    def __init__(
        self,
        bundle: OpenedBundle,
        *,
        data: Path | None,
        device: str,
        output: Path | None,
        max_steps: int | None,
        voice: Voice,
    ) -> None:
        self.bundle = bundle
        self.device = device
        self.output = output
        self.voice = voice
        self.max_steps = max_steps
        self.run = bundle.manifest.run
        self.store = open_data(bundle, data)
        self.recorded = bundle.results
        self.numerics: NumericsRecord | None = None
        self.evaluation: EvaluationRecord | None = None
        self.causes: tuple[Cause, ...] = ()

    def judge_evaluation(self) -> list[Verdict]:
        """Rank every user again with the bundle's checkpoint, and judge ranks and metrics."""
        formats = self.find_formats()
        with recorded_threads(self.run.environment.numerics):
            evaluated, self.numerics = evaluate_checkpoint(
                self.bundle.checkpoint,
                recipe=self.run.recipe,
                store=self.store,
                device=self.device,
                ranking_path=self.recorded.final.ranking_path,
                tolerance=formats.tolerance,
                voice=self.voice,
            )
        self.evaluation = evaluated.record
        if self.output is not None:
            write_ranks(self.output / RANKS_NAME, evaluated.ranks)
        assert evaluated.within is not None
        moves = measure_moves(evaluated.ranks, self.bundle.ranks, within=evaluated.within)
        bitwise = judge_evaluation_bitwise(
            evaluated.record,
            self.recorded.final,
            comparison=moves,
            environment_differences=self.list_environment_differences(self.numerics),
        )
        agree = evaluators_agree(evaluated.ranks)
        numeric = [
            call_trivial(
                judge_evaluation_numeric(claim, evaluated.record, moves=moves, formats=formats, evaluators_agree=agree),
                claim,
                evaluation=evaluated.record,
            )
            for claim in self.bundle.manifest.claims
        ]
        if moves.num_moved or not moves.same_users:
            self.look_for_cause([bitwise, *numeric], as_it_is=evaluated.ranks, formats=formats)
        return [bitwise, *numeric]

    def look_for_cause(self, verdicts: list[Verdict], *, as_it_is: UserRanks, formats: FormatPair) -> None:
        """Find out why ranks are not the recorded ones, if a verdict says so: it costs passes over the users."""
        if not list_missed(verdicts):
            return
        tolerance = formats.tolerance if self.list_environment_differences(self.numerics) else None
        scene = self.set_scene(self.bundle, tolerance=tolerance)
        with recorded_threads(self.run.environment.numerics):
            self.causes += (explain_ranks(scene, as_it_is, voice=self.voice),)

    def set_scene(self, bundle: OpenedBundle, *, tolerance: float | None) -> Scene:
        """Return what is needed to rank the users of this run, or of a retrained one, in other ways."""
        metric = self.bundle.manifest.claims[0].policy.metric
        device = choose_device(self.device)
        return set_scene(bundle, self.store, device=device, tolerance=tolerance, metric=metric)

    def find_formats(self) -> FormatPair:
        """Return in which formats the scores were recorded, and will be computed here."""
        recorded, here = self.run.environment.numerics, choose_device(self.device)
        return FormatPair(
            recorded=find_format(self.run.recipe, device=recorded.device if recorded else None),
            present=find_format(self.run.recipe, device=here.type),
        )

    def judge_resume(self) -> list[Verdict]:
        """Continue the run from its last checkpoint but one, and judge the losses and the final state."""
        try:
            stretch = find_stretch(self.bundle)
            device = choose_device(self.device)
            self.require_same_masks(device)
        except NotRunnableError as why:
            return [not_run(Rung.RESUME_BITWISE, str(why))]
        with recorded_threads(self.run.environment.numerics):
            comparison = continue_run(
                stretch,
                self.bundle,
                store=self.store,
                device=device,
                max_steps=self.max_steps,
                voice=self.voice,
            )
            with repeatable_arithmetic(tf32=self.run.recipe.training.enable_tf32):
                numerics = describe_numerics(device, dtype=self.run.recipe.model.dtype)
        self.numerics = self.numerics or numerics
        return judge_resume(
            comparison,
            tolerance=min(claim.policy.loss_tolerance for claim in self.bundle.manifest.claims),
            environment_differences=self.list_all_differences(numerics),
        )

    def require_same_masks(self, device: torch.device) -> None:
        """Require that dropout draws the recorded masks here: losses under other masks are not comparable.

        Raises:
            NotRunnableError: It would draw others.
        """
        recorded = self.run.environment.numerics
        if recorded is None or not self.run.recipe.has_dropout:
            return
        if recorded.processes != 1:
            raise NotRunnableError(
                f"dropout: each of the {recorded.processes} processes that trained drew masks of its own, "
                "and this rung runs in one"
            )
        if (recorded.device == "cpu") != (device.type == "cpu"):
            # The CPU's and the GPU's generators give other numbers for one seed.
            raise NotRunnableError(
                f"dropout: masks drawn on {recorded.device} cannot be drawn again on {device.type}; name a --device"
            )

    def list_all_differences(self, found: NumericsRecord | None) -> list[str]:
        """Return how this arithmetic differs from the recorded one, and where the recorded one itself changed."""
        return [*self.list_environment_differences(found), *self.list_resumptions()]

    def list_resumptions(self) -> list[str]:
        """Return the steps after which the recorded run itself went on in another environment, in words."""
        return [
            f"the recorded run went on after step {one.batch_id} with {', '.join(one.differences)}"
            for one in self.recorded.resumptions
        ]

    def judge_training(self) -> list[Verdict]:
        """Train the recipe anew with the recorded seed, and judge the losses, the final state and the claims."""
        try:
            self.require_same_masks(choose_device(self.device))
        except NotRunnableError as why:
            return [not_run(Rung.TRAINING_NUMERIC, f"{why}; other seeds can be compared on any device")]
        threads = recorded_threads(self.run.environment.numerics)
        with threads, scratch_folder() as temporary:
            output = (self.output or temporary) / RETRAINED_NAME
            chain = read_chain(self.bundle.root / self.run.gin_file, root=self.bundle.root / CONFIG_FOLDER)
            retrained = train_chain(
                Plan(
                    chain=chain,
                    resolution=resolve(chain),
                    store=self.store,
                    device=self.device,
                    recorded_path=self.run.environment.training_path,
                    ranking_path=self.recorded.final.ranking_path,
                ),
                output=output,
                voice=self.voice,
            )
            verdicts = self.judge_retrained(retrained, output)
            if verdicts[0].outcome not in PASSED and list_missed(verdicts):
                run = OpenedBundle(root=output, manifest=read_tree_manifest(output).manifest.require_run())
                scene = self.set_scene(run, tolerance=None)
                self.causes += explain_training(scene, self.bundle.ranks, voice=self.voice)
        return verdicts

    def judge_retrained(self, retrained: TrainingResult, output: Path) -> list[Verdict]:
        """Judge a run that was trained anew with the recorded seed, whose directory is `output`."""
        losses = compare_first_epoch(output, self.bundle)
        numerics = retrained.environment.numerics
        self.numerics = self.numerics or numerics
        differences = self.list_all_differences(numerics)
        final = retrained.results.final
        bitwise = judge_training_bitwise(
            state_sha256=retrained.results.state_sha256,
            recorded_sha256=self.recorded.state_sha256,
            found=final,
            recorded=self.recorded.final,
            environment_differences=differences,
            training_path=retrained.environment.training_path,
        )
        entry = find_published(self.bundle)
        numeric = [
            call_trivial(
                judge_training_numeric(
                    claim, final.value_of(claim.policy.metric), losses=losses, environment_differences=differences
                ),
                claim,
                evaluation=final,
            )
            for claim in self.bundle.manifest.claims
        ]
        return [bitwise, *(qualify(verdict, entry) for verdict in numeric)]

    def list_environment_differences(self, found: NumericsRecord | None) -> list[str]:
        """Return how this arithmetic differs from the recorded one."""
        recorded = self.run.environment.numerics
        if found is None or recorded is None:
            return ["the bundle does not record its arithmetic"]
        return found.list_differences(recorded)


def open_data(bundle: OpenedBundle, data: Path | None) -> Store:
    """Return the store to run a bundle on: the named one, else its own, else one that a search finds.

    Raises:
        ContentError: It is not what the bundle names.
        UnavailableError: There is none.
    """
    if data is None and bundle.store is not None:
        return bundle.store
    reference = bundle.manifest.run.data
    store = open_store_for_bundle(reference, locate_store_for_bundle(reference, data, carried=bundle.data))
    require_described(store, reference)
    require_held_out_items(store, bundle)
    return store


@contextmanager
def recorded_threads(recorded: NumericsRecord | None) -> Iterator[None]:
    """Compute with the recorded number of threads inside the block: sums are split over them.

    Raises:
        UnavailableError: The system gives fewer.
    """
    before = torch.get_num_threads()
    if recorded is not None:
        require_threads(recorded.threads - 1, purpose="computing as recorded")
        torch.set_num_threads(recorded.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
