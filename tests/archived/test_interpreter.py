"""The interpreter is asked in a process of its own, and what it lacks is named with the line that installs it."""

import os
import sys
from pathlib import Path

import pytest

from hstu_preserve.archived.interpreter import make_environment, probe
from hstu_preserve.errors import UnavailableError

PYTHON = Path(sys.executable)


def test_versions_are_those_of_the_interpreter() -> None:
    found = probe(None, needed=["gin"], environment=make_environment({}))
    assert found.path == PYTHON
    assert found.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found.versions["gin"][0].isdigit()
    assert found.gpus == ()


def test_a_missing_module_is_named_with_the_line_that_installs_its_package(tmp_path: Path) -> None:
    (tmp_path / "yaml.py").write_text("raise ImportError('libyaml is gone')\n")
    environment = make_environment({"PYTHONPATH": str(tmp_path)})
    with pytest.raises(UnavailableError) as caught:
        probe(None, needed=["gin", "yaml", "no_such_module"], environment=environment)
    assert "lacks 2 modules that the code imports: yaml, no_such_module" in str(caught.value)
    assert "libyaml is gone" in str(caught.value)
    assert f"{PYTHON} -m pip install PyYAML no_such_module" in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("text", ["while True:\n    pass\n", "import time\ntime.sleep(60)\n"])
def test_an_import_that_hangs_is_ended(tmp_path: Path, text: str) -> None:
    (tmp_path / "slow.py").write_text(text)
    with pytest.raises(UnavailableError, match=r"took more than 2 s, and was ended"):
        probe(None, needed=["slow"], environment=make_environment({"PYTHONPATH": str(tmp_path)}), timeout_seconds=2.0)


def test_an_import_that_ends_the_process_is_named(tmp_path: Path) -> None:
    (tmp_path / "fatal.py").write_text("import os\nos._exit(3)\n")
    with pytest.raises(UnavailableError, match="ended with 3 while it imported"):
        probe(None, needed=["fatal"], environment=make_environment({"PYTHONPATH": str(tmp_path)}))


def test_what_is_no_interpreter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be started"):
        probe(tmp_path / "python", needed=[], environment=make_environment({}))


def test_no_token_is_handed_to_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    environment = make_environment({"WANDB_MODE": "offline"})
    assert "HF_TOKEN" not in environment
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["WANDB_MODE"] == "offline"
    assert environment["PATH"] == os.environ["PATH"]
