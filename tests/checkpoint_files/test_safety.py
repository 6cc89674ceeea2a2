"""The walk over checkpoint files: sound ones pass, every changed byte is found, and torch can read what passes."""

import random
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import pytest
import torch

from hstu_preserve.checkpoint_files.safety import require_safe_stream
from hstu_preserve.errors import CheckpointError
from tests.corpus.checkpoints.generators import content, saved, sound_parts, write_parts

GOLDEN = Path(__file__).parents[1] / "golden"
SOUND = b"\x80\x02" + content() + b"."


def require_safe(path: Path) -> None:
    with path.open("rb") as stream:
        require_safe_stream(stream, source=path)


def passes(path: Path, raw: bytes) -> bool:
    """Whether the walk lets a file pass; any error but CheckpointError is a failure of the test."""
    path.write_bytes(raw)
    try:
        require_safe(path)
    except CheckpointError:
        return False
    return True


@pytest.mark.parametrize("name", ["meta_hstu_tiny_ep3", "meta_sasrec_tiny_ep3"])
def test_upstreams_checkpoints_pass(name: str) -> None:
    require_safe(GOLDEN / name)


def test_the_message_names_the_file_the_opcode_and_the_place(tmp_path: Path) -> None:
    path = tmp_path / "x_ep1"
    path.write_bytes(write_parts(sound_parts(b"\x80\x02cos\nsystem\n.")))
    with pytest.raises(CheckpointError) as caught:
        require_safe(path)
    assert str(caught.value) == (
        f"{path}: not a checkpoint that can be read safely "
        "(data.pkl: GLOBAL at byte 2: global 'os.system' is not allowed); nothing was loaded"
    )


def test_the_walk_does_not_import_torch() -> None:
    program = "import sys, hstu_preserve.checkpoint_files.safety; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=600)


def list_free_bytes(raw: bytes) -> set[int]:
    """Return the places that no reader heeds: the versions and attributes of directory entries and of zip64's end."""
    free: set[int] = set()
    place = raw.find(b"PK\x03\x04")
    while place >= 0:
        free |= {place + 4, place + 5}  # version needed
        place = raw.find(b"PK\x03\x04", place + 1)
    place = raw.find(b"PK\x01\x02")
    while place >= 0:
        free |= {*range(place + 4, place + 8), *range(place + 36, place + 42)}
        place = raw.find(b"PK\x01\x02", place + 1)
    end = raw.find(b"PK\x06\x06")
    return free | set(range(end + 12, end + 16))


@pytest.mark.parametrize("writer", ["torch", "field by field"])
def test_every_changed_byte_is_found(writer: str, tmp_path: Path) -> None:
    raw = saved({"epoch": 1, "model_state_dict": {"a": torch.ones(4)}}) if writer == "torch" else b""
    raw = raw or write_parts(sound_parts())
    assert passes(tmp_path / "x", raw)
    free, chance = list_free_bytes(raw), random.Random(0)
    unnoticed = [
        place
        for place in range(len(raw))
        if place not in free
        and passes(tmp_path / "x", raw[:place] + bytes([raw[place] ^ chance.randrange(1, 256)]) + raw[place + 1 :])
    ]
    assert unnoticed == []


def test_every_truncation_and_every_appended_byte_is_found(tmp_path: Path) -> None:
    raw = write_parts(sound_parts())
    assert not any(passes(tmp_path / "x", raw[:length]) for length in range(len(raw)))
    assert not any(passes(tmp_path / "x", raw + bytes([value])) for value in range(256))


def mutate(raw: bytes, chance: random.Random) -> bytes:
    """Return a pickle with a few bytes changed, dropped, doubled or moved."""
    damaged = bytearray(raw)
    for _ in range(chance.choice((1, 1, 2, 4))):
        place = chance.randrange(2, len(damaged))
        kind = chance.randrange(4)
        if kind == 0:
            damaged[place] = chance.randrange(256)
        elif kind == 1:
            del damaged[place]
        elif kind == 2:
            damaged[place:place] = damaged[place : place + chance.randrange(1, 8)]
        else:
            damaged[place] = chance.choice(b"NK\x88\x89()]}tuaesbRQh0q\x85\x86\x87")
    return bytes(damaged)


def test_torch_reads_whatever_passes(tmp_path: Path) -> None:
    chance, path, num_passed = random.Random(0), tmp_path / "x_ep1", 0
    for _ in range(3000):
        if not passes(path, write_parts(sound_parts(mutate(SOUND, chance)))):
            continue
        num_passed += 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            torch.load(path, weights_only=True)
    assert 30 < num_passed < 2000


def test_memory_stays_flat_however_long_a_storage_is(tmp_path: Path) -> None:
    path = tmp_path / "x_ep1"
    torch.save({"epoch": 1, "model_state_dict": {"a": torch.zeros(8 * 2**20)}}, path)
    tracemalloc.start()
    require_safe(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 32 * 2**20 > 8 * peak_bytes
