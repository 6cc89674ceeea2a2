"""`torchrun -m hstu_preserve train`: several processes train what one would, and go on where they were killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from hstu_preserve.bundle.layout import CHECKPOINT_FOLDER, METRICS, RANKS, RUN_RECORD, STEPS
from hstu_preserve.bundle.verification import verify_tree
from hstu_preserve.errors import UsageError
from hstu_preserve.evaluation.ranks import UserRanks, read_ranks
from hstu_preserve.event_files.reader import read_scalars
from hstu_preserve.verbs.data import prepare_data, synthesize_data
from hstu_preserve.verbs.evaluate import evaluate
from hstu_preserve.verbs.reproduce import reproduce
from tests.forked import run_in_words
from tests.runs.killing import summarize
from tests.runs.tiny_run import tiny_gin
from tests.runs.trainings_together import PATIENCE_SECONDS, find_free_port, finish_all, start_process
from tests.system_threads import read_of_threads

LOCAL = 'train_fn.sampling_strategy = "local"\n'
IN_BATCH = 'train_fn.sampling_strategy = "in-batch"\nprism.variant = "film"\n'
COMPONENTS = """
train_fn.sampling_strategy = "local"
prism.variant = "moe"
prism.load_balance_weight = 0.1
pop_debias.mode = "ips"
time_decay.where = "loss"
time_decay.mode = "power"
time_decay.learnable = False
input_compression.pooling = "chunk"
input_compression.num_tokens = 6
input_compression.ratio = 2
input_compression.recent_len = 8
input_compression.random_boundary = True
hard_negatives.fraction = 0.5
hard_negatives.pool_size = 32
"""
MIXTURE = """
train_fn.sampling_strategy = 'local'
train_fn.interaction_module_type = 'MoL'
train_fn.top_k_method = 'MoLBruteForceTopK'
train_fn.temperature = 1.0
train_fn.loss_weights = {'uid_embedding_l2_norm': 0.1, 'mi_loss': 0.5}
create_mol_interaction_module.query_dot_product_groups = 3
create_mol_interaction_module.item_dot_product_groups = 2
create_mol_interaction_module.dot_product_dimension = 6
create_mol_interaction_module.temperature = 0.05
create_mol_interaction_module.query_hidden_dim = 8
create_mol_interaction_module.query_dropout_rate = 0.0
create_mol_interaction_module.uid_embedding_hash_sizes = [7]
create_mol_interaction_module.uid_dropout_rate = 0.0
create_mol_interaction_module.item_hidden_dim = -1
create_mol_interaction_module.item_dropout_rate = 0.0
create_mol_interaction_module.softmax_dropout_rate = 0.0
create_mol_interaction_module.gating_query_hidden_dim = 8
create_mol_interaction_module.gating_item_hidden_dim = 8
create_mol_interaction_module.gating_qi_hidden_dim = 8
"""
RECIPES = {"base": LOCAL, "in-batch": IN_BATCH, "components": COMPONENTS, "mixture": MIXTURE}
"""40 users in batches of 13: the last batch is one user, which the second process has no part of."""
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "store"
    synthesize_data(seed=5, num_users=40, num_items=80, num_ratings=1000, output=path)
    return path


def write_gin(
    folder: Path, recipe: str = "base", *, dropout: float = 0.0, num_epochs: int = 3, dataset: str = "synthetic"
) -> Path:
    path = folder / "experiment.gin"
    text = tiny_gin(
        dataset_name=dataset,
        dropout_rate=dropout,
        learning_rate=0.001,
        num_epochs=num_epochs,
        local_batch_size=13,
        eval_batch_size=16,
    )
    path.write_text(text + RECIPES[recipe])
    return path


def start(
    gin: Path,
    *,
    store: Path,
    output: Path,
    num_processes: int,
    last: tuple[str, ...] = (),
    program: tuple[str, ...] = ("-m", "hstu_preserve"),
) -> subprocess.Popen[str]:
    """Begin a training by torchrun."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_processes)]
    command = [
        sys.executable,
        *torchrun,
        *(*program, "train", str(gin), "--data", str(store), "--output", str(output), "--device", "cpu"),
        *last,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for the end and return what was said on stdout and stderr; of a hang, say where each process stands."""
    try:
        return process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        for pid in [process.pid, *list_children(process.pid)]:  # none may go on beside other tests
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGABRT)
        pytest.fail("a hang\n" + "\n".join(process.communicate()))


def list_children(parent: int) -> list[int]:
    """Return the processes that another one started, each of which torchrun puts in a session of its own."""
    return [int(pid) for children in read_of_threads("children", pid=parent).values() for pid in children.split()]


def train(gin: Path, *, store: Path, output: Path, num_processes: int, last: tuple[str, ...] = ()) -> str:
    """Train to the end and return what was said on stderr."""
    shown, said = finish(process := start(gin, store=store, output=output, num_processes=num_processes, last=last))
    assert process.returncode == 0, said
    assert shown.count("identity") == 1, "each process has spoken"
    assert "Warning" not in said
    return said


def read_losses(run: Path) -> list[float]:
    return [float.fromhex(json.loads(line)["loss"]) for line in (run / STEPS).read_text().splitlines()]


def read_points(run: Path, *, tag: str) -> list[float]:
    """Return what the event file shows under a tag, in the order of the steps."""
    (path,) = (run / "tb").rglob("events.out.tfevents.*")
    return [point.value for point in read_scalars(path) if point.tag == tag]


def load_ranks(run: Path) -> UserRanks:
    return read_ranks((run / RANKS).read_bytes(), source=RANKS)


def train_in_two(gin: Path, *, store: Path, output: Path) -> None:
    """Train in two processes that know of each other as torchrun tells them."""
    arguments = ("train", str(gin), "--data", str(store), "--output", str(output), "--device", "cpu")
    port = find_free_port()
    ended = finish_all([start_process(*arguments, rank=rank, size=2, port=port) for rank in range(2)])
    assert [one.code for one in ended] == [0, 0], [one.said for one in ended]
    assert [one.shown.count("identity") for one in ended] == [1, 0], "each process has spoken"


def train_in_one(gin: Path, *, store: Path, output: Path) -> None:
    """Train in one process."""
    arguments = ("train", str(gin), "--data", str(store), "--output", str(output), "--device", "cpu")
    result = run_in_words(*arguments, environment={**os.environ, "OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stderr


def require_agreement(one: Path, two: Path) -> None:
    """Losses within a relative 1e-5, and at most 1 % of the users' ranks moved."""
    losses = read_losses(one)
    assert read_losses(two) == pytest.approx(losses, rel=TOLERANCE)
    ours, theirs = load_ranks(one), load_ranks(two)
    assert np.array_equal(ours.user_ids, theirs.user_ids)
    assert (ours.ranks != theirs.ranks).mean() <= 0.01
    assert json.loads((two / RUN_RECORD).read_bytes())["environment"]["numerics"]["processes"] == 2
    assert verify_tree(two).ok


PARTS = {"components": {"losses/prism_load_balance"}, "mixture": {"losses/mi_loss", "losses/uid_embedding_l2_norm"}}
"""What each recipe logs beside the main loss."""


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param("base", marks=pytest.mark.slow),
        "in-batch",
        "components",
        pytest.param("mixture", marks=pytest.mark.slow),
    ],
)
def test_two_processes_train_what_one_trains(recipe: str, store: Path, tmp_path: Path) -> None:
    gin = write_gin(tmp_path, recipe)
    train_in_one(gin, store=store, output=tmp_path / "one")
    train_in_two(gin, store=store, output=tmp_path / "two")
    require_agreement(tmp_path / "one", tmp_path / "two")
    for tag in {"losses/main_loss"}.union(*PARTS.values()):
        shown = read_points(tmp_path / "one", tag=tag)
        assert bool(shown) == (tag == "losses/main_loss" or tag in PARTS.get(recipe, set()))
        assert read_points(tmp_path / "two", tag=tag) == pytest.approx(shown, rel=TOLERANCE)


@pytest.mark.slow
def test_two_processes_train_what_one_trains_on_real_data(latest_small: Path, tmp_path: Path) -> None:
    prepare_data("ml-latest-small", source=latest_small, output=tmp_path / "store")
    gin = write_gin(tmp_path, dataset="ml-latest-small")
    train_in_one(gin, store=tmp_path / "store", output=tmp_path / "one")
    train(gin, store=tmp_path / "store", output=tmp_path / "two", num_processes=2)
    require_agreement(tmp_path / "one", tmp_path / "two")


def test_one_process_of_torchrun_is_a_run_on_its_own(store: Path, tmp_path: Path) -> None:
    gin = write_gin(tmp_path, dropout=0.2)
    train_in_one(gin, store=store, output=tmp_path / "one")
    train(gin, store=store, output=tmp_path / "torchrun", num_processes=1)
    assert summarize(tmp_path / "torchrun") == summarize(tmp_path / "one")


def find_process(rank: int, *, output: Path) -> int:
    """Return the process of a rank that trains into `output`."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, settings = ((folder / name).read_bytes().split(b"\0") for name in ("cmdline", "environ"))
        except OSError:
            continue
        if str(output).encode() in command and f"RANK={rank}".encode() in settings:
            return int(folder.name)
    raise AssertionError(f"no process of rank {rank}")


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for a state that a training comes to; one that ends before fails the test."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail("\n".join(finish(process)))
        time.sleep(0.01)


def has_steps(run: Path) -> bool:
    return (run / STEPS).exists() and (run / STEPS).stat().st_size > 0


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by /proc")
def test_a_run_that_lost_a_process_goes_on_to_the_same_bits(store: Path, tmp_path: Path) -> None:
    """What the one that is left notices first is chance: the silence of the other, or torchrun's SIGTERM."""
    gin = write_gin(tmp_path, dropout=0.2, num_epochs=30)
    train_in_two(gin, store=store, output=tmp_path / "whole")
    run = tmp_path / "run"
    often = ("--checkpoint-minutes", "0")  # after every step, each of which is then on the disk
    process = start(gin, store=store, output=run, num_processes=2, last=often)
    wait_until(lambda: has_steps(run), process)
    os.kill(find_process(1, output=run), signal.SIGKILL)
    _, said = finish(process)
    assert process.returncode != 0
    is_missed = "error: another process of this run is gone" in said
    is_terminated = f"{run}: saved; the same command with --resume goes on from here" in said
    assert is_missed or is_terminated, said
    assert "--resume" in said
    assert "hstu_preserve/" not in said.replace(str(tmp_path), ""), f"a traceback:\n{said}"
    assert list((run / CHECKPOINT_FOLDER).iterdir())
    assert not (run / METRICS).exists()
    before = (run / STEPS).read_bytes()
    refused = run_in_words("train", str(gin), "--data", str(store), "--output", str(run), "--resume")
    said_of_one = refused.stderr
    assert (refused.returncode, "processes: 2 then, 1 now" in said_of_one) == (2, True), said_of_one
    assert (run / STEPS).read_bytes() == before
    assert "resuming from" in train(gin, store=store, output=run, num_processes=2, last=("--resume",))
    assert summarize(run) == summarize(tmp_path / "whole")


EVALUATING = """
import sys
from pathlib import Path
from hstu_preserve.cli import main
from hstu_preserve.runs.opened_run import OpenedRun

show = OpenedRun.show_unless_stopped

def note(run, progress):
    if run.world.is_first:
        Path("{sign}").touch()
    show(run, progress)

OpenedRun.show_unless_stopped = note
main.run()
"""


def test_a_signal_within_an_evaluation_saves_the_run(tmp_path: Path) -> None:
    """It is heard before the evaluation ends, which could take longer than torchrun waits before it kills."""
    synthesize_data(seed=5, num_users=12_000, num_items=80, num_ratings=60_000, output=tmp_path / "store")
    gin = write_gin(tmp_path, num_epochs=2)
    gin.write_text(gin.read_text() + "train_fn.local_batch_size = 3000\ntrain_fn.eval_batch_size = 1\n")
    program, sign = tmp_path / "program.py", tmp_path / "evaluating"
    program.write_text(EVALUATING.format(sign=sign))
    run = tmp_path / "run"
    process = start(gin, store=tmp_path / "store", output=run, num_processes=2, program=(str(program),))
    wait_until(sign.exists, process)
    process.terminate()
    _, said = finish(process)
    assert "saved; the same command with --resume goes on" in said
    assert process.returncode != 0
    (saved,) = (run / CHECKPOINT_FOLDER).iterdir()
    assert saved.name.endswith("_step4"), "the first epoch's evaluation was over, or its last step was not done"


FULL_DISK_OF_THE_FIRST = """
import os, resource
if os.environ["RANK"] == "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
from hstu_preserve.cli.main import run
run()
"""


def test_the_process_whose_disk_is_full_says_so_in_one_line(store: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(FULL_DISK_OF_THE_FIRST)
    gin = write_gin(tmp_path, num_epochs=100_000)
    process = start(gin, store=store, output=tmp_path / "run", num_processes=2, program=(str(program),))
    _, said = finish(process)
    (cause,) = (line for line in said.splitlines() if line.startswith("error: "))
    assert "events.out.tfevents" in cause
    assert "cannot be written (File too large)" in cause
    assert "exitcode  : 4" in said
    assert "hstu_preserve/" not in said.replace(str(tmp_path), ""), "a traceback"


@pytest.mark.parametrize("verb", [reproduce, evaluate])
def test_only_train_runs_on_several_processes(verb: Callable[[str], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="runs in one process"):
        verb("sample")
