"""`pack` says how far it has come."""

from pathlib import Path

from hstu_preserve.primitives.voice import STEP_BYTES
from hstu_preserve.verbs.pack import pack
from tests.factories import TINY_RUN, make_sealed_run
from tests.listening import Listener


def test_packing_tells_the_bytes_that_are_packed(tmp_path: Path) -> None:
    root, listener = tmp_path / "run", Listener()
    make_sealed_run(root, files=TINY_RUN | {"ckpts/large": bytes(3 * STEP_BYTES)})
    pack(root, output=tmp_path / "b.tar.gz", voice=listener.voice)
    assert listener.list_activities() == ["packing"]
    listener.require_complete()
    assert len(listener.heard) > 3
    assert listener.heard[-1].total == sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert all(one.in_bytes for one in listener.heard)
