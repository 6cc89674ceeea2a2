"""Tables that hold numbers of several runs or bundles say of each which kind of evaluation it is of."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from hstu_preserve.pages.report_page import tabulate
from hstu_preserve.records.evaluation_kind import NOT_COMPARABLE, EvaluationKind
from hstu_preserve.records.manifest import Manifest
from hstu_preserve.records.runs import ListedRun, RunListing, RunState
from hstu_preserve.records.verdict import Outcome
from hstu_preserve.report.run_states import describe_runs
from tests.pages.records import judge, make_judged

SAMPLED = EvaluationKind.SAMPLED_UNSEEN


def list_one(name: str, *, ndcg10: float | None, kind: EvaluationKind | None) -> ListedRun:
    return ListedRun(
        path=Path(name),
        state=RunState.FINISHED,
        title=name,
        seed=1,
        identity=None,
        epochs_done=1,
        num_epochs=1,
        ndcg10=ndcg10,
        kind=kind,
        resume=None,
        problem=None,
    )


def show(*runs: ListedRun) -> list[str]:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(describe_runs(RunListing(path=Path(), runs=runs, left_out=0)))
    return capture.get().splitlines()


def test_runs_of_several_kinds_in_one_list_are_each_marked() -> None:
    full = list_one("full", ndcg10=0.1, kind=None)
    said = show(full, list_one("drawn", ndcg10=0.5, kind=SAMPLED), list_one("none", ndcg10=None, kind=None))
    line_of = {line.split()[0]: " ".join(line.split()) for line in said if line.split()}
    assert "evaluation" in line_of["run"]
    assert line_of["full"].endswith(f"0.1000 {EvaluationKind.WINDOW.words}")
    assert line_of["drawn"].endswith(f"0.5000 {SAMPLED.words}")
    assert line_of["none"].endswith("–")
    assert f"{NOT_COMPARABLE}." in {line.strip() for line in said}
    assert not any("evaluation" in line for line in show(full))


@pytest.mark.parametrize("kind", [None, SAMPLED])
def test_a_line_of_metas_kind_has_the_text_that_it_had(kind: EvaluationKind | None) -> None:
    assert (b'"kind"' in list_one("a", ndcg10=0.1, kind=kind).to_json()) is (kind is not None)


def test_bundles_of_several_kinds_on_one_page_are_each_marked(tmp_path: Path) -> None:
    full, drawn = (make_judged(tmp_path / name, judge(Outcome.REPRODUCED_NUMERIC)) for name in ("full", "drawn"))
    manifest = drawn.manifest
    assert isinstance(manifest, Manifest)
    claims = tuple(
        claim.model_copy(update={"policy": claim.policy.model_copy(update={"evaluation": SAMPLED})})
        for claim in manifest.claims
    )
    drawn = replace(drawn, manifest=manifest.model_copy(update={"claims": claims}))
    claimed = [row[2].text for row in tabulate([full, drawn]).rows]
    assert [text.split(" ", 1)[1] for text in claimed] == ["(ndcg@10)", f"(ndcg@10, {SAMPLED.words})"]
