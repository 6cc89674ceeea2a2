"""Commands that need no arithmetic start fast: torch and the other heavy packages stay out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpus.legacy.generators import ARCHIVE_NAME, build, read_cases
from tests.hub.local_hub import LocalHub

PROBE = """
import sys
from hstu_preserve.cli.main import main
code = main({arguments!r})
heavy = {{"torch", "fbgemm_gpu", "tensorboard", "scipy", "matplotlib", "jinja2"}}
loaded = sorted({{name.partition(".")[0] for name in sys.modules}} & heavy)
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
    from hstu_preserve.verbs.unpack import unpack

    unpack("sample", output=tmp_path / "tree")
    test_torch_is_never_imported(["pack", "tree", "--output", "b.tar.gz"], tmp_path)


def test_migrating_needs_no_torch(tmp_path: Path) -> None:
    build(read_cases()[0], folder=tmp_path)
    arguments = ["migrate", ARCHIVE_NAME, "--output", "b.tar.gz"]
    for verb in (arguments, ["show", "b.tar.gz"], ["verify", "b.tar.gz"], ["unpack", "b.tar.gz"]):
        script = PROBE.format(arguments=verb)
        result = subprocess.run(
            [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        loaded = result.stdout.splitlines()[-1]
        assert "torch" not in loaded, result.stdout + result.stderr
        assert loaded.endswith("CODE 0"), result.stdout + result.stderr


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    script = "import sys, hstu_preserve; print({'torch', 'numpy', 'pydantic', 'typer'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--help"], {"pydantic", "rich"}),
        (
            ["verify", "sample"],
            {"rich", "numpy", "hstu_preserve.certificates.statements", "hstu_preserve.records.results"},
        ),
    ],
)
def test_what_a_command_does_not_need_is_not_loaded(arguments: list[str], unneeded: set[str], tmp_path: Path) -> None:
    script = f"import sys; from hstu_preserve.cli.main import main; main({arguments!r}); "
    script += f"print({unneeded!r} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "set()"


def test_downloading_loads_neither_rich_nor_the_whole_api_of_the_client(tmp_path: Path) -> None:
    unneeded = {"rich", "huggingface_hub.hf_api", "hstu_preserve.gin_recipes", "torch"}
    with LocalHub() as hub:
        hub.add("owner/repository", {"a.tar.gz": b"content", "MANIFEST.md": b"# Nothing is listed\n"})
        arguments = ["download", "a.tar.gz", "--repo", "owner/repository"]
        script = f"import sys; from hstu_preserve.cli.main import main; print(main({arguments!r})); "
        script += f"print({unneeded!r} & set(sys.modules))"
        home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "NO_PROXY": "*"}
        result = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env={**os.environ, **home},
            capture_output=True,
            text=True,
            check=True,
        )
    assert result.stdout.splitlines()[-2:] == ["0", "set()"]


def test_no_plugin_takes_part_in_reading_records(tmp_path: Path) -> None:
    folder = tmp_path / "intruder-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: intruder\nVersion: 1\n")
    (folder / "entry_points.txt").write_text("[pydantic]\nintruder = intruder:plugin\n")
    (tmp_path / "intruder.py").write_text("import sys\nsys.exit('a plugin was loaded')\n")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from hstu_preserve.cli.main import main; "
    script += "sys.exit(main(['verify', 'sample']))"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=True)
