"""A penalty on tables of embeddings joins the recorded loss: the event files show the loss without it, too."""

import json
from pathlib import Path

import pytest

from hstu_preserve.bundle.layout import STEPS
from hstu_preserve.errors import ContentError
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.reruns.recorded_logs import MAIN_LOSS, expect_losses, require_sum
from tests.factories import make_sealed_run

LOSSES = (1.5, 1.25)


@pytest.fixture
def bundle(tmp_path: Path) -> OpenedBundle:
    """A run of two steps whose recipe has a penalty."""
    lines = [{"epoch": 0, "loss": loss.hex(), "step": step} for step, loss in enumerate(LOSSES)]
    steps = "".join(json.dumps(line) + "\n" for line in lines).encode()
    manifest = make_sealed_run(tmp_path, files={STEPS: steps})
    recipe = manifest.run.recipe
    training = recipe.training.model_copy(update={"embedding_l2": 0.1})
    run = manifest.run.model_copy(update={"recipe": recipe.model_copy(update={"training": training})})
    return OpenedBundle(root=tmp_path, manifest=manifest.model_copy(update={"run": run}))


def test_the_loss_without_its_penalty_is_taken_as_it_is_shown(bundle: OpenedBundle) -> None:
    shown = {MAIN_LOSS: [(0, 1.25), (1, 1.0)]}
    require_sum(shown, bundle)
    expected = expect_losses(bundle, shown)
    assert expected[MAIN_LOSS] == shown[MAIN_LOSS]
    assert expected["losses/ar_loss"] == list(enumerate(LOSSES))


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(0, 1.25), (1, 1.5)], "without a penalty it is 1.5 at 1, with it 1.25"),
        ([(0, 1.25), (2, 1.0)], "without a penalty it is nan at 1"),
        ([(0, 1.25)], "steps of losses/main_loss"),
        ([], "steps of losses/main_loss"),
    ],
)
def test_a_loss_that_is_less_with_its_penalty_is_refused(
    points: list[tuple[int, float]], message: str, bundle: OpenedBundle
) -> None:
    with pytest.raises(ContentError, match=message):
        require_sum({MAIN_LOSS: points}, bundle)
