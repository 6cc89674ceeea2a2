"""A file that is not whole yet belongs to one process at a time, and never again to any once it is whole."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from hstu_preserve.errors import UnavailableError
from hstu_preserve.hub.partial_files import open_partial
from hstu_preserve.primitives.voice import SILENT


def wait_for_nobody(seconds: float) -> None:
    raise AssertionError("nobody holds it")


def test_who_waited_while_the_file_became_whole_gets_a_new_one(tmp_path: Path) -> None:
    path, whole = tmp_path / "x.part", tmp_path / "whole"
    with ExitStack() as first_holds:
        first = first_holds.enter_context(open_partial(path, pause=wait_for_nobody, voice=SILENT))
        first.append(b"whole")

        def finish(seconds: float) -> None:
            first.move_to(whole)
            first_holds.close()

        with open_partial(path, pause=finish, voice=SILENT) as second:
            assert second.size == 0
            second.discard()
            second.append(b"another")
            assert path.read_bytes() == b"another"
    assert whole.read_bytes() == b"whole"


def test_a_link_that_somebody_put_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "x.part").symlink_to(tmp_path / "precious")
    with pytest.raises(UnavailableError, match="cannot be written"):
        open_partial(tmp_path / "x.part", pause=wait_for_nobody, voice=SILENT).__enter__()
