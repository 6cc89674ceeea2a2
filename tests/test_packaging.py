"""The built wheel carries the catalog, the recipes and the sample, and works outside the checkout."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
import sys, hstu_preserve
from hstu_preserve.cli.main import main
print(hstu_preserve.__file__, file=sys.stderr)
sys.exit(main())
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    return site


def run_installed(arguments: list[str], *, site: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(site), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["list"], "iter8-exp4-SOTA"), (["show", "sample"], "Sample: HSTU"), (["verify", "sample"], "ok")],
    ids=["list", "show sample", "verify sample"],
)
def test_the_installed_wheel_works_outside_the_checkout(
    arguments: list[str], says: str, site: Path, tmp_path: Path
) -> None:
    result = run_installed(arguments, site=site, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith(str(site))
    assert says in result.stdout


def test_the_wheel_says_that_it_is_typed(site: Path) -> None:
    assert (site / "hstu_preserve" / "py.typed").exists()
    assert (site / "hstu_preserve" / "shipped" / "manifests" / "iter8-exp4-SOTA.json").exists()


def test_the_wheel_carries_every_gin_chain(site: Path) -> None:
    def list_gin_files(bundles: Path) -> set[str]:
        return {path.relative_to(bundles).as_posix() for path in bundles.rglob("*.gin")}

    assert list_gin_files(site / "hstu_preserve" / "shipped" / "bundles") == list_gin_files(ROOT / "bundles")


def test_the_installed_wheel_knows_the_chain_of_an_id(site: Path, tmp_path: Path) -> None:
    entry = site / "hstu_preserve" / "shipped" / "bundles" / "iter8-exp4-SOTA" / "config" / "iter8-exp4-SOTA.gin"
    shown = run_installed(["show", str(entry)], site=site, folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "linear_dropout_rate = 0.1" in shown.stdout
    trained = run_installed(["train", "iter8-exp4-SOTA", "--output", "run"], site=site, folder=tmp_path)
    assert trained.returncode == 4, trained.stderr
    assert "dataset ml-20m is needed" in trained.stderr


FOR_TYPES_ALONE = {"_typeshed"}
WHERE_IT_IS = {"triton"}  # comes with PyTorch for CUDA, and is imported only if it is there
PARTS = {"pydantic-core": "pydantic"}  # which names the one version that it works with


def normalize(name: str) -> str:
    """Return the name of a distribution in the form in which all its spellings are equal (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def list_declared(project: dict[str, Any]) -> set[str]:
    """Return the distributions that a user's installation brings: the base and its extras."""
    lines = [
        *project["dependencies"],
        *(line for name in ("cpu", "cuda", "report") for line in project["optional-dependencies"][name]),
    ]
    return {normalize(re.split(r"[\s<>=!~;\[]", line)[0]) for line in lines}


def test_whatever_the_package_imports_is_declared() -> None:
    """The tests' own packages lie beside it in a developer's environment, and hide one that users do not have."""
    declared = list_declared(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])
    providers = packages_distributions()
    for path in sorted((ROOT / "hstu_preserve").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - FOR_TYPES_ALONE - WHERE_IT_IS
            for top in tops - {"hstu_preserve"}:
                providing = {normalize(name) for name in providers.get(top, ())}
                assert declared & {PARTS.get(name, name) for name in providing}, f"{path.name} imports {top}"
