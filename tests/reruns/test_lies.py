"""Which lies of a bundle's author are found, by what, and which cannot be known: one line of the table for each."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hstu_preserve.bundle.layout import RANKS
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.cli.main import main
from hstu_preserve.compute.determinism import repeatable_arithmetic
from hstu_preserve.compute.machine import describe_numerics
from hstu_preserve.evaluation.metrics import compute_metrics
from hstu_preserve.evaluation.ranks import read_ranks
from hstu_preserve.event_files.reader import ScalarPoint
from hstu_preserve.reruns.consistency import CHECKS, check_bundle
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.verbs.unpack import unpack
from tests.reruns.lies import PUBLISHED, Forgery, Json, Lie, improve_ranks, permute_ranks, perturb

LOSS = float.fromhex("0x1.9000000000000p+2")


def set_value(where: Callable[[Forgery], Json], name: str, value: object) -> Lie:
    """Return the lie that one field says something else."""

    def lie(forgery: Forgery) -> None:
        where(forgery)[name] = value

    return lie


def final(name: str, value: object) -> Lie:
    return set_value(lambda forgery: forgery.final, name, value)


def checkpoint(epoch: int, name: str, value: object) -> Lie:
    return lambda forgery: forgery.edit_checkpoint(epoch, lambda content: content.update({name: value}))


def data(**facts: object) -> Lie:
    return lambda forgery: forgery.describe_data(**facts)


def points(edit: Callable[[list[ScalarPoint]], list[ScalarPoint]]) -> Lie:
    return lambda forgery: forgery.edit_points(edit)


def policy(gin: str, **settings: object) -> Lie:
    """Return the lie that the policies were others, in the gin chain, too."""

    def lie(forgery: Forgery) -> None:
        for line in gin.splitlines():
            forgery.edit_gin(line)
        forgery.edit_policies(lambda policy: policy.update(settings))

    return lie


def seeds(*values: int) -> Lie:
    return policy(f"claim.seeds = {values}\nhr10/claim.seeds = {values}", seeds=list(values))


def hold_another_run(forgery: Forgery) -> None:
    (forgery.root / "references" / "7").mkdir(parents=True)
    (forgery.root / "references" / "7" / "metrics.json").write_text("{}")


def claim_another_number(forgery: Forgery) -> None:
    forgery.claims[0]["value"] = 0.3840198939238812


def claim_and_report_another_number(forgery: Forgery) -> None:
    claim_another_number(forgery)
    forgery.final["metrics"]["ndcg@10"] = 0.3840198939238812


def record_another_number_everywhere(forgery: Forgery) -> None:
    forgery.measure_everywhere(11, **{"ndcg@10": 0.3})


def claim_epoch_100(forgery: Forgery) -> None:
    for claim in forgery.claims:
        claim["epoch"] = 100


def report_epoch_100(forgery: Forgery) -> None:
    claim_epoch_100(forgery)
    forgery.final["epoch"] = 100


def report_epoch_100_of_101(forgery: Forgery) -> None:
    report_epoch_100(forgery)
    forgery.edit_gin("train_fn.num_epochs = 101")
    forgery.edit_recipe(lambda recipe: recipe["training"].update(num_epochs=101))
    for epoch in (10, 11):
        checkpoint(epoch, "recipe_sha256", forgery.run["recipe_sha256"])(forgery)


def report_the_last_but_one(forgery: Forgery) -> None:
    for claim in forgery.claims:
        claim["epoch"] = 10
        claim["value"] = forgery.results["epochs"][10]["metrics"][claim["policy"]["metric"]]
    forgery.final.clear()
    forgery.final.update(forgery.results["epochs"][10])
    forgery.manifest["checkpoint"] = forgery.checkpoint(10).relative_to(forgery.root).as_posix()


def improve_the_ranks(forgery: Forgery) -> None:
    forgery.edit_ranks(improve_ranks)


def improve_the_ranks_and_their_digest(forgery: Forgery) -> None:
    forgery.edit_ranks(improve_ranks)
    forgery.record_everywhere(11, ranks_sha256=forgery.ranks_sha256)


def rank_everybody_impossibly(forgery: Forgery) -> None:
    forgery.edit_ranks(lambda ranks: ranks.ranks.__setitem__(0, 401))
    forgery.record_everywhere(11, ranks_sha256=forgery.ranks_sha256)


def rank_another_target(forgery: Forgery) -> None:
    forgery.edit_ranks(lambda ranks: ranks.target_ids.__setitem__(0, ranks.target_ids[0] + 1))
    forgery.record_everywhere(11, ranks_sha256=forgery.ranks_sha256)


def rank_another_user(forgery: Forgery) -> None:
    forgery.edit_ranks(lambda ranks: ranks.user_ids.__setitem__(-1, 10**6))
    forgery.record_everywhere(11, ranks_sha256=forgery.ranks_sha256)


def exchange_the_ranks_of_users(forgery: Forgery) -> None:
    forgery.edit_ranks(permute_ranks)
    # The metrics of liked targets alone move.
    forgery.measure_everywhere(11, **compute_metrics(read_ranks(forgery.root / RANKS, source=RANKS)))
    forgery.record_everywhere(11, ranks_sha256=forgery.ranks_sha256)


def better_an_earlier_epoch(forgery: Forgery) -> None:
    forgery.results["epochs"][3]["metrics"]["hr@10"] = 0.49


def better_an_earlier_epoch_and_show_it(forgery: Forgery) -> None:
    better_an_earlier_epoch(forgery)
    forgery.show("eval_epoch/hr@10", step=3, value=0.49)


def leave_out_an_epoch(forgery: Forgery) -> None:
    del forgery.results["epochs"][4]


def lose_less(steps: list[Json]) -> None:
    steps[90]["loss"] = LOSS.hex()


def lose_less_and_show_it(forgery: Forgery) -> None:
    forgery.edit_steps(lose_less)
    for tag in ("losses/ar_loss", "losses/main_loss"):
        forgery.show(tag, step=90, value=LOSS)


def drop_a_step(forgery: Forgery) -> None:
    forgery.edit_steps(lambda steps: steps.__delitem__(50))
    forgery.edit_points(lambda found: [p for p in found if not (p.tag.startswith("losses/") and p.step == 50)])


def move_a_step_to_another_epoch(forgery: Forgery) -> None:
    forgery.edit_steps(lambda steps: steps[8].update(epoch=0))


def add_a_step(forgery: Forgery) -> None:
    forgery.edit_steps(lambda steps: steps.append({"epoch": 11, "loss": LOSS.hex(), "step": 96}))


def exchange_the_checkpoints(forgery: Forgery) -> None:
    one, other = forgery.checkpoint(10), forgery.checkpoint(11)
    contents = one.read_bytes(), other.read_bytes()
    other.write_bytes(contents[0])
    one.write_bytes(contents[1])


def perturb_the_weights(forgery: Forgery) -> None:
    state = forgery.results["state_sha256"]
    forgery.edit_checkpoint(11, perturb)
    forgery.results["state_sha256"] = state


def perturb_the_weights_and_the_state_digest(forgery: Forgery) -> None:
    forgery.edit_checkpoint(11, perturb)


def forget_the_optimizer(forgery: Forgery) -> None:
    forgery.edit_checkpoint(10, lambda content: content["optimizer_state_dict"]["state"].clear())


def shrink_the_model(forgery: Forgery) -> None:
    def shrink(content: Json) -> None:
        content["model_state_dict"]["encoder.layers.0.uvqk"] = torch.zeros(4, 4)

    forgery.edit_checkpoint(11, shrink)


def call_it_published(forgery: Forgery) -> None:
    for number, line in enumerate(sorted(forgery.gin.parent.glob("dataset.gin"))):
        line.write_text(line.read_text().replace('"synthetic"', '"ml-20m"'))
        assert number == 0
    forgery.edit_recipe(lambda recipe: recipe["dataset"].update(name="ml-20m"))
    for epoch in (10, 11):
        checkpoint(epoch, "recipe_sha256", forgery.run["recipe_sha256"])(forgery)
    forgery.describe_data(name="ml-20m")


def call_it_and_its_store_published(forgery: Forgery) -> None:
    call_it_published(forgery)
    forgery.store["name"] = "ml-20m"


def call_it_published_with_the_published_counts(forgery: Forgery) -> None:
    call_it_published(forgery)
    forgery.describe_data(**PUBLISHED)


def change_the_data(forgery: Forgery) -> None:
    stars = np.load(forgery.root / "data" / "half_stars.npy")
    stars[0] = 11 - stars[0]
    forgery.replace_array("half_stars", stars)


def go_by_another_id(name: str) -> Lie:
    def lie(forgery: Forgery) -> None:
        forgery.edit_gin(f"bundle.id = '{name}'")
        forgery.run["bundle"]["id"] = name

    return lie


def change_a_gin_value(forgery: Forgery) -> None:
    forgery.gin.write_text(forgery.gin.read_text().replace("num_negatives = 64", "num_negatives = 65"))


def train_by_another_recipe(forgery: Forgery) -> None:
    change_a_gin_value(forgery)
    forgery.edit_recipe(lambda recipe: recipe["loss"].update(num_negatives=65))


def add_an_unused_gin_file(forgery: Forgery) -> None:
    (forgery.root / "config" / "unused.gin").write_text("# never included\n")


def leave_the_store_out_of_the_manifest(forgery: Forgery) -> None:
    forgery.describe_data(included=False)


def damage_the_event_file(forgery: Forgery) -> None:
    (path,) = (forgery.root / "tb").rglob("events.out.tfevents.*")
    path.write_bytes(path.read_bytes()[:-7])


def show_another_tag(forgery: Forgery) -> None:
    forgery.edit_points(lambda points: [*points, replace(points[-1], tag="eval/ndcg@10 \x1b[2J" + "x" * 100_000)])


def show_every_point_nine_times(forgery: Forgery) -> None:
    forgery.edit_points(lambda points: points * 9)


def state_another_title(forgery: Forgery) -> None:
    forgery.edit_gin("bundle.title = 'State of the art'")
    forgery.run["bundle"]["title"] = "State of the art"


def better_an_earlier_epoch_everywhere(forgery: Forgery) -> None:
    forgery.measure_everywhere(3, **{"hr@10": 0.49})


def better_an_earlier_epoch_impossibly(forgery: Forgery) -> None:
    forgery.measure_everywhere(3, **{"hr@10": 0.4901})


def put_an_earlier_epoch_above_its_bound(forgery: Forgery) -> None:
    forgery.measure_everywhere(3, **{"ndcg@10": 0.6})


def cover_more(forgery: Forgery) -> None:
    forgery.record_everywhere(11, coverage_at_10=0.9)
    forgery.show("eval_epoch/coverage@10", step=11, value=0.9)


def cover_half_a_candidate(forgery: Forgery) -> None:
    forgery.record_everywhere(11, coverage_at_10=0.90125)
    forgery.show("eval_epoch/coverage@10", step=11, value=0.90125)


def tie_nobody(forgery: Forgery) -> None:
    forgery.record_everywhere(11, num_nearly_tied=7)


def change_the_policy_afterwards(forgery: Forgery) -> None:
    forgery.run["policies"][0]["margin"] = 0.5
    record = json.dumps(forgery.run, sort_keys=True, separators=(",", ":"))
    (forgery.root / "run.json").write_text(record)
    forgery.run["policies"][0]["margin"] = 0.002


CONTRADICTIONS: dict[str, tuple[Lie, set[str]]] = {
    "the claim has another number": (claim_another_number, {"claims"}),
    "so has the report": (claim_and_report_another_number, {"ranks", "curve"}),
    "so has every record": (record_another_number_everywhere, {"ranks"}),
    "the claim is of epoch 100": (claim_epoch_100, {"claims"}),
    "so is the report": (report_epoch_100, {"checkpoints", "claims"}),
    "so is the recipe": (report_epoch_100_of_101, {"checkpoints", "curve", "claims"}),
    "the last epoch but one is the final one": (report_the_last_but_one, {"ranks", "claims"}),
    "the claim is of other seeds": (seeds(7), {"claims", "gin chain"}),
    "a seed is counted twice": (seeds(42, 42), {"claims", "gin chain"}),
    "the run's seed is not the first": (seeds(1, 42), {"claims", "gin chain"}),
    "the ranks are better, the metrics stay": (improve_the_ranks, {"ranks"}),
    "the ranks are better, and their digest": (improve_the_ranks_and_their_digest, {"ranks"}),
    "a rank is beyond the candidates": (rank_everybody_impossibly, {"ranks"}),
    "a target is another": (rank_another_target, {"data"}),
    "a user is another": (rank_another_user, {"data"}),
    "exact_mrr is better": (final("exact_mrr", 0.5), {"ranks", "curve"}),
    "fewer users are tied": (tie_nobody, {"ranks"}),
    "fewer candidates were ranked": (final("num_candidates", 390), {"curve"}),
    "users were skipped": (final("num_users_skipped", 3), {"curve"}),
    "seen items were filtered otherwise": (final("filter_all_seen", True), {"ranks", "curve"}),
    "the final evaluation is of validation": (final("part", "validation"), {"ranks", "curve"}),
    "the final protocol is another": (final("protocol", "validated"), {"ranks", "curve"}),
    "half a candidate is covered": (cover_half_a_candidate, {"curve"}),
    "an earlier epoch is better": (better_an_earlier_epoch, {"checkpoints", "event files"}),
    "the event file shows it": (better_an_earlier_epoch_and_show_it, {"checkpoints"}),
    "half a user is hit": (better_an_earlier_epoch_impossibly, {"curve"}),
    "ndcg is more than the hit rate": (put_an_earlier_epoch_above_its_bound, {"curve"}),
    "an epoch is left out": (leave_out_an_epoch, {"checkpoints", "steps", "event files", "curve", "claims"}),
    "a loss is lower": (lambda forgery: forgery.edit_steps(lose_less), {"event files"}),
    "a step is missing": (drop_a_step, {"checkpoints", "steps"}),
    "a step is of another epoch": (move_a_step_to_another_epoch, {"steps"}),
    "a step is added": (add_a_step, {"checkpoints", "steps", "event files"}),
    "the event file shows a foreign tag": (
        points(lambda found: [*found, ScalarPoint(tag="eval_epoch/ndcg@7", step=1, value=0.5, wall_time=0.0)]),
        {"event files"},
    ),
    "the event file shows a thirteenth epoch": (
        points(lambda found: [*found, ScalarPoint(tag="eval_epoch/ndcg@10", step=12, value=0.5, wall_time=0.0)]),
        {"event files"},
    ),
    "the event file shows a value before the right one": (
        points(lambda found: [ScalarPoint(tag="eval_epoch/ndcg@10", step=11, value=0.5, wall_time=0.0), *found]),
        {"event files"},
    ),
    "the event file lost points": (points(lambda found: found[:-40]), {"event files"}),
    "the event file is cut": (damage_the_event_file, {"event files"}),
    "the event file shows a tag of nobody": (show_another_tag, {"event files"}),
    "the event file shows each point nine times": (show_every_point_nine_times, {"event files"}),
    "the learning rate was another": (lambda forgery: forgery.show("lr", step=0, value=0.001), {"event files"}),
    "the loss without its parts is another": (
        lambda forgery: forgery.show("losses/main_loss", step=5, value=1.0),
        {"event files"},
    ),
    "the checkpoints are exchanged": (exchange_the_checkpoints, {"checkpoints"}),
    "the weights are others": (perturb_the_weights, {"checkpoints"}),
    "the weights are of another shape": (shrink_the_model, {"checkpoints"}),
    "the optimizer is empty": (forget_the_optimizer, {"checkpoints"}),
    "a checkpoint is of other data": (checkpoint(10, "data_fingerprint", "0" * 64), {"checkpoints"}),
    "a checkpoint is of another recipe": (checkpoint(10, "recipe_sha256", "0" * 64), {"checkpoints"}),
    "a checkpoint is of another epoch": (checkpoint(10, "epoch", 9), {"checkpoints"}),
    "a checkpoint is of other steps": (checkpoint(10, "batch_id", 80), {"checkpoints"}),
    "a checkpoint is of two processes": (checkpoint(10, "world_size", 2), {"checkpoints"}),
    "the final state is another": (
        set_value(lambda forgery: forgery.results, "state_sha256", "0" * 64),
        {"checkpoints"},
    ),
    "it was computed in bfloat16": (
        set_value(lambda forgery: forgery.run["environment"]["numerics"], "dtype", "bfloat16"),
        {"run records"},
    ),
    "it was computed with another torch": (
        set_value(lambda forgery: forgery.run["environment"]["packages"], "torch", "2.4.0"),
        {"run records"},
    ),
    "it was computed by two processes": (
        set_value(lambda forgery: forgery.run["environment"]["numerics"], "processes", 2),
        {"checkpoints"},
    ),
    "the policy was changed afterwards": (change_the_policy_afterwards, {"run records"}),
    "the data have another name": (data(name="ml-1m"), {"data"}),
    "so has the recipe": (call_it_published, {"data"}),
    "so has the store": (call_it_and_its_store_published, {"data"}),
    "the counts are the published ones": (call_it_published_with_the_published_counts, {"curve", "steps", "data"}),
    "there are more ratings": (data(num_ratings=20_000_263), {"steps", "data"}),
    "there are more users": (data(num_users=138_493), {"curve", "steps", "data"}),
    "there are more candidates": (data(num_candidates=27_278), {"curve", "steps", "data"}),
    "ties were ordered otherwise": (data(tie_policy="item_id"), {"data"}),
    "the data may not travel": (data(redistributable=False), {"data"}),
    "the data came from elsewhere": (data(source="ml-20m.zip"), {"data"}),
    "the data are not inside": (leave_the_store_out_of_the_manifest, {"data"}),
    "the store counts more rated items": (
        set_value(lambda f: f.store["counts"], "num_rated_items", 401),
        {"steps", "data"},
    ),
    "the store counts fewer ties": (set_value(lambda f: f.store["provenance"], "tied_events", 0), {"data"}),
    "a rating was changed": (change_the_data, {"checkpoints"}),
    "a gin value is another": (change_a_gin_value, {"gin chain"}),
    "so is the recipe's": (train_by_another_recipe, {"checkpoints"}),
    "a gin file is never read": (add_an_unused_gin_file, {"gin chain"}),
    "the title is not the chain's": (set_value(lambda f: f.run["bundle"], "title", "State of the art"), {"gin chain"}),
    "it holds a run that no claim names": (hold_another_run, {"references"}),
    "it goes by a published id": (go_by_another_id("iter8-exp4-SOTA"), {"catalog"}),
    "in lower case": (go_by_another_id("iter8-exp4-sota"), {"catalog"}),
    "by that of a row of the paper": (go_by_another_id("paper-hstu-ml-1m"), {"catalog"}),
}
"""Lies that contradict something else in the bundle, and the checks that say so."""

EXIT_CODES: dict[str, tuple[Lie, tuple[str, ...], int, str]] = {
    "ranks are exchanged among users": (exchange_the_ranks_of_users, ("evaluation",), 5, "users moved"),
    "weights and state digest are others": (
        perturb_the_weights_and_the_state_digest,
        ("evaluation",),
        5,
        "users moved",
    ),
    "more candidates are covered": (cover_more, ("evaluation",), 5, "coverage_at_10"),
    "a loss is lower, and shown": (lose_less_and_show_it, ("resume",), 5, "another loss"),
    "weights before the last epoch are others": (
        lambda forgery: forgery.edit_checkpoint(10, perturb),
        ("resume",),
        5,
        "step 1 of 8 has another loss",
    ),
    "any number meets the margin": (
        policy("claim.margin = 0.9\nhr10/claim.margin = 0.9", margin=0.9),
        ("evaluation",),
        6,
        "a trivial claim",
    ),
    "smaller is better": (
        policy("claim.direction = 'minimize'\nhr10/claim.direction = 'minimize'", direction="minimize"),
        ("evaluation",),
        6,
        "a trivial claim: ndcg@10 is better when larger",
    ),
    "the margin is more than the range": (
        policy("claim.margin = 1e9\nhr10/claim.margin = 1e9", margin=1e9),
        ("evaluation",),
        3,
        "margin",
    ),
    "the title is another": (state_another_title, ("evaluation",), 0, "author's word alone: title"),
    "the commit is another": (set_value(lambda f: f.run["code"], "commit", "0" * 40), ("evaluation",), 0, "commit"),
    "an earlier epoch is better everywhere": (
        better_an_earlier_epoch_everywhere,
        ("evaluation",),
        0,
        "figures of earlier epochs",
    ),
    "a loss is lower, and nobody resumes": (lose_less_and_show_it, ("evaluation",), 0, "training was not asked for"),
}
"""Lies that contradict nothing: what a re-run says of them; 0 where they are the author's word alone."""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("honest") / "tree"
    unpack("sample", output=root)
    return root


def tell(lie: Lie, *, sample: Path, folder: Path) -> Forgery:
    root = folder / "tree"
    shutil.copytree(sample, root)
    forgery = Forgery(root)
    lie(forgery)
    if lie is change_the_policy_afterwards:
        seal_but_the_run_record(forgery)
    else:
        forgery.seal()
    return forgery


def seal_but_the_run_record(forgery: Forgery) -> None:
    kept = (forgery.root / "run.json").read_bytes()
    forgery.seal()
    (forgery.root / "run.json").write_bytes(kept)
    forgery.seal_manifest()


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_lie_that_contradicts_something_is_found_by_the_checks_that_look_for_it(
    name: str, sample: Path, tmp_path: Path
) -> None:
    lie, expected = CONTRADICTIONS[name]
    root = tell(lie, sample=sample, folder=tmp_path).root
    checks = check_bundle(OpenedBundle(root=root, manifest=read_tree_manifest(root).manifest))
    assert {check.name for check in checks if not check.passed} == expected, checks


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        (show_another_tag, "show eval/ndcg@10 \\x1b[2Jxxx"),
        (show_every_point_nine_times, "points, which are all that this run recorded"),
    ],
)
def test_of_an_event_file_no_more_is_kept_or_said_than_its_run_can_have_written(
    lie: Lie, says: str, sample: Path, tmp_path: Path
) -> None:
    root = tell(lie, sample=sample, folder=tmp_path).root
    checks = check_bundle(OpenedBundle(root=root, manifest=read_tree_manifest(root).manifest))
    (failed,) = (check for check in checks if not check.passed)
    assert says in failed.detail
    assert len(failed.detail) < 300


def test_every_check_finds_a_lie() -> None:
    assert set().union(*(expected for _, expected in CONTRADICTIONS.values())) == set(CHECKS)


def test_an_honest_bundle_contradicts_nothing(sample: Path) -> None:
    checks = check_bundle(OpenedBundle(root=sample, manifest=read_tree_manifest(sample).manifest))
    assert [check for check in checks if not check.passed] == []


@pytest.mark.parametrize(
    ("installed", "imported", "passes"),
    [
        ("2.11.0", "2.11.0+cu130", True),  # as the package index has it for CUDA
        ("2.13.0+cpu", "2.13.0+cpu", True),
        ("2.13.0+cpu", "2.13.0", True),
        ("2.11.0+cpu", "2.11.0+cu130", False),
        ("2.11.0", "2.12.0+cu130", False),
        ("2.11.0", "2.11.1", False),
    ],
)
def test_a_build_is_known_with_and_without_its_local_part(
    installed: str, imported: str, passes: bool, sample: Path, tmp_path: Path
) -> None:
    def record(forgery: Forgery) -> None:
        forgery.run["environment"]["packages"]["torch"] = installed
        forgery.run["environment"]["numerics"]["torch"] = imported

    root = tell(record, sample=sample, folder=tmp_path).root
    checks = check_bundle(OpenedBundle(root=root, manifest=read_tree_manifest(root).manifest))
    assert [check.name for check in checks if not check.passed] == ([] if passes else ["run records"])


@pytest.mark.parametrize("name", ["the ranks are better, the metrics stay", "it goes by a published id"])
@pytest.mark.parametrize("command", [["verify", "--deep"], ["reproduce", "--rung", "training"]], ids=lambda c: c[0])
def test_a_contradiction_exits_3_before_anything_is_run(
    name: str, command: list[str], sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lie, (check, *_) = CONTRADICTIONS[name]
    root = tell(lie, sample=sample, folder=tmp_path).root
    assert main(["verify", str(root)]) == 0
    capsys.readouterr()
    assert main([*command, str(root), "--json"]) == 3
    shown = capsys.readouterr().out
    assert check in shown
    if command[0] == "reproduce":
        verdicts = {one["rung"]: one["outcome"] for one in json.loads(shown)["verdicts"]}
        assert verdicts == {
            "bytes": "REPRODUCED_BITWISE",
            "consistency": "NOT_REPRODUCED",
            "training-numeric": "NOT_RUN",
        }


def record_this_machine(forgery: Forgery) -> None:
    """Let the run have been made here, so that equal bits are asked for."""
    recorded = forgery.run["environment"]["numerics"]
    with repeatable_arithmetic(tf32=recorded["tf32"]):
        here = describe_numerics(torch.device("cpu"), dtype="float32").to_json_value()
    assert isinstance(here, dict)
    recorded.update(here | {"threads": recorded["threads"]})
    forgery.run["environment"]["packages"]["torch"] = here["torch"]


@pytest.mark.parametrize("name", EXIT_CODES)
def test_a_lie_that_contradicts_nothing_is_found_by_a_re_run_or_said_to_be_the_authors_word(
    name: str, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lie, rungs, code, says = EXIT_CODES[name]

    def told_here(forgery: Forgery) -> None:
        lie(forgery)
        record_this_machine(forgery)

    root = tell(told_here, sample=sample, folder=tmp_path).root
    options = [word for rung in rungs for word in ("--rung", rung)]
    assert main(["reproduce", str(root), "--device", "cpu", *options, "--json"]) == code
    shown: Any = capsys.readouterr()
    assert says in shown.out + shown.err
