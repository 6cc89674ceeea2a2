"""Checkpoints: complete, safe to read, equal bytes for equal states."""

import os
import pickle
import random
import sys
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest
import torch

from hstu_preserve.compute.generator_states import capture_rng
from hstu_preserve.errors import CheckpointError, MissingPathError
from hstu_preserve.inputs.items import describe_items
from hstu_preserve.model.recommender import Recommender
from hstu_preserve.model.upstream_weights import load_state
from hstu_preserve.training.checkpoint import (
    Content,
    WatchedStream,
    read_checkpoint,
    state_digest,
    walk_values,
    write_checkpoint,
)
from tests.training.tiny_runs import Trained, load_store, make_training_recipe, train

KEYS = {
    "epoch",
    "epoch_steps",
    "batch_id",
    "model_state_dict",
    "optimizer_state_dict",
    "rng",
    "recipe_sha256",
    "data_fingerprint",
    "world_size",
}


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(make_training_recipe())


@pytest.fixture(scope="module")
def stored(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stored") / "tiny_ep1"
    write_checkpoint(path, trained.state)
    return path


class Payload:
    """A harmless stand-in for code: unpickled naively, it makes a directory."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def replace_pickle(path: Path, content: bytes) -> bytes:
    """Return the checkpoint's bytes with another pickle inside."""
    buffer = BytesIO()
    with ZipFile(path) as source, ZipFile(buffer, "w", ZIP_STORED) as target:
        for name in source.namelist():
            target.writestr(name, content if name.endswith("data.pkl") else source.read(name))
    return buffer.getvalue()


def read_pickle(path: Path) -> bytes:
    with ZipFile(path) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))


def test_a_checkpoint_holds_everything_to_continue_and_loads_as_weights_only(stored: Path, trained: Trained) -> None:
    content = torch.load(stored, weights_only=True)
    assert content.keys() == KEYS
    assert (content["epoch"], content["batch_id"], content["world_size"]) == (1, 6, 1)
    assert content["recipe_sha256"] == trained.run.recipe.digest()
    assert content["model_state_dict"].keys() == trained.run.model.state_dict().keys()
    assert len(content["optimizer_state_dict"]["state"]) == len(list(trained.run.model.parameters()))
    assert content["rng"].keys() == {"torch_cpu", "torch_cuda", "python", "numpy"}


def test_what_is_read_is_what_was_written(stored: Path, trained: Trained) -> None:
    checkpoint = read_checkpoint(stored)
    assert checkpoint.epoch == 1
    assert checkpoint.recipe_sha256 == trained.run.recipe.digest()
    assert checkpoint.data_fingerprint == "0" * 64
    assert state_digest(checkpoint.content) == trained.digest()
    model = Recommender(trained.run.recipe, describe_items(load_store(), trained.run.recipe))
    load_state(model, checkpoint.weights, source="test")
    assert state_digest(model.state_dict()) == state_digest(trained.run.model.state_dict())


def test_equal_states_give_equal_bytes(stored: Path, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "another-name", train(make_training_recipe()).state)
    assert (tmp_path / "another-name").read_bytes() == stored.read_bytes()


def test_the_generators_are_captured_as_they_are() -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002  the legacy state is what is captured
    torch.manual_seed(1)
    captured = capture_rng()
    digest = state_digest(captured)
    assert state_digest(capture_rng()) == digest
    assert torch.equal(captured["torch_cpu"], torch.get_rng_state())  # type: ignore[arg-type]  # a tensor by that key
    for draw in (random.random, np.random.random, np.random.random, lambda: torch.rand(1)):
        draw()
        after = state_digest(capture_rng())
        assert after != digest
        digest = after


def list_changes(state: Content) -> list[tuple[str, Content]]:
    """Return copies of the state, each with one value changed: one element of each tensor, and each plain value."""
    changes: list[tuple[str, Content]] = []
    for name, value in walk_values("", state):
        copy: Any = pickle.loads(pickle.dumps(state))  # a deep copy that keeps every dtype
        *above, last = name.split("/")[1:]
        place = copy
        for key in above:
            place = place[key if key in place else int(key)] if isinstance(place, dict) else place[int(key)]
        if isinstance(value, torch.Tensor):
            if not value.numel():
                continue
            flat = place[last if last in place else int(last)].view(-1)
            flat[-1] = ~flat[-1] if flat.dtype == torch.bool else flat[-1] + 1
        elif isinstance(place, dict):
            place[last] = "changed"
        elif isinstance(place, list):
            place[int(last)] = "changed"
        else:
            continue
        changes.append((name, copy))
    return changes


def test_the_state_digest_is_of_every_element_and_every_scalar(trained: Trained) -> None:
    changes = list_changes(trained.state)
    digests = {state_digest(state) for _, state in changes}
    assert len(changes) > 60
    assert len(digests | {trained.digest()}) == len(changes) + 1


def test_the_state_digest_tells_shapes_dtypes_and_zeros_apart() -> None:
    values: list[object] = [
        torch.zeros(4),
        torch.zeros(2, 2),
        torch.zeros(4, dtype=torch.int32),
        torch.zeros(8, dtype=torch.bfloat16),
        -torch.zeros(4),
        torch.zeros(0),
        torch.zeros(0, 3),
        [0.0] * 4,
        0,
        False,
        None,
        "0",
    ]
    assert len({state_digest({"x": value}) for value in values}) == len(values)


def test_the_state_digest_does_not_depend_on_layout_or_order() -> None:
    matrix = torch.arange(6.0).view(2, 3)
    one = {"a": matrix, "b": {"c": 1, "d": 2}}
    other = {"b": {"d": 2, "c": 1}, "a": matrix.t().contiguous().t()}
    assert state_digest(one) == state_digest(other)


def test_upstreams_checkpoint_is_read_without_what_it_lacks(tmp_path: Path) -> None:
    torch.save({"epoch": 5, "model_state_dict": {"a": torch.ones(2)}, "optimizer_state_dict": {}}, tmp_path / "x_ep5")
    checkpoint = read_checkpoint(tmp_path / "x_ep5")
    assert (checkpoint.epoch, checkpoint.recipe_sha256, checkpoint.data_fingerprint) == (5, None, None)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="nowhere_ep1"):
        read_checkpoint(tmp_path / "nowhere_ep1")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not a checkpoint\n" * 9, id="text"),
        pytest.param(bytes(1000), id="zeros"),
        pytest.param(b".", id="pickle of nothing"),
        pytest.param(b"\x80\x02.", id="stop with an empty stack"),
        pytest.param(b"\x80\x02}", id="pickle without end"),
        pytest.param(pickle.dumps({"epoch": 1, "model_state_dict": {}}), id="plain pickle"),
        pytest.param(b"PK\x03\x04", id="start of a zip"),
        pytest.param(b"PK\x05\x06" + bytes(18), id="empty zip"),
    ],
)
def test_what_is_no_checkpoint_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x_ep1").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x_ep1: .*\(.+\)"):
        read_checkpoint(tmp_path / "x_ep1")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.95, 0.999])
def test_a_truncated_checkpoint_is_refused(stored: Path, share: float, tmp_path: Path) -> None:
    whole = stored.read_bytes()
    (tmp_path / "x").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "x")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param([1, 2], "model_state_dict", id="a list"),
        pytest.param({"epoch": 1}, "model_state_dict", id="no weights"),
        pytest.param({"epoch": 1, "model_state_dict": {"a": [1.0]}}, "model_state_dict", id="weights that are lists"),
        pytest.param({"epoch": 1, "model_state_dict": {3: torch.ones(1)}}, "model_state_dict", id="weights by number"),
        pytest.param({"model_state_dict": {}}, "epoch", id="no epoch"),
        pytest.param({"epoch": "1", "model_state_dict": {}}, "epoch", id="epoch as text"),
        pytest.param({"epoch": -1, "model_state_dict": {}}, "epoch", id="negative epoch"),
    ],
)
def test_a_file_of_something_else_is_refused(content: object, problem: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x")
    with pytest.raises(CheckpointError, match=f"holds no {problem}"):
        read_checkpoint(tmp_path / "x")


@pytest.mark.parametrize("is_zipped", [True, False])
def test_a_checkpoint_that_names_code_is_refused_and_nothing_runs(is_zipped: bool, tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "x_ep1"
    content = {"epoch": 1, "model_state_dict": {}, "extra": Payload(marker)}
    torch.save(content, path, _use_new_zipfile_serialization=is_zipped)
    torch.load(path, weights_only=False)
    assert marker.is_dir()  # the payload works
    marker.rmdir()
    with pytest.raises(CheckpointError, match=r"x_ep1: not a checkpoint that can be read safely"):
        read_checkpoint(path)
    assert not marker.exists()


def test_a_hostile_pickle_never_ends_in_another_error(stored: Path, tmp_path: Path) -> None:
    chance, original = random.Random(0), read_pickle(stored)
    num_refused = 0
    for _ in range(300):
        damaged = bytearray(original)
        for _ in range(chance.choice((1, 2, 5))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (tmp_path / "x").write_bytes(replace_pickle(stored, bytes(damaged)))
        try:
            read_checkpoint(tmp_path / "x")
        except CheckpointError:
            num_refused += 1
    assert num_refused > 100


@pytest.mark.parametrize("written_before", [0, 1, 5])
def test_a_signal_while_a_checkpoint_is_written_is_that_signal_and_leaves_no_file(
    written_before: int, tmp_path: Path
) -> None:
    """torch says 'unexpected pos' instead where an exception ends a write, which would look like a bug."""
    content: Content = {"epoch": 1, **{f"tensor{number}": torch.zeros(1000) for number in range(9)}}
    calls = 0

    def signal_in_write(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        if event == "call" and frame.f_code is WatchedStream.write.__code__:
            calls += 1
        if event == "c_call" and calls > written_before and frame.f_code is WatchedStream.write.__code__:
            sys.setprofile(None)
            raise KeyboardInterrupt

    sys.setprofile(signal_in_write)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_checkpoint(tmp_path / "checkpoint", content)
    finally:
        sys.setprofile(None)
    assert list(tmp_path.iterdir()) == []
