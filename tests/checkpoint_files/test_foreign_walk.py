"""The walk that takes any trainer's pickle: every opcode, nothing run, and work that stays linear."""

import random
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from hstu_preserve.checkpoint_files.descriptions import TensorView, Thing
from hstu_preserve.checkpoint_files.foreign_walk import (
    ACTIONS,
    MAX_GLOBALS,
    MAX_TEXT_BYTES,
    NAMED_ACTIONS,
    walk_foreign_pickle,
)
from hstu_preserve.checkpoint_files.not_built import name_not_built
from hstu_preserve.checkpoint_files.opcodes import OPCODES, walk_pickle
from hstu_preserve.errors import CheckpointError
from tests.corpus.checkpoints.generators import HOOKS, content, storage, tensor, text

CALL = b"cos\nsystem\n(X\x04\x00\x00\x00truet"
STORAGES = {"data/0": 16}


def walk(program: bytes, *, protocol: int = 2) -> object:
    return walk_foreign_pickle(b"\x80" + bytes([protocol]) + program + b".", STORAGES).value


def name(program: bytes) -> tuple[str, ...]:
    """Return what is said of a mapping whose key `x` holds what a program leaves."""
    walked = walk_foreign_pickle(b"\x80\x02}" + text("x") + program + b"s.", STORAGES)
    return name_not_built(walked.value, walked.globals)


def test_every_opcode_of_every_protocol_has_an_action() -> None:
    assert {opcode.name for opcode in OPCODES.values()} == {*ACTIONS, *NAMED_ACTIONS, "STOP"}


@pytest.mark.parametrize(
    ("program", "said"),
    [
        pytest.param(CALL + b"R", "x: os.system", id="REDUCE"),
        pytest.param(b"cmine\nThing\n)\x81", "x: mine.Thing", id="NEWOBJ"),
        pytest.param(b"cmine\nThing\n)}\x92", "x: mine.Thing", id="NEWOBJ_EX"),
        pytest.param(b"cmine\nThing\n)\x81}" + text("a") + CALL + b"Rsb", "x: mine.Thing (os.system)", id="BUILD"),
        pytest.param(b"(imine\nThing\n", "x: mine.Thing", id="INST"),
        pytest.param(b"(" + text("true") + b"ios\nsystem\n", "x: os.system", id="INST with an argument"),
        pytest.param(b"(cmine\nThing\nK\x01o", "x: mine.Thing", id="OBJ"),
        pytest.param(b"\x82\x07", "x: copyreg.extension 7", id="EXT1"),
        pytest.param(b"\x83\x07\x01", "x: copyreg.extension 263", id="EXT2"),
        pytest.param(b"\x84\x07\x01\x00\x00", "x: copyreg.extension 263", id="EXT4"),
        pytest.param(text("os") + text("system") + b"\x93", "x: os.system", id="STACK_GLOBAL"),
        pytest.param(b"K\x01" + text("system") + b"\x93", "x: ?.?", id="STACK_GLOBAL of a number"),
        pytest.param(b"K\x01Q", "x: a persistent id", id="BINPERSID"),
        pytest.param(b"Pabc\n", "x: a persistent id that is text", id="PERSID"),
        pytest.param(b"\x97", "x: a buffer that is not in the file", id="NEXT_BUFFER"),
        pytest.param(CALL + b"R0N", "named, and used by no value: os.system", id="POP"),
        pytest.param(b"(" + CALL + b"R1N", "named, and used by no value: os.system", id="POP_MARK"),
        pytest.param(b"N)R", "x: a call of something that is no global", id="REDUCE of no global"),
        pytest.param(tensor() + b"}b", "x: a tensor that was changed", id="BUILD of a tensor"),
        pytest.param(
            b"cnumpy\n__builtins__\n}b", "x: something that was changed (numpy.__builtins__)", id="BUILD of it"
        ),
        pytest.param(b"](" + CALL + b"R" + CALL + b"Re", "x.0, x.1: os.system", id="twice"),
        pytest.param(b"](" + (CALL + b"R") * 5 + b"e", "x.0, x.1, x.2 and 2 more: os.system", id="five times"),
        pytest.param(b"}" + CALL + b"RNs", "x.a key: os.system", id="a key"),
        pytest.param(b"c\x1b[31m\nx\n", "x: \\x1b[31m.x", id="a name that steers a terminal"),
    ],
)
def test_what_would_be_made_of_a_global_is_named(program: bytes, said: str) -> None:
    assert name(program) == (said,)


@pytest.mark.parametrize(
    "program",
    [
        b"C\x03abc",
        b"B\x03\x00\x00\x00abc",
        b"\x8e\x03" + bytes(7) + b"abc",
        b"\x96\x03" + bytes(7) + b"abc",
        b"\x8f(K\x01\x90",
        b"(K\x01\x91",
        b"c__builtin__\nset\n](K\x01e\x85R",
        b"c_codecs\nencode\n" + text("a") + text("latin1") + b"\x86R",
        b"cbuiltins\nbytearray\nC\x01a\x85R",
        b"\x8a\x20" + bytes(32),
        b"\x8b\x20\x00\x00\x00" + bytes(32),
        b"G" + bytes(8),
        b"ctorch\nfloat32\n",
        b"(K\x01K\x02d",
        b"(K\x01l",
        b"U\x01\xff",
        b"T\x01\x00\x00\x00\xff",
        b"I01\n",
        b"L5L\n",
        b"F1.5\n",
        b"S'a'\n",
        b"Va\\u0041\n",
        b"N2\x86",
        b"NQ0N",
        b"ctorch\nSize\nK\x01\x85\x85R",
        HOOKS,
        b"\x8c\x01a\x94",
        b"Np5\ng5\n0",
        b"\x95" + bytes(8) + b"N",
        b"\x80\x02N",
        text("a\nb\r\x1b[31m"),
        text("\ud800"),
        text("a" * 5000),
        b"N\x98",
    ],
)
def test_plain_values_of_every_protocol_need_no_name(program: bytes) -> None:
    assert [said for said in name(program) if "persistent" not in said] == []


def test_a_tensor_is_known_by_its_place() -> None:
    view = walk(tensor({"offset": 1, "size": [3], "stride": [1]}))
    assert isinstance(view, TensorView)
    assert (view.storage.key, view.dtype, view.offset, view.shape, view.strides) == ("0", "float32", 1, (3,), (1,))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"offset": 1}, "reaches beyond its storage of 4"),
        ({"stride": [3, 1]}, "reaches beyond its storage of 4"),
        ({"size": [3, 2]}, "reaches beyond its storage of 4"),
        ({"size": [0], "stride": [1], "offset": 5}, "reaches beyond its storage of 4"),
        ({"size": [2**30 + 1], "stride": [0]}, "in a storage of 4"),
        ({"size": [4194305, 4194305, 549755813888], "stride": [0, 0, 0]}, "in a storage of 4"),
        ({"length": 5}, "20 bytes expected by its length, 16 in its member"),
        ({"key": "7"}, "storage '7' has no member"),
        ({"key": "../data.pkl"}, "has no member"),
        ({"type_name": "DoubleStorage"}, "32 bytes expected"),
    ],
)
def test_a_tensor_beyond_its_bytes_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        walk(tensor(changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"offset": -1},
        {"size": [-2, 2]},
        {"stride": [-2, 1]},
        {"size": [2.0, 2]},
        {"stride": [1]},
        {"length": -1},
        {"length": True},
        {"length": 4.0},
        {"key": 0},
        {"tag": "module"},
        {"location": 0},
        {"more": {"conj": True}},
        {"type_name": "QInt8Storage"},
        {"size": [1] * 65, "stride": [1] * 65},
    ],
)
def test_a_tensor_that_torch_does_not_write_so_is_not_read(changes: dict[str, object]) -> None:
    assert isinstance(walk(tensor(changes)), Thing)


@pytest.mark.parametrize("location", ["cuda:7", "meta", "hpu:0", "tpu", "a device of tomorrow"])
def test_a_storage_may_come_from_any_device(location: str) -> None:
    assert isinstance(walk(tensor({"location": location})), TensorView)


def rebuild(function: str, arguments: bytes) -> object:
    return walk(f"c{function}\n(".encode() + arguments + b"tR")


SIZES = storage() + b"K\x00(K\x04t(K\x01t"


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("torch._utils\n_rebuild_tensor", SIZES),
        ("torch._utils\n_rebuild_tensor_v2", SIZES + b"\x89" + HOOKS),
        ("torch._utils\n_rebuild_tensor_v2", SIZES + b"\x89" + HOOKS + b"}"),
        ("torch._utils\n_rebuild_tensor_v2", SIZES + b"\x89" + HOOKS + b"N"),
        ("torch._utils\n_rebuild_parameter", tensor() + b"\x88" + HOOKS),
        ("torch._utils\n_rebuild_parameter_with_state", tensor() + b"\x88" + HOOKS + b"}"),
        (
            "torch._utils\n_rebuild_device_tensor_from_cpu_tensor",
            tensor() + b"ctorch\nfloat32\n" + text("xla:0") + b"\x89",
        ),
        (
            "torch._tensor\n_rebuild_from_type_v2",
            b"ctorch._utils\n_rebuild_tensor_v2\nctorch\nTensor\n(" + SIZES + b"\x89" + HOOKS + b"t}",
        ),
    ],
)
def test_every_way_in_which_torch_rebuilds_a_plain_tensor_is_known(function: str, arguments: bytes) -> None:
    assert isinstance(rebuild(function, arguments), TensorView)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("torch._utils\n_rebuild_tensor_v2", b""),
        ("torch._utils\n_rebuild_parameter", b""),
        ("torch._utils\n_rebuild_parameter", b"N\x88N"),
        ("torch._utils\n_rebuild_qtensor", SIZES),
        ("torch._utils\n_rebuild_sparse_tensor", SIZES),
        ("torch._utils\n_rebuild_meta_tensor_no_storage", b"N"),
        ("torch._utils\n_rebuild_device_tensor_from_numpy", b"NNNN"),
        (
            "torch._utils\n_rebuild_device_tensor_from_cpu_tensor",
            tensor() + b"ctorch\nfloat64\n" + text("xla:0") + b"\x89",
        ),
        (
            "torch._tensor\n_rebuild_from_type_v2",
            b"ctorch._utils\n_rebuild_tensor_v2\ncmine\nTensor\n(" + SIZES + b"\x89" + HOOKS + b"t}",
        ),
        ("torch._tensor\n_rebuild_from_type_v2", b"cos\nsystem\nctorch\nTensor\n(" + SIZES + b"t}"),
        ("mine\n_rebuild_tensor_v2", SIZES + b"\x89" + HOOKS),
    ],
)
def test_what_is_no_plain_tensor_is_described(function: str, arguments: bytes) -> None:
    found = rebuild(function, arguments)
    assert isinstance(found, Thing)
    assert found.name == function.replace("\n", ".")


def test_nothing_that_is_named_is_imported(tmp_path: Path) -> None:
    (tmp_path / "canary_module.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w').close()")
    program = (
        "import sys; from hstu_preserve.checkpoint_files.foreign_walk import walk_foreign_pickle as walk;"
        r"walk(b'\x80\x02ccanary_module\nrun\n)R.', {}); walk(b'\x80\x02(icanary_module\nrun\n.', {});"
        "import hstu_preserve.checkpoint_files.foreign_weights;"
        "sys.exit('canary_module' in sys.modules or 'torch' in sys.modules or 'numpy' in sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {program}"], check=True, timeout=600
    )
    assert not (tmp_path / "marker").exists()


MANY = 100_000
LONG_TEXT = b"X" + struct.pack("<I", 10**6) + b"a" * 10**6
BOMBS = {
    "a tuple that is read as a size again and again": b"ctorch\nSize\nq\x00("
    + b"K\x01" * MANY
    + b"tq\x010("
    + b"h\x00h\x01\x85R" * (MANY // 5)
    + b"t",
    "arguments that are passed again and again": b"cx\ny\nq\x00("
    + b"N" * MANY
    + b"tq\x010("
    + b"h\x00h\x01R" * 30_000
    + b"t",
    "a tensor's arguments, again and again": b"ctorch._utils\n_rebuild_tensor_v2\nq\x00("
    + storage()
    + b"K\x00("
    + b"K\x01" * MANY
    + b"tq\x02h\x02\x89NtR0("
    + (b"h\x00(Nh\x02h\x02tR" * 15_000)
    + b"t",
    "a text that is repeated": LONG_TEXT + b"q\x000(" + b"h\x00" * MANY + b"t",
    "calls of calls": b"cx\ny\n" + b")R" * MANY,
    "lists": b"(" + b"]" * MANY + b"t",
    "one global under many names": b"(" + b"cx\ny\n" * (MANY // 5) + b"t",
}


@pytest.mark.parametrize("program", BOMBS.values(), ids=BOMBS)
def test_work_is_linear_in_the_length_of_a_pickle(program: bytes) -> None:
    began = time.process_time()
    try:
        walked = walk_foreign_pickle(b"\x80\x02" + program + b".", STORAGES)
        assert len("".join(name_not_built(walked.value, walked.globals))) < 1000
    except CheckpointError:
        pass
    assert time.process_time() - began < 10  # a second; read anew each time, it is many minutes


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (b"]" + b"2\x86" * 40, "more than 1000000 values"),
        (b"N" + b"\x85" * 20_000, "nested deeper than 10000"),
        (b"(" * 20_000, "more than 10000 marks"),
        (b"N0" * 600_000, "more than 1000000 opcodes"),
        (b"(" + b"".join(b"cx\ny%d\n" % n for n in range(MAX_GLOBALS + 1)) + b"t", "different globals"),
        (b"X\xff\xff\xff\xff", "ends within its argument"),
        (b"\x8e" + b"\xff" * 8, "ends within its argument"),
        (b"\x8b\xff\xff\xff\xff", "ends within its argument"),
        (b"\x95" + b"\xff" * 8, "ends within its frame"),
        (b"g" + b"9" * 5000 + b"\n", "its number is broken"),
        (b"N\x80\x09", "another protocol"),
        (b"r\xff\xff\xff\xff", "too high"),
        (b"K\x01}K\x01", "exactly one value"),
    ],
)
def test_what_grows_without_bounds_or_is_broken_is_refused(program: bytes, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        walk(program)


@pytest.mark.parametrize("program", [b"]q\x00h\x00a", b"}q\x00K\x01h\x00s", b"cx\ny\n)Rq\x00h\x00b"])
def test_a_value_that_holds_itself_is_described(program: bytes) -> None:
    walked = walk_foreign_pickle(b"\x80\x02" + program + b".", {})
    assert len(name_not_built(walked.value, walked.globals)) <= 1


@pytest.mark.parametrize(
    "raw", [b"", b"\x80", b"\x80\x01N.", b"\x80\x06N.", b"N.", b"\x80\x02", b"\x80\x02N", b"\x80\x02N.N"]
)
def test_what_is_no_pickle_of_torch_is_refused(raw: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"data\.pkl: "):
        walk_foreign_pickle(raw, {})


def test_a_long_text_is_not_kept() -> None:
    tracemalloc.start()
    program = b"(" + (b"X" + struct.pack("<I", 10**5) + b"\xf0\x9f\x98\x80" * 25_000) * 100 + b"t"
    walked = walk(program)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(walked, Thing)
    assert peak_bytes < 3.5 * len(program)
    assert walk(text("a" * MAX_TEXT_BYTES)) == "a" * MAX_TEXT_BYTES


def mutate(raw: bytes, chance: random.Random) -> bytes:
    """Return a pickle with a few bytes changed, dropped, doubled or replaced by an opcode."""
    damaged, codes = bytearray(raw), [ord(code) for code in OPCODES]
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        place, kind = chance.randrange(2, len(damaged)), chance.randrange(4)
        if kind == 0:
            damaged[place] = chance.randrange(256)
        elif kind == 1:
            del damaged[place]
        elif kind == 2:
            damaged[place:place] = damaged[place : place + chance.randrange(1, 9)]
        else:
            damaged[place] = chance.choice(codes)
    return bytes(damaged)


def test_a_damaged_pickle_ends_in_no_other_error() -> None:
    chance, num_read = random.Random(0), 0
    sound = b"\x80\x02" + content(CALL + b"R") + b"."
    for _ in range(5_000):
        try:
            walked = walk_foreign_pickle(mutate(sound, chance), STORAGES)
            said = name_not_built(walked.value, walked.globals)
            num_read += 1
        except CheckpointError as error:
            said = (str(error),)
        assert all(map(str.isprintable, said))
    assert 50 < num_read < 4_750


@pytest.mark.parametrize(
    "program",
    [
        b"ctorch\nSize\nq\x00(" + b"K\x01" * 20_000 + b"tq\x01(" + b"h\x00h\x01\x85R" * 10_000 + b"t\x86",
        LONG_TEXT + b"q\x00(" + b"h\x00" * 20_000 + b"t\x86",
        LONG_TEXT + b"q\x00(" + b"}h\x00Ns" * 20_000 + b"t\x86",
    ],
    ids=["size", "text", "key"],
)
def test_the_strict_walk_reads_nothing_anew_each_time_either(program: bytes) -> None:
    began = time.process_time()
    with pytest.raises(CheckpointError):
        walk_pickle(b"\x80\x02" + program + b"..", {})
    assert time.process_time() - began < 10
