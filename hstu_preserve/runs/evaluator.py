"""Evaluate the model of a run: after each epoch, and once more with the checkpoint that is reported."""

from pathlib import Path

from hstu_preserve.data.split import Part
from hstu_preserve.evaluation.evaluated import Evaluated
from hstu_preserve.evaluation.one_evaluation import evaluate_model
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import load_state
from hstu_preserve.primitives.metric_names import EPOCH_TAG, FULL_EPOCH_TAG
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.evaluation import RankingPath
from hstu_preserve.records.recipe import EvaluationSettings, Protocol
from hstu_preserve.runs.opened_run import OpenedRun
from hstu_preserve.training.checkpoint import read_checkpoint


def evaluates_everybody(settings: EvaluationSettings, *, epoch: int) -> bool:
    """Whether an epoch is evaluated on all users."""
    return epoch % settings.full_eval_every_n == 0


def list_tags(settings: EvaluationSettings, *, epoch: int) -> list[str]:
    """Return the tags under which an epoch's evaluation is logged."""
    is_marked = evaluates_everybody(settings, epoch=epoch) and settings.full_eval_every_n > 1
    return [EPOCH_TAG, FULL_EPOCH_TAG] if is_marked else [EPOCH_TAG]


class Evaluator:
    """Ranks the held-out items of a run's users with the model as it is then.

    Args:
        run: Its recipe says which part is evaluated when, and on how many users.
        model: The model that is trained.
        ranking_path: How users are ranked.
    """

    def __init__(self, run: OpenedRun, model: Recommender, *, ranking_path: RankingPath) -> None:
        self.run = run
        self.model = model
        self.ranking_path = ranking_path
        self.settings = run.recipe.evaluation
        self.is_validated = run.recipe.dataset.protocol is Protocol.VALIDATED
        self.latest_test: Evaluated | None = None
        """Of all users' test items, if the last epoch was evaluated on them."""

    def may_be_selected(self, epoch: int) -> bool:
        """Whether an epoch's evaluation may make it the best one: of all users, and not of their test items."""
        return self.is_validated and evaluates_everybody(self.settings, epoch=epoch)

    def evaluate_epoch(self, epoch: int) -> Evaluated:
        """Evaluate the model at the end of an epoch.

        Raises:
            RunStopped: Somebody asked the run to stop.
        """
        is_full = evaluates_everybody(self.settings, epoch=epoch)
        evaluated = self.evaluate(
            Part.VALIDATION if self.is_validated else Part.TEST,
            epoch=epoch,
            num_batches=None if is_full else self.settings.partial_eval_num_iters,
        )
        # Under upstream's protocol the last epoch's full evaluation is the final one; no need to rank everybody twice.
        self.latest_test = evaluated if is_full and not self.is_validated else None
        return evaluated

    def evaluate_checkpoint(self, path: Path) -> Evaluated:
        """Evaluate every user's test item with the checkpoint that will be reported.

        Raises:
            RunStopped: Somebody asked the run to stop.
        """
        loaded = read_checkpoint(path)
        load_state(self.model, loaded.weights, source=str(path))
        return self.evaluate(Part.TEST, epoch=loaded.epoch, num_batches=None)

    def evaluate(self, part: Part, *, epoch: int, num_batches: int | None) -> Evaluated:
        """Evaluate the model as it is, on all processes together."""
        return evaluate_model(
            self.model,
            self.run.store,
            part=part,
            epoch=epoch,
            num_batches=num_batches,
            ranking_path=self.ranking_path,
            world=self.run.world,
            voice=Voice(show=self.run.show_unless_stopped),
        )
