"""Programs that tests fork are the programs that users start."""

import json
import os
from pathlib import Path

from tests.forked import can_be_forked, run_in_words, start_program

LOOKING = """
import json, os, sys
from huggingface_hub import constants
torch = sys.modules["torch"]
assert torch.backends.cpu.get_cpu_capability() == "DEFAULT"
print(json.dumps([sys.argv[1:], os.getcwd(), constants.ENDPOINT, "tests.forked_preload" in sys.modules]))
print("said", file=sys.stderr)
sys.exit(7)
"""


def test_a_forked_program_has_its_own_surroundings_and_finds_everything_imported(tmp_path: Path) -> None:
    """The fork server leaves out in silence what it cannot import; then each program would import it anew."""
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "ATEN_CPU_CAPABILITY": "default"}
    result = run_in_words("one", "two", program=LOOKING, cwd=tmp_path, environment=environment)
    assert json.loads(result.stdout) == [["one", "two"], str(tmp_path.resolve()), "http://127.0.0.1:9", True]
    assert (result.returncode, result.stderr) == (7, "said\n")


def test_a_forked_program_that_is_killed_says_by_what() -> None:
    process = start_program(program="import time\ntime.sleep(600)\n")
    process.kill()
    assert process.communicate() == ("", "")
    assert process.returncode == -9


def test_what_python_or_a_library_reads_when_it_is_loaded_needs_a_fresh_one() -> None:
    for name, value in (("LD_PRELOAD", "x.so"), ("PYTHONPATH", "/elsewhere"), ("HF_ENDPOINT", "http://[bad")):
        assert not can_be_forked({**os.environ, name: value})
    assert can_be_forked({**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9"})
