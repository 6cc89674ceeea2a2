"""A real browser shows the page without an error, in both colour schemes, and no wider than a telephone."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hstu_preserve.pages.rendering import render
from hstu_preserve.pages.report_page import compose_report
from hstu_preserve.records.verdict import Outcome, Rung
from tests.pages.records import AGREEMENT, judge, make_judged

BROWSER = next((name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom",
)  # fmt: skip
MEASURING = """<script>
const rules = getComputedStyle(document.body);
document.title = [document.documentElement.scrollWidth, innerWidth, rules.backgroundColor].join(" | ");
</script></body>"""
SCHEMES = {"light": "1", "dark": "0"}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no browser here")]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    agreement = judge(Outcome.REPRODUCED_STATISTICAL, rung=Rung.TRAINING_STATISTICAL, agreement=AGREEMENT)
    judged = [make_judged(folder / name, judge(Outcome.NOT_REPRODUCED), agreement) for name in ("one", "two")]
    path = folder / "page.html"
    path.write_bytes(render(compose_report(judged)))
    return path


def browse(page: Path, *, scheme: str, width: int, folder: Path) -> subprocess.CompletedProcess[str]:
    words = [f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900"]
    words.append(f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}")
    return subprocess.run(
        [str(BROWSER), *OPTIONS, *words, page.as_uri()], capture_output=True, text=True, timeout=300, check=True
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_console_stays_empty(scheme: str, page: Path, tmp_path: Path) -> None:
    shown = browse(page, scheme=scheme, width=1200, folder=tmp_path)
    assert "REPRODUCED_STATISTICAL" in shown.stdout
    assert "CONSOLE" not in shown.stderr, shown.stderr


@pytest.mark.parametrize(("scheme", "ground"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 27)")])
def test_it_has_both_schemes_and_is_no_wider_than_500_pixels(
    scheme: str, ground: str, page: Path, tmp_path: Path
) -> None:
    # The page itself runs no script: one is put into a copy without the rule that forbids it.
    text = re.sub(r"<meta http-equiv=[^>]*>", "", page.read_text(encoding="utf-8"))
    copy = tmp_path / "measured.html"
    copy.write_text(text.replace("</body>", MEASURING), encoding="utf-8")
    shown = browse(copy, scheme=scheme, width=500, folder=tmp_path)  # the narrowest window that headless Chromium has
    found = re.search(r"<title>(\d+) \| (\d+) \| (.*?)</title>", shown.stdout)
    assert found is not None, shown.stdout[:1000]
    assert int(found[1]) <= int(found[2]) <= 500
    assert found[3] == ground
