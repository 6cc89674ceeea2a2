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

from hstu_preserve.records.verdict import Rung
from hstu_preserve.verdict.bits import judge_bits

judged = judge_bits(Rung.TRAINING_BITWISE, same=None, differing="", environment_differences=[], evidence=())
print(*names, judged.outcome)
"""


def test_every_module_of_the_room_is_imported_and_a_judge_judges_without_pytorch() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    *names, outcome = result.stdout.split()
    assert {"bits", "integrity", "rungs"} <= set(names)
    assert outcome == "NOT_REPRODUCED"
