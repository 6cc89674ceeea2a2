"""How long OpenMP's threads spin is set before they are there, and only where the user did not say it."""

import os
import subprocess
import sys

import pytest

from hstu_preserve.cli.main import SPIN_COUNT

SHOWING = """
import os
from hstu_preserve.cli import main as module

module.main = lambda: print(os.environ.get("GOMP_SPINCOUNT", "its own"))
module.run()
"""


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({}, SPIN_COUNT),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, "its own"),
        ({"OMP_WAIT_POLICY": "passive"}, "its own"),
    ],
)
def test_the_users_own_setting_stays(variables: dict[str, str], shown: str) -> None:
    names = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    environment = {name: value for name, value in os.environ.items() if name not in names} | variables
    said = subprocess.run([sys.executable, "-c", SHOWING], env=environment, check=True, capture_output=True, text=True)
    assert said.stdout.strip() == shown
