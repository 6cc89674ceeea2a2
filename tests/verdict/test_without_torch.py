"""Verdicts are judged where there is no PyTorch, too."""

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["torch"] = None  # an import of it fails from here on

import importlib
import pkgutil

from hstu_preserve import verdict

names = [module.name for module in pkgutil.iter_modules(verdict.__path__)]
for name in names:
    importlib.import_module(f"hstu_preserve.verdict.{name}")

from hstu_preserve.verdict.rungs import judge_training_bitwise

judged = judge_training_bitwise(state_sha256="a", recorded_sha256="b", environment_differences=[])
print(*names, judged.outcome)
"""


def test_every_module_of_the_room_is_imported_and_a_judge_judges_without_pytorch() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    *names, outcome = result.stdout.split()
    assert {"bits", "integrity", "rungs"} <= set(names)
    assert outcome == "NOT_REPRODUCED"
