"""Write the front matter of a model card with the Hub's own classes: licence, tags, and the claimed numbers.

Form: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

TASK = "sequential-recommendation"


@dataclass(frozen=True, kw_only=True)
class CardResult:
    """One claimed number, in words that are fixed: no text of a stranger stands in a front matter.

    Attributes:
        model: The bundle's file name.
        identity: The sha256 of its manifest.
        url: Where the bundle is; None if it is on no Hub yet.
        dataset: The data's name, if it is a known one.
        fingerprint: Of the data.
        metric: One of ours.
        value: As claimed.
        protocol: `upstream` or `validated`: their numbers are never compared.
        kind: Of the evaluation: likewise.
        epoch: Counted from 0.
        selection: How the epoch was chosen.
    """

    model: str
    identity: str
    url: str | None
    dataset: str
    fingerprint: str
    metric: str
    value: float
    protocol: str
    kind: str
    epoch: int
    selection: str


def write_card_data(results: Iterable[CardResult], *, licence: str, tags: Sequence[str]) -> str:
    """Return the front matter as YAML, without the lines that enclose it; each bundle is a model of its own."""
    from huggingface_hub import ModelCardData
    from huggingface_hub.repocard_data import eval_results_to_model_index

    card = ModelCardData(license=licence, tags=list(tags))
    index = [
        model
        for name, group in groupby(results, key=attrgetter("model"))
        for model in eval_results_to_model_index(name, [*map(make_result, group)])
    ]
    # Under the name that the file gives it: the class itself would merge two bundles on the same data into one source.
    if index:
        card["model-index"] = index
    return card.to_yaml(line_break="\n")


def make_result(result: CardResult) -> "EvalResult":
    """Return one number as the Hub's record."""
    from huggingface_hub import EvalResult

    return EvalResult(
        task_type=TASK,
        dataset_type=result.dataset,
        dataset_name=result.dataset,
        dataset_config=f"{result.protocol}, {result.kind}",
        dataset_split="test",
        dataset_revision=f"sha256:{result.fingerprint}",
        metric_type=result.metric,
        metric_name=result.metric,
        metric_value=result.value,
        metric_args={"epoch": result.epoch, "selection": result.selection},
        source_name=f"bundle sha256:{result.identity}",
        source_url=result.url or f"urn:sha256:{result.identity}",
    )
