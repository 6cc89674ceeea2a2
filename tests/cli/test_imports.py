"""Commands that need no arithmetic start fast: torch and the other heavy packages stay out."""

import subprocess
import sys
from pathlib import Path

import pytest

PROBE = """
import sys
from hstu_preserve.cli.main import main
code = main({arguments!r})
loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & {{"torch", "fbgemm_gpu", "tensorboard", "scipy"}})
print("LOADED", loaded, "CODE", code)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["reproduce", "--help"],
        ["list"],
        ["show", "iter8-exp4-SOTA"],
        ["show", "sample"],
        ["verify", "sample"],
        ["unpack", "sample", "--output", "tree"],
        ["data", "synthesize", "--seed", "1", "--users", "20", "--items", "40", "--ratings", "300", "--output", "s"],
    ],
    ids=" ".join,
)
def test_torch_is_never_imported(arguments: list[str], tmp_path: Path) -> None:
    script = PROBE.format(arguments=arguments)
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.stdout.splitlines()[-1] == "LOADED [] CODE 0", result.stdout + result.stderr


def test_packing_needs_no_torch(tmp_path: Path) -> None:
    from hstu_preserve.workflows.pack import unpack

    unpack("sample", output=tmp_path / "tree")
    test_torch_is_never_imported(["pack", "tree", "--output", "b.tar.gz"], tmp_path)


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    script = "import sys, hstu_preserve; print({'torch', 'numpy', 'pydantic', 'typer'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
