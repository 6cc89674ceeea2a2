"""The built wheel carries the catalog and the sample, and works outside the checkout."""

import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["list"], "iter8-exp4-SOTA"), (["show", "sample"], "Sample: HSTU"), (["verify", "sample"], "ok")],
    ids=["list", "show sample", "verify sample"],
)
def test_the_installed_wheel_works_outside_the_checkout(
    arguments: list[str], says: str, site: Path, tmp_path: Path
) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith(str(site))
    assert says in result.stdout


def test_the_wheel_says_that_it_is_typed(site: Path) -> None:
    assert (site / "hstu_preserve" / "py.typed").exists()
    assert (site / "hstu_preserve" / "shipped" / "manifests" / "iter8-exp4-SOTA.json").exists()
