"""Checkpoints of other trainers: their weights are read to the bit, and nothing else of them is built."""

import argparse
import dataclasses
import datetime as dt
import enum
import pickle
import random
import warnings
import zlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from io import BytesIO
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hstu_preserve.checkpoint_files.container import ZipMember
from hstu_preserve.errors import CheckpointError, MissingPathError, UsageError
from hstu_preserve.model.upstream_weights import unwrap
from hstu_preserve.training.checkpoint import read_checkpoint
from hstu_preserve.training.foreign_checkpoint import read_any_checkpoint, read_foreign_checkpoint, read_storage
from tests.checkpoint_files.test_safety import mutate
from tests.corpus.checkpoints.generators import (
    Case,
    content,
    load_cases,
    saved,
    sound_parts,
    tensor,
    text,
    write_parts,
)
from tests.training.test_checkpoint import Payload

CASES = load_cases()
GLOBALS = [case for case in CASES if case.kind == "global"]
CONTAINERS = [case for case in CASES if case.kind in {"container", "safetensors"} and case.verdict == "refused"]
READ_HERE = {"unused storage"}  # bytes that no tensor uses: odd, and no reason to hide the weights
NAME = "_embedding_module._item_emb.weight"


class Colour(enum.Enum):
    RED = 1


MEMBER = (
    "builtins.getattr" if Colour.RED.__reduce_ex__(2)[0] is getattr else "tests.training.test_foreign_checkpoint.Colour"
)
"""What a member of an enum is pickled as: by its name until Python 3.11.3, by its value since."""


@dataclasses.dataclass
class Config:
    width: int
    colour: Colour


def step_once() -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a model, and an optimizer whose rate is a number of NumPy's."""
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=np.float64(0.1))
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return model, optimizer


def in_itself() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


BESIDE: dict[str, tuple[Callable[[], object], str | None]] = {
    "numpy RNG state": (np.random.get_state, "beside.1: numpy."),
    "state of a numpy Generator": (lambda: np.random.default_rng(1).bit_generator.state, None),
    "a numpy Generator": (lambda: np.random.default_rng(1), "beside: numpy.random._pickle.__generator_ctor"),
    "python RNG state": (random.getstate, None),
    "torch RNG state": (torch.get_rng_state, None),
    "np.float64": (lambda: np.float64(0.5), "beside: numpy._core.multiarray.scalar (numpy.dtype)"),
    "np.int64": (lambda: {"best": np.int64(5)}, "beside.best: numpy._core.multiarray.scalar (numpy.dtype)"),
    "an array": (lambda: np.ones(2000), "beside: numpy."),
    "an array of objects": (lambda: np.array([{}], dtype=object), "beside: numpy."),
    "text of several lines": (lambda: "a\nb\r\n\x1b[31mred\x00", None),
    "text in a key": (lambda: {"a\nb": 1}, None),
    "bytes": (lambda: b"\x80\x02.", None),
    "no bytes": (lambda: b"", None),
    "a bytearray": (lambda: bytearray(b"ab"), None),
    "sets": (lambda: [{1, 2}, frozenset({3}), set()], None),
    "a complex number": (lambda: 1j, None),
    "a large integer": (lambda: -(2**4000), None),
    "other floats": (lambda: [float("nan"), float("inf"), -0.0], None),
    "defaultdict": (lambda: defaultdict(list, a=[1]), "beside: collections.defaultdict (builtins.list)"),
    "Counter": (lambda: Counter("abca"), "beside: collections.Counter"),
    "Path": (lambda: Path("/x/y"), "beside: pathlib.PosixPath"),
    "Namespace": (lambda: argparse.Namespace(lr=0.1, out=Path("x")), "beside: argparse.Namespace (pathlib.PosixPath)"),
    "datetime": (lambda: dt.datetime(2026, 1, 1), "beside: datetime.datetime"),  # noqa: DTZ001
    "enum": (lambda: Colour.RED, f"beside: {MEMBER}"),
    "dataclass": (lambda: Config(1, Colour.RED), f"beside: tests.training.test_foreign_checkpoint.Config ({MEMBER}"),
    "a dtype": (lambda: torch.float32, None),
    "a device": (lambda: torch.device("cpu"), "beside: torch.device"),
    "a shape": (lambda: torch.Size([1, 2]), None),
    "a module": (lambda: step_once()[0], "beside: torch.nn.modules.linear.Linear"),
    "an optimizer": (lambda: step_once()[1], "beside: torch.optim.adamw.AdamW"),
    "the state of one": (
        step_once()[1].state_dict,
        "beside.param_groups.0.lr: numpy._core.multiarray.scalar",
    ),
    "a list in itself": (in_itself, None),
    "a slice": (lambda: slice(1, 2), "beside: builtins.slice"),
    "a function": (lambda: len, "beside: builtins.len"),
    "a sparse tensor": (lambda: torch.eye(2).to_sparse(), "beside: torch._utils._rebuild_sparse_tensor"),
    "a scheduler": (
        lambda: torch.optim.lr_scheduler.CosineAnnealingLR(step_once()[1], 5).state_dict(),
        "beside.base_lrs.0: numpy.",
    ),
}


def save(path: Path, value: object, *, protocol: int = 2) -> Path:
    torch.save(value, path, pickle_protocol=protocol)
    return path


def make_state() -> dict[str, Tensor]:
    """Return tensors of every kind that a state dict of a model like these may hold."""
    base, generator = torch.arange(24.0).view(4, 6), torch.Generator().manual_seed(1)
    floats = torch.randn(6, generator=generator)
    marked = torch.ones(2)
    marked.of_whom = "me"  # type: ignore[attr-defined]
    parameter = nn.Parameter(torch.randn(3, 2, generator=generator))
    parameter.of_whom = "me"  # type: ignore[attr-defined]
    return OrderedDict(
        base=base,
        transposed=base.t(),
        part=base[1:3, 2:5],
        steps=base[:, ::2],
        again=base,
        diagonal=base.diagonal(),
        expanded=torch.ones(1).expand(5, 3),
        windows=torch.arange(6.0).unfold(0, 3, 1),
        special=torch.tensor([float("nan"), float("inf"), -0.0, 1e-45]),
        scalar=torch.tensor(1.5),
        empty=torch.empty(0, 3),
        parameter=parameter,
        frozen=nn.Parameter(torch.ones(2), requires_grad=False),
        buffer=nn.Buffer(torch.ones(2)),
        marked=marked,
        mask=torch.ones(3, 3, dtype=torch.bool).triu(1),
        bfloat16=floats.bfloat16(),
        half=floats.half(),
        double=floats.double(),
        bytes=torch.arange(5, dtype=torch.uint8),
        **{
            str(dtype)[6:]: torch.arange(3).to(dtype)
            for dtype in (torch.int8, torch.int16, torch.int32, torch.int64, torch.complex64, torch.complex128)
        },
        **{str(dtype)[6:]: torch.ones(3).to(dtype) for dtype in (torch.uint16, torch.float8_e5m2, torch.float8_e4m3fn)},
    )


def to_bits(tensor: Tensor) -> bytes:
    """Return the elements' bytes, which tell NaN and zeros apart."""
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def require_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Compare layout and bits of every tensor."""
    assert list(found) == list(expected)
    for name, other in expected.items():
        one = found[name]
        assert describe_layout(one) == describe_layout(other), name
        assert to_bits(one) == to_bits(other), name


def describe_layout(one: Tensor) -> tuple[object, ...]:
    return one.dtype, one.shape, one.stride(), one.storage_offset(), one.device, one.layout


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_tensor_is_read_to_the_bit(protocol: int, tmp_path: Path) -> None:
    path = save(tmp_path / "x", {"epoch": 4, "model_state_dict": make_state()}, protocol=protocol)
    found = read_foreign_checkpoint(path)
    require_equal(found.state, torch.load(path, weights_only=False)["model_state_dict"])
    assert (found.epoch, found.not_built, found.has_checksums) == (4, (), True)


def test_tensors_of_one_storage_share_their_memory(tmp_path: Path) -> None:
    state = read_foreign_checkpoint(save(tmp_path / "x", make_state())).state
    state["base"][0, 1] = 99
    assert state["transposed"][1, 0] == state["again"][0, 1] == 99
    assert state["double"].untyped_storage().data_ptr() != state["base"].untyped_storage().data_ptr()


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("kind", BESIDE)
def test_nothing_beside_the_weights_hides_them(kind: str, protocol: int, tmp_path: Path) -> None:
    make, said = BESIDE[kind]
    weights = {"a": torch.arange(3.0), "b": torch.ones(2, dtype=torch.bfloat16)}
    path = tmp_path / "x"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        value = {"beside": make(), "epoch": 3, "model_state_dict": weights}
        save(path, value, protocol=protocol)
    found = read_foreign_checkpoint(path)
    require_equal(found.state, weights)
    assert found.epoch == 3
    if said is None:
        assert found.not_built == ()
    else:
        expected = said.replace("builtins", "__builtin__") if protocol == 2 else said
        assert found.not_built[0].startswith(expected), found.not_built


def test_a_payload_is_named_and_never_run(tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "x_ep7"
    value = {"model_state_dict": {"a": torch.ones(2)}, "args": argparse.Namespace(hook=Payload(canary))}
    save(path, value)
    found = read_any_checkpoint(path)
    assert found.not_built == ("args: argparse.Namespace (posix.mkdir)",)
    assert found.checkpoint.epoch == 7
    assert not canary.exists()
    torch.load(path, weights_only=False)
    assert canary.is_dir()  # it would have worked


@pytest.mark.parametrize("case", GLOBALS, ids=lambda case: case.id)
def test_every_payload_of_the_corpus_is_named_and_never_run(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "x_ep1"
    path.write_bytes(case.build(tmp_path / "marker"))
    found = read_foreign_checkpoint(path)
    assert found.state["a"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert case.id == "torch.Size" or any(case.id in said for said in found.not_built)
    assert [file.name for file in tmp_path.iterdir()] == ["x_ep1"]


@pytest.mark.parametrize("case", CONTAINERS, ids=lambda case: case.id)
def test_the_container_must_be_as_torch_writes_it(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "x_ep1"
    path.write_bytes(case.build(tmp_path / "marker"))
    if case.id in READ_HERE:
        assert read_foreign_checkpoint(path).state
        return
    with pytest.raises(CheckpointError) as caught:
        read_foreign_checkpoint(path)
    assert str(caught.value).startswith(f"{path}: not a checkpoint that can be read (")
    assert case.id == "data.pkl of 9 MB" or all(words in str(caught.value) for words in case.says)


@pytest.mark.parametrize("case", [case for case in CASES if case.kind != "global"], ids=lambda case: case.id)
def test_every_case_of_the_corpus_is_read_or_refused_in_a_sentence(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "x_ep1"
    path.write_bytes(case.build(tmp_path / "marker"))
    try:
        said = " ".join(read_foreign_checkpoint(path).not_built)
    except CheckpointError as error:
        said = str(error)
        assert said.startswith(f"{path}: ")
        assert len(said) < 700
    assert said.isprintable()
    assert [file.name for file in tmp_path.iterdir()] == ["x_ep1"]


def test_whatever_the_strict_reader_takes_is_read_with_the_same_bits(tmp_path: Path) -> None:
    chance, path, num_taken = random.Random(1), tmp_path / "x_ep1", 0
    sound = b"\x80\x02" + content() + b"."
    for _ in range(2000):
        path.write_bytes(write_parts(sound_parts(mutate(sound, chance))))
        try:
            expected = read_checkpoint(path)
        except CheckpointError:
            continue
        if expected.weights:
            num_taken += 1
            require_equal(read_foreign_checkpoint(path).state, expected.weights)
    assert num_taken > 10


def test_damaged_bytes_never_end_in_another_error(tmp_path: Path) -> None:
    chance, path, num_refused = random.Random(0), tmp_path / "x", 0
    whole = saved({"epoch": 1, "model_state_dict": {"a": torch.ones(4)}, "args": argparse.Namespace(a=Path("x"))})
    for _ in range(1500):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 2, 5))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged[: chance.choice((len(damaged), chance.randrange(len(damaged))))])
        try:
            read_foreign_checkpoint(path)
        except CheckpointError:
            num_refused += 1
    assert num_refused > 1000


WEIGHTS = {"a": torch.ones(2), "b": torch.zeros(1)}
OTHER = {"a": torch.zeros(7)}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"model_state_dict": WEIGHTS, "model": OTHER, "state_dict": OTHER}, id="model_state_dict"),
        pytest.param({"state_dict": OTHER, "model": WEIGHTS}, id="model"),
        pytest.param({"state_dict": WEIGHTS, "ema": OTHER}, id="state_dict"),
        pytest.param({"model": "HSTU", "state_dict": WEIGHTS}, id="a model that is a name"),
        pytest.param({"model": nn.Linear(2, 2), "state_dict": WEIGHTS}, id="a model that is a module"),
        pytest.param({"model_state_dict": {}, "model": WEIGHTS}, id="an empty one"),
        pytest.param({"model": defaultdict(torch.Tensor, WEIGHTS)}, id="a defaultdict"),
        pytest.param(WEIGHTS, id="the mapping itself"),
        pytest.param(OrderedDict(WEIGHTS), id="an OrderedDict itself"),
    ],
)
def test_the_weights_lie_under_the_first_of_the_usual_keys(value: object, tmp_path: Path) -> None:
    require_equal(read_foreign_checkpoint(save(tmp_path / "x", value)).state, WEIGHTS)


def test_the_state_dict_of_a_module_is_read_with_its_metadata(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    found = read_foreign_checkpoint(save(tmp_path / "x", module.state_dict()))
    require_equal(found.state, module.state_dict())


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([WEIGHTS], "it is a list without tensors by name; torch.save"),
        (torch.ones(2), "it is a tensor; torch.save"),
        (5, "it is a plain value"),
        ({}, "it is a dict without"),
        (nn.Linear(1, 1), "it is an object of torch.nn.modules.linear.Linear; torch.save"),
        (
            {"model": nn.Linear(1, 1)},
            "model is an object of torch.nn.modules.linear.Linear; a mapping of tensors by name",
        ),
        ({"model_state_dict": {"a": [1.0]}}, "model_state_dict is a dict without tensors by name"),
        ({"model_state_dict": {3: torch.ones(1)}}, "model_state_dict is a dict without tensors by name"),
        (
            {"model_state_dict": {"a": torch.eye(2).to_sparse()}},
            "not built: model_state_dict.a: torch._utils._rebuild_sparse",
        ),
        ({"model_state_dict": {"a": torch.ones(2, device="meta")}}, "torch._utils._rebuild_meta_tensor_no_storage"),
        ({"net": WEIGHTS, "epoch": 3}, "its own are net, epoch; tensors by name lie under net"),
        ({**WEIGHTS, "epoch": 3}, "none of the keys model_state_dict, model, state_dict; its own are a, b, epoch"),
    ],
)
def test_a_file_without_weights_is_told_what_it_holds(value: object, says: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_foreign_checkpoint(save(tmp_path / "x", value))
    assert str(caught.value).startswith(f"{tmp_path / 'x'}: holds no weights: ")
    assert says in str(caught.value)


def test_what_is_no_tensor_among_the_weights_is_named(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch of quantized tensors, which it gives up
        state = {
            "a": torch.ones(1),
            "sparse": torch.eye(2).to_sparse(),
            "quantized": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            "meta": torch.ones(1, device="meta"),
            "x._extra_state": b"1",
        }
        found = read_foreign_checkpoint(save(tmp_path / "x", {"model": state}))
    assert list(found.state) == ["a"]
    assert found.not_built[0] == "model: not read as tensors: sparse, quantized, meta, x._extra_state"
    assert found.not_built[1].startswith("model.sparse: torch._utils._rebuild_sparse_tensor")
    assert found.not_built[2].startswith("model.quantized: torch._utils._rebuild_qtensor")


@pytest.mark.parametrize("name", ["a", "model"])
def test_one_name_twice_is_refused(name: str, tmp_path: Path) -> None:
    """torch would take the last one, another reader the first."""
    weights = b"}(" + text("a") + tensor() + (text("a") + tensor() if name == "a" else b"") + b"u"
    values = text("model") + weights + (text("model") + weights if name == "model" else b"")
    (tmp_path / "x_ep1").write_bytes(write_parts(sound_parts(b"\x80\x02}(" + values + b"u.")))
    with pytest.raises(CheckpointError, match=f"the key {name} twice"):
        read_foreign_checkpoint(tmp_path / "x_ep1")


def test_bytes_that_changed_after_they_were_checked_are_refused() -> None:
    member = ZipMember(name="data/0", start=0, size=4, crc=zlib.crc32(b"good"))
    assert bytes(read_storage(BytesIO(b"good"), member, has_checksum=True).tolist()) == b"good"
    for changed in (b"evil", b"goo"):
        with pytest.raises(CheckpointError, match="data/0"):
            read_storage(BytesIO(changed), member, has_checksum=True)


@pytest.mark.parametrize(
    ("epoch", "read"),
    [(0, 0), (100, 100), (True, None), (1.0, None), ("3", None), (-1, None), (2**70, None), (np.int64(3), None)],
)
def test_the_epoch_is_an_integer_of_the_file(epoch: object, read: int | None, tmp_path: Path) -> None:
    path = save(tmp_path / "x_ep8", {"epoch": epoch, "model": WEIGHTS})
    assert read_foreign_checkpoint(path).epoch == read
    assert read_any_checkpoint(path).checkpoint.epoch == (8 if read is None else read)


def test_a_file_without_an_epoch_anywhere_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"x\.pt: holds no epoch, .*rename it to x\.pt_ep100"):
        read_any_checkpoint(save(tmp_path / "x.pt", WEIGHTS))


def test_ours_keep_the_strict_reader(tmp_path: Path) -> None:
    ours = {"epoch": 1, "model_state_dict": WEIGHTS, "recipe_sha256": "0" * 64, "data_fingerprint": "1" * 64}
    path = save(tmp_path / "x_ep1", ours)
    assert read_any_checkpoint(path).checkpoint.data_fingerprint == "1" * 64
    save(path, ours | {"args": argparse.Namespace()})
    with pytest.raises(CheckpointError, match=r"'argparse\.Namespace' is not allowed"):
        read_any_checkpoint(path)


def write_script(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch gives TorchScript up
        torch.jit.save(torch.jit.script(nn.Linear(1, 1)), path)


def write_safetensors(path: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path: torch.save(WEIGHTS, path, _use_new_zipfile_serialization=False), "before 1.6: torch.load it"),
        (lambda path: path.write_bytes(pickle.dumps(WEIGHTS)), "a bare pickle or torch's format before 1.6"),
        (write_script, "a TorchScript archive"),
        (write_safetensors, "a safetensors file; .*load_file"),
        (lambda path: path.write_bytes(b""), "not a zip"),
        (lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "not a zip"),
    ],
)
def test_other_formats_are_named_with_what_to_do(write: Callable[[Path], object], says: str, tmp_path: Path) -> None:
    write(tmp_path / "x")
    with pytest.raises(CheckpointError, match=rf"x: not a checkpoint that can be read \(.*{says}"):
        read_foreign_checkpoint(tmp_path / "x")


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="no such checkpoint"):
        read_foreign_checkpoint(tmp_path / "x")
    with pytest.raises(UsageError, match="a folder, not a checkpoint file"):
        read_any_checkpoint(tmp_path)


def test_a_file_without_checksums_is_read(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        save(tmp_path / "x", make_state())
    finally:
        torch.serialization.set_crc32_options(True)
    found = read_foreign_checkpoint(tmp_path / "x")
    require_equal(found.state, torch.load(tmp_path / "x", weights_only=False))
    assert not found.has_checksums


def test_only_the_storages_of_the_weights_are_read(tmp_path: Path) -> None:
    path = save(tmp_path / "x", {"model": WEIGHTS, "optimizer": torch.zeros(2**20)})
    state = read_foreign_checkpoint(path).state
    assert sum(tensor.untyped_storage().nbytes() for tensor in state.values()) == 12


PREFIXES = [
    "".join(f"{part}." for part in parts)
    for size in range(4)
    for parts in permutations(("module", "_orig_mod", "model"), size)
]


@pytest.mark.parametrize("prefix", [*PREFIXES, "module.module.", "_orig_mod.model._orig_mod.module."])
def test_prefixes_are_taken_off_in_any_order(prefix: str, tmp_path: Path) -> None:
    names = (NAME, "_hstu._attention_layers.0._uvqk")
    path = save(tmp_path / "x", {"model": {f"{prefix}{name}": torch.ones(2, 2) for name in names}})
    state = read_foreign_checkpoint(path).state
    assert list(state) == [f"{prefix}{name}" for name in names]
    assert list(unwrap(state)) == list(names)


def test_a_pickle_may_be_as_large_as_the_arrays_in_it(tmp_path: Path) -> None:
    value: dict[str, Any] = {"model": WEIGHTS, "popularity": np.zeros(2 * 2**20)}
    path = save(tmp_path / "x", value, protocol=4)
    assert path.stat().st_size > 16 * 2**20
    require_equal(read_foreign_checkpoint(path).state, WEIGHTS)


def test_a_storage_named_by_an_address_is_found(tmp_path: Path) -> None:
    """As torch 1.6 and 1.7 wrote them."""
    key = "94310224823040"
    parts = sound_parts(b"\x80\x02" + content(weight=tensor({"key": key})) + b".")
    parts[4].name = f"archive/data/{key}"
    (tmp_path / "x_ep1").write_bytes(write_parts(parts))
    assert read_foreign_checkpoint(tmp_path / "x_ep1").state["a"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
