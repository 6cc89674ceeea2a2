"""Each class of failure through a real subprocess: its exit code, one clear sentence, no traceback, nothing written."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hstu_preserve.bundle.verification import read_stored_manifest
from hstu_preserve.library.targets import SAMPLE_BUNDLE
from hstu_preserve.primitives.shipped import shipped_directory
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.pack import pack
from hstu_preserve.verbs.unpack import unpack
from tests.forked import run_program
from tests.reruns.lies import Forgery

SAMPLE_PATH = shipped_directory("bundles") / SAMPLE_BUNDLE
TINY_GIN = """
train_fn.dataset_name = "synthetic"
train_fn.max_sequence_length = 10
train_fn.num_epochs = 1
train_fn.item_embedding_dim = 8
train_fn.sampling_strategy = "local"
train_fn.weight_decay = 0
"""


def run(*arguments: str, cwd: Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return run_program(*arguments, cwd=cwd, stdin=stdin, environment={**os.environ, **environment})


def run_anew(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the program in a Python of its own, which finds other modules than this one."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "hstu_preserve", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
        timeout=600,
    )


def list_tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def require_clean_failure(
    result: subprocess.CompletedProcess[bytes], *, exit_code: int, says: str, where: str = "err"
) -> None:
    text = (result.stderr if where == "err" else result.stdout).decode()
    assert result.returncode == exit_code, result.stdout.decode() + result.stderr.decode()
    assert "Traceback" not in result.stderr.decode()
    assert says in text


@pytest.fixture
def tiny_store(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    synthesize_data(seed=3, num_users=30, num_items=60, num_ratings=600, output=store)
    return store


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (["show", "iter8-exp4-SOTTA"], 2, "did you mean 'iter8-exp4-SOTA'"),
        (["show", "nowhere/bundle.tar.gz"], 2, "no such file or directory"),
        (["verify"], 2, "error: missing argument 'TARGET' (see 'hstu-preserve verify --help')"),
        (["verfy", "x"], 2, "error: no such command 'verfy'. Did you mean 'verify'? (see 'hstu-preserve --help')"),
        (["verify", "x", "--nosuch"], 2, "error: no such option: --nosuch (see 'hstu-preserve verify --help')"),
        (["data", "prep"], 2, "error: no such command 'prep'"),
        (
            ["train", "x", "--output", "y", "--keep-checkpoints", "a"],
            2,
            "error: invalid value for '--keep-checkpoints'",
        ),
        (["data"], 2, "Usage: hstu-preserve data"),
        (["verify", ""], 2, "empty argument after verify"),
        (["unpack", "sample", "--output", ""], 2, "empty argument after --output"),
        (["train", "sample-hstu-synthetic", "--output="], 2, "--output=: empty value"),
        (["download"], 2, "nothing to fetch"),
        (["download", "--all", "iter8-exp4-SOTA"], 2, "--all means every bundle"),
        (["download", "x", "--repo", "a/b/c"], 2, "which is OWNER/NAME"),
        (["evaluate", "sample", "--data", "absent"], 2, "absent: no such directory"),
        (["train", ".", "--output", "run"], 2, ".: a directory, not a gin file"),
        (["reproduce", "sample", "--public-key", "."], 2, "a directory, not a file"),
        (["data", "import", ".", "--movies", ".", "--output", "s"], 2, "a directory, not a file"),
        (
            ["data", "synthesize", "--seed", "1", "--items", "2000000000000", "--output", "s"],
            2,
            "to 1073741823",
        ),
        (["show", "/"], 2, "no bundle and no finished run"),
        (["reproduce", "sample", "--rung", "karma"], 2, "choose from evaluation, resume, training"),
        (["reproduce", "sample", "--rung", "training", "--max-steps", "2"], 2, "--rung resume"),
        (["reproduce", "sample", "--max-steps", "2"], 2, "--rung resume"),
        (["reproduce", "iter8-exp4-SOTA"], 4, "tzchen07/hstu-iter78-preservation"),
        (["reproduce", "paper-hstu-ml-20m"], 2, "without a bundle"),
        (["reproduce", "sample", "--device", "cuda"], 4, "sees no GPU"),
        (["reproduce", "sample", "--device", "abacus"], 2, "choose one of auto, cpu, cuda"),
        (["evaluate", "--checkpoint", "x"], 2, "--checkpoint together with --gin"),
        (["data", "prepare", "ml-21m", "--from", ".", "--output", "s"], 2, "did you mean 'ml-1m'"),
        (["data", "prepare", "ml-1m", "--from", "absent.zip", "--output", "s"], 2, "absent.zip"),
        (["data", "show", "."], 2, "no store there"),
        (["data", "synthesize", "--seed", "1", "--users", "100", "--ratings", "7", "--output", "s"], 2, "ratings"),
        (["pack", "absent"], 2, "no such directory"),
        (["pack", "."], 2, "not a run directory"),
        (["train", "absent.gin", "--output", "run"], 2, "absent.gin"),
        (["train", "sample-hstu-synthetic", "--output", "run"], 4, "HSTU_PRESERVE_DATA"),
        (["export", "sample", "--output", "x", "--format", "onnx"], 2, "meta-checkpoint"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else None,
)
def test_a_wrong_request_is_refused_in_one_sentence(
    arguments: list[str], exit_code: int, says: str, tmp_path: Path
) -> None:
    if "cuda" in arguments and shutil.which("nvidia-smi"):
        pytest.skip("there is a GPU here")
    result = run(*arguments, cwd=tmp_path, HSTU_PRESERVE_DATA="", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "home"))
    require_clean_failure(result, exit_code=exit_code, says=says)
    assert list_tree(tmp_path) == {}


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[: len(content) // 2],
    "flipped": lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
    "not gzip": lambda content: b"PK\x03\x04 this is something else",
    "empty": lambda content: b"",
    "appended": lambda content: content + b"more",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("verb", ["verify", "reproduce", "unpack", "show"])
def test_a_damaged_bundle_exits_3_and_leaves_nothing(verb: str, damage: str, tmp_path: Path) -> None:
    bundle = tmp_path / "damaged.tar.gz"
    bundle.write_bytes(DAMAGES[damage](SAMPLE_PATH.read_bytes()))
    before = list_tree(tmp_path)
    result = run(verb, str(bundle), cwd=tmp_path)
    if verb == "show" and damage in {"truncated", "flipped", "appended"}:
        assert result.returncode in {0, 3}  # show reads no further than it must, and says that it verified nothing
    else:
        says, where = ("damaged.tar.gz", "err" if verb in {"unpack", "show"} else "out")
        require_clean_failure(result, exit_code=3, says=says, where=where)
    assert list_tree(tmp_path) == before


def test_foreign_json_in_the_manifests_place_exits_3(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "MANIFEST.json").write_text('{"name": "somebody else\'s"}')
    require_clean_failure(run("verify", "tree", cwd=tmp_path), exit_code=3, says="MANIFEST.json", where="out")
    require_clean_failure(run("show", "tree", cwd=tmp_path), exit_code=3, says="schema_version")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'claim.metric = "karma"\n', "x.gin:1: claim.metric: not one of hr@1, hr@10"),
        (b"# \xff\n", "x.gin:1: not UTF-8 (/"),
    ],
)
def test_a_gin_file_is_refused_in_plain_words_and_named(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/x.gin").write_bytes(content)
    result = run("show", "folder/x.gin", cwd=tmp_path)
    require_clean_failure(result, exit_code=2, says=says)
    assert b"String should" not in result.stderr


def test_an_address_that_is_no_url_is_refused_at_once(tmp_path: Path) -> None:
    result = run_anew("download", "iter8-exp4-SOTA", cwd=tmp_path, HF_ENDPOINT="foo", HF_HUB_OFFLINE="")
    require_clean_failure(result, exit_code=4, says="HF_ENDPOINT=foo: no URL")


def test_a_damaged_store_is_named_by_its_path(tmp_path: Path, tiny_store: Path) -> None:
    array = tiny_store / "item_ids.npy"
    content = bytearray(array.read_bytes())
    content[-1] ^= 1
    array.write_bytes(content)
    result = run("data", "show", "store", cwd=tmp_path)
    require_clean_failure(result, exit_code=3, says="store: array differs from store.json: item_ids")
    assert b"synthetic" not in result.stderr


def test_the_root_folder_is_a_directory_without_a_manifest(tmp_path: Path) -> None:
    generate = run("keygen", "--output", "key", cwd=tmp_path)
    assert generate.returncode == 0
    for arguments, where in ((["verify"], "out"), (["reproduce"], "out"), (["sign", "--key", "key"], "err")):
        result = run(*arguments, "/", cwd=tmp_path)
        require_clean_failure(result, exit_code=3, says="MANIFEST.json: missing", where=where)


@pytest.mark.parametrize(
    "arguments", ["verify", "show", "reproduce", "evaluate", "unpack --output new", "diff sample", "migrate"]
)
def test_a_pipe_is_refused_instead_of_waited_for(arguments: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    result = run(*arguments.split(), "pipe", cwd=tmp_path)
    where = "out" if arguments == "verify" else "err"
    require_clean_failure(result, exit_code=2, says="pipe: not a regular file", where=where)


@pytest.mark.parametrize(
    "setting", ["max_sequence_length = 1000000", "num_negatives = 1000000000", "item_embedding_dim = 100000000000"]
)
def test_a_recipe_that_does_not_fit_into_memory_exits_4(setting: str, tmp_path: Path, tiny_store: Path) -> None:
    name = setting.partition(" ")[0]
    lines = [line for line in TINY_GIN.splitlines() if name not in line]
    (tmp_path / "x.gin").write_text("\n".join([*lines, f"train_fn.{setting}\n"]))
    result = run("train", "x.gin", "--data", str(tiny_store), "--output", "run", cwd=tmp_path)
    require_clean_failure(result, exit_code=4, says="what decides it: batch size, sequence length, embedding width")


def test_verify_reads_a_bundle_from_standard_input(tmp_path: Path) -> None:
    content = SAMPLE_PATH.read_bytes()
    assert run("verify", "-", cwd=tmp_path, stdin=content).returncode == 0
    require_clean_failure(run("verify", "-", cwd=tmp_path, stdin=content[:-9]), exit_code=3, says="FAILED", where="out")


def test_a_legacy_archive_on_standard_input_exits_3_and_says_to_name_its_file(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/x.gin").write_text("train_fn.num_epochs = 1\n")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.add(tmp_path / "config", arcname="./config")
    result = run("verify", "-", cwd=tmp_path, stdin=stream.getvalue())
    require_clean_failure(result, exit_code=3, says="a legacy archive is read from a file that is named", where="out")


@pytest.mark.parametrize(("identity", "exit_code", "says"), [("0" * 64, 3, "another bundle"), ("sha256:12", 2, "64")])
def test_unpack_takes_no_other_bundle_than_the_named_one(
    identity: str, exit_code: int, says: str, tmp_path: Path
) -> None:
    result = run("unpack", "sample", "--output", "tree", "--identity", identity, cwd=tmp_path)
    require_clean_failure(result, exit_code=exit_code, says=says)
    assert list(tmp_path.iterdir()) == []


def test_unpack_takes_the_named_bundle(tmp_path: Path) -> None:
    identity = read_stored_manifest(SAMPLE_PATH).identity
    result = run("unpack", "sample", "--output", "tree", "--identity", f"sha256:{identity}", cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_another_dataset_than_the_bundles_exits_3_and_shows_both_fingerprints(tmp_path: Path, tiny_store: Path) -> None:
    result = run("reproduce", "sample", "--data", str(tiny_store), cwd=tmp_path)
    require_clean_failure(result, exit_code=3, says="expected fingerprint 63f5157ff7a5")
    assert json.loads((tiny_store / "store.json").read_text())["fingerprint"] in result.stderr.decode()


def test_another_dataset_than_the_recipes_exits_3(tmp_path: Path, tiny_store: Path) -> None:
    gin = tmp_path / "x.gin"
    gin.write_text(TINY_GIN.replace('"synthetic"', '"ml-1m"'))
    result = run("train", str(gin), "--data", str(tiny_store), "--output", "run", cwd=tmp_path)
    require_clean_failure(result, exit_code=3, says="holds synthetic, the recipe is for ml-1m")
    assert not (tmp_path / "run").exists()


def test_a_gin_error_exits_2_and_names_file_and_line(tmp_path: Path, tiny_store: Path) -> None:
    gin = tmp_path / "x.gin"
    gin.write_text(TINY_GIN + "train_fn.num_epoch = 3\n")
    result = run("train", str(gin), "--data", str(tiny_store), "--output", "run", cwd=tmp_path)
    require_clean_failure(result, exit_code=2, says="x.gin:8")
    assert "train_fn.num_epochs" in result.stderr.decode()
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_shape_exits_3_and_names_the_tensors(tmp_path: Path, tiny_store: Path) -> None:
    gin = tmp_path / "x.gin"
    gin.write_text(TINY_GIN)
    assert run("train", str(gin), "--data", str(tiny_store), "--output", "run", cwd=tmp_path).returncode == 0
    (checkpoint,) = (tmp_path / "run" / "ckpts").iterdir()
    gin.write_text(TINY_GIN + "train_fn.item_embedding_dim = 16\n")
    options = ["--checkpoint", str(checkpoint), "--gin", str(gin), "--data", str(tiny_store)]
    require_clean_failure(run("evaluate", *options, cwd=tmp_path), exit_code=3, says="item_embedding.weight")
    checkpoint.write_bytes(b"no checkpoint at all")
    require_clean_failure(run("evaluate", *options, cwd=tmp_path), exit_code=3, says="not a checkpoint")


def test_a_claim_that_does_not_hold_exits_5(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    unpack("sample", output=tree)
    forgery = Forgery(tree)
    forgery.edit_checkpoint(11, reverse_the_items)
    forgery.seal()
    result = run("reproduce", str(tree), "--json", cwd=tmp_path)
    assert result.returncode == 5, result.stderr.decode()
    verdicts = json.loads(result.stdout)["verdicts"]
    outcomes = {(verdict["rung"], verdict["claim"]): verdict["outcome"] for verdict in verdicts}
    assert outcomes["bytes", None] == outcomes["consistency", None] == "REPRODUCED_BITWISE"
    assert outcomes["evaluation-numeric", "ndcg@10"] == "NOT_REPRODUCED"


def reverse_the_items(content: dict[str, Any]) -> None:
    """Change the weights so that no part of the bundle contradicts another: only a re-run can notice."""
    weight = content["model_state_dict"]["item_embedding.weight"]
    weight.copy_(weight.flip(0))


def test_a_bundle_that_contradicts_itself_exits_3(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    unpack("sample", output=tree)
    forgery = Forgery(tree)
    forgery.claims[0]["value"] = 0.9
    forgery.seal()
    result = run("reproduce", str(tree), "--json", cwd=tmp_path)
    for says in ("the manifest claims 0.9", "not run again: the bundle contradicts itself"):
        require_clean_failure(result, exit_code=3, says=says, where="out")


def test_a_claim_without_a_margin_is_inconclusive_on_training_and_exits_6(tmp_path: Path, tiny_store: Path) -> None:
    gin = tmp_path / "x.gin"
    gin.write_text(TINY_GIN)
    assert run("train", str(gin), "--data", str(tiny_store), "--output", "run", cwd=tmp_path).returncode == 0
    result = run("reproduce", "run", "--data", str(tiny_store), "--rung", "training", cwd=tmp_path)
    require_clean_failure(result, exit_code=6, says="the claim fixed no margin", where="out")


def test_a_full_output_directory_is_never_touched(tmp_path: Path, tiny_store: Path) -> None:
    used = tmp_path / "used"
    used.mkdir()
    (used / "precious.txt").write_text("mine")
    gin = tmp_path / "x.gin"
    gin.write_text(TINY_GIN)
    before = list_tree(used)
    attempts = (
        ["train", str(gin), "--data", str(tiny_store), "--output", "used"],
        ["unpack", "sample", "--output", "used"],
        ["data", "synthesize", "--seed", "1", "--output", "used"],
        ["reproduce", "sample", "--output", "used"],
    )
    for arguments in attempts:
        require_clean_failure(run(*arguments, cwd=tmp_path), exit_code=2, says="used")
    assert list_tree(used) == before


def test_an_unfinished_run_is_not_packed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    unpack("sample", output=tree)
    (tree / "MANIFEST.json").unlink()
    require_clean_failure(run("pack", "tree", cwd=tmp_path), exit_code=2, says="did not finish")


def test_a_run_that_was_changed_is_not_packed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    unpack("sample", output=tree)
    (tree / "results" / "metrics.json").write_text("{}")
    require_clean_failure(run("pack", "tree", cwd=tmp_path), exit_code=3, says="results/metrics.json")
    assert not list(tmp_path.glob("*.tar.gz"))


def test_a_changed_store_is_noticed_before_anything_is_ranked(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    unpack("sample", output=tree)
    array = bytearray((tree / "data" / "half_stars.npy").read_bytes())
    array[-1] ^= 1
    (tree / "data" / "half_stars.npy").write_bytes(array)
    require_clean_failure(run("reproduce", "tree", cwd=tmp_path), exit_code=3, says="half_stars.npy", where="out")
    result = run("reproduce", "sample", "--data", str(tree / "data"), cwd=tmp_path)
    require_clean_failure(result, exit_code=3, says="half_stars")


def test_an_output_that_cannot_be_written_exits_4(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        blocked = Path("/proc/nowhere")
    else:
        blocked = tmp_path / "blocked"
        blocked.mkdir(mode=0o500)
    result = run("unpack", "sample", "--output", str(blocked / "x"), cwd=tmp_path)
    assert result.returncode in {2, 4}
    assert b"Traceback" not in result.stderr
    result = run("data", "synthesize", "--seed", "1", "--output", str(blocked / "x"), cwd=tmp_path)
    require_clean_failure(result, exit_code=4, says="cannot be written")


def test_no_torch_is_one_sentence_and_exit_4(tmp_path: Path) -> None:
    without = tmp_path / "sitecustomize.py"
    without.write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'torch' else find(name, package)\n"
    )
    for arguments in (
        ["reproduce", "sample"],
        ["evaluate", "sample"],
        ["train", "sample-hstu-synthetic", "--output", "r"],
    ):
        result = run_anew(*arguments, cwd=tmp_path, PYTHONPATH=str(tmp_path))
        require_clean_failure(result, exit_code=4, says="PyTorch is not installed")
    for arguments in (["list"], ["show", "sample"], ["verify", "sample"], ["doctor"]):
        assert run_anew(*arguments, cwd=tmp_path, PYTHONPATH=str(tmp_path)).returncode == 0


def test_a_second_pack_does_not_replace_the_first(tmp_path: Path) -> None:
    tree, bundle = tmp_path / "tree", tmp_path / "b.tar.gz"
    unpack("sample", output=tree)
    pack(tree, output=bundle)
    require_clean_failure(run("pack", "tree", "--output", "b.tar.gz", cwd=tmp_path), exit_code=2, says="exists")
    assert io.BytesIO(bundle.read_bytes()).read(2) == b"\x1f\x8b"


def test_a_wrong_torch_fbgemm_pair_is_one_line_of_doctor_and_no_stack_of_warnings(tmp_path: Path) -> None:
    package = tmp_path / "fbgemm_gpu"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import logging, warnings\nlogging.warning('LOUD')\nlogging.error('LOUDER')\nwarnings.warn('LOUDEST')\n"
        "raise OSError('Could not load this library')\n"
    )
    result = run_anew("doctor", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert result.returncode == 0
    assert result.stderr == b""
    assert b"does not load with torch" in result.stdout
    result = run_anew("reproduce", "sample", "--device", "cpu", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert b"plain operators" in result.stdout
    assert b"LOUD" not in result.stderr


TERMINATED_ON_THE_WAY_OUT = """
import os, signal
from hstu_preserve.cli.main import run
from hstu_preserve.errors import UnavailableError
from hstu_preserve.verbs import unpack as module

def fail(*arguments, **named):
    try:
        raise UnavailableError("the disk is full")
    finally:
        os.kill(os.getpid(), signal.SIGTERM)

module.unpack = fail
run()
"""


def test_an_error_is_said_although_the_process_is_terminated_on_its_way_out(tmp_path: Path) -> None:
    """As torchrun does to the process that failed, once another one has ended for want of it."""
    arguments = ("unpack", "sample", "--output", "tree")
    result = run_program(*arguments, program=TERMINATED_ON_THE_WAY_OUT, cwd=tmp_path)
    require_clean_failure(result, exit_code=143, says="error: the disk is full")
