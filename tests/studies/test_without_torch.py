"""Recipes are compared where there is no PyTorch, too, once their runs were read."""

import subprocess
import sys

PROGRAM = """
import sys
sys.modules["torch"] = None  # an import of it fails from here on

import importlib
import pkgutil

from hstu_preserve import studies

for module in pkgutil.iter_modules(studies.__path__):
    importlib.import_module(f"hstu_preserve.studies.{module.name}")

from hstu_preserve.studies.over_seeds import summarize

print(summarize({"a": {1: 0.5, 2: 0.25}, "b": {1: 0.5, 2: 0.5}}, baseline="a")[0]["b"].mean)
"""


def test_every_module_of_the_room_works_without_pytorch() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("0.5\n", "")
