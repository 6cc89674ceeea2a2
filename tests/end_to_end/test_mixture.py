"""Mixture of Logits through the whole loop on little data, and weights under rails' names that rank the same."""

import json
from pathlib import Path

import pytest
import torch

from hstu_preserve.bundle.layout import METRICS
from hstu_preserve.cli.main import main
from hstu_preserve.event_files.reader import read_scalars
from hstu_preserve.model.interactions.objective import OWN_LOSSES
from hstu_preserve.model.upstream_weights import build_for_weights, to_upstream
from hstu_preserve.records.manifest import Manifest
from hstu_preserve.training.checkpoint import read_checkpoint
from hstu_preserve.verbs.data import synthesize_data
from tests.runs.tiny_run import tiny_gin

MIXTURE = """
train_fn.sampling_strategy = 'local'
train_fn.interaction_module_type = 'MoL'
train_fn.top_k_method = 'MoLBruteForceTopK'
train_fn.user_embedding_norm = 'layer_norm'
train_fn.loss_weights = {'uid_embedding_l2_norm': 0.1, 'mi_loss': 0.001}
create_mol_interaction_module.query_dot_product_groups = 4
create_mol_interaction_module.item_dot_product_groups = 2
create_mol_interaction_module.dot_product_dimension = 8
create_mol_interaction_module.temperature = 0.05
create_mol_interaction_module.query_hidden_dim = 16
create_mol_interaction_module.query_nonlinearity = 'swiglu'
create_mol_interaction_module.query_dropout_rate = 0.1
create_mol_interaction_module.uid_embedding_hash_sizes = [16]
create_mol_interaction_module.uid_dropout_rate = 0.5
create_mol_interaction_module.item_hidden_dim = -1
create_mol_interaction_module.item_dropout_rate = 0.1
create_mol_interaction_module.softmax_dropout_rate = 0.2
create_mol_interaction_module.gating_query_hidden_dim = 8
create_mol_interaction_module.gating_item_hidden_dim = 8
create_mol_interaction_module.gating_qi_hidden_dim = 8
create_mol_interaction_module.gating_qi_dropout_rate = 0.1
claim.metric = 'ndcg@10'
claim.margin = 0.01
claim.margin_derivation = 'a test'
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    synthesize_data(seed=5, num_users=40, num_items=80, num_ratings=800, output=path)
    return path


@pytest.fixture(scope="module")
def trained(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two epochs and its gin file."""
    folder = tmp_path_factory.mktemp("mixture")
    text = tiny_gin(item_l2_norm=False, temperature=1.0, num_epochs=2, local_batch_size=20, save_ckpt_every_n=1)
    (folder / "mixture.gin").write_text(text + MIXTURE)
    on_data = ["--data", str(store), "--device", "cpu"]
    assert main(["train", str(folder / "mixture.gin"), *on_data, "--output", str(folder / "run")]) == 0
    return folder


def test_a_mixture_packs_verifies_and_reproduces_on_every_rung(
    trained: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = trained / "bundle.tar.gz"
    assert main(["pack", str(trained / "run"), "--output", str(bundle)]) == 0
    assert main(["verify", str(bundle), "--deep"]) == 0
    capsys.readouterr()
    rungs = ["--rung", "evaluation", "--rung", "resume", "--rung", "training"]
    assert main(["reproduce", str(bundle), "--data", str(store), "--device", "cpu", *rungs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["verdicts"]
    assert {verdict["outcome"] for verdict in found} == {"REPRODUCED_BITWISE", "REPRODUCED_NUMERIC"}
    by_rung = {verdict["rung"]: verdict["outcome"] for verdict in found}
    bitwise = ("evaluation-bitwise", "resume-bitwise", "training-bitwise")
    assert [by_rung[rung] for rung in bitwise] == ["REPRODUCED_BITWISE"] * 3


def test_the_losses_of_the_mixture_are_logged(trained: Path) -> None:
    (path,) = (trained / "run" / "tb").rglob("events.out.tfevents.*")
    tags = {point.tag for point in read_scalars(path)}
    assert {f"losses/{name}" for name in OWN_LOSSES} <= tags


def test_weights_under_rails_names_rank_as_ours_do(
    trained: Path, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = Manifest.from_json((trained / "run" / "MANIFEST.json").read_bytes(), source="run")
    ours = read_checkpoint(trained / "run" / manifest.checkpoint)
    model = build_for_weights(manifest.run.recipe, ours.weights, source="ours")
    theirs = tmp_path / "rails_ep1"
    torch.save({"epoch": 1, "batch_id": 4, "model_state_dict": to_upstream(model), "optimizer_state_dict": {}}, theirs)
    options = ["--gin", str(trained / "mixture.gin"), "--data", str(store), "--device", "cpu", "--json"]
    capsys.readouterr()
    assert main(["evaluate", "--checkpoint", str(theirs), *options]) == 0
    found = json.loads(capsys.readouterr().out)
    recorded = json.loads((trained / "run" / METRICS).read_text())["epochs"][-1]
    assert found["evaluation"]["ranks_sha256"] == recorded["ranks_sha256"]
