"""A real browser shows pages and site without an error, in both colour schemes, on a telephone, and by keyboard."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.pages.rendering import render
from hstu_preserve.pages.report_page import compose_report
from hstu_preserve.pages.site.composing import compose_site
from hstu_preserve.pages.study_page import compose_comparison
from hstu_preserve.primitives.voice import SILENT
from hstu_preserve.records.verdict import Outcome, Rung
from tests.pages.browser import PROGRAM, Browser, open_browser
from tests.pages.records import AGREEMENT, judge, make_judged
from tests.report.test_study_tables import RECORD

NUM_RESULTS = len(read_catalog())
AXE = os.environ.get("HSTU_PRESERVE_AXE")
"""The path of `axe.min.js`, if its rules shall be tried, too."""
GROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}
PAGES = (
    "page.html",
    "study.html",
    "index.html",
    "results/iter8-exp4-SOTA.html",
    "results/paper-hstu-ml-1m.html",
    "judged/1.html",
)
EVERY_PAGE = pytest.mark.parametrize("name", PAGES)
FIRST_COLUMN = (
    "[...document.querySelectorAll('table.results tbody tr:not([hidden]) td:nth-child(2)')].map(one => one.textContent)"
)
FOCUSED = "document.activeElement.textContent"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="no browser here")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page of several bundles, one of a study, and a site."""
    folder = tmp_path_factory.mktemp("site")
    agreement = judge(Outcome.REPRODUCED_STATISTICAL, rung=Rung.TRAINING_STATISTICAL, agreement=AGREEMENT)
    judged = [make_judged(folder / name, judge(Outcome.NOT_REPRODUCED), agreement) for name in ("one", "two")]
    pages = {
        **compose_site(judged, voice=SILENT),
        "page.html": render(compose_report(judged)),
        "study.html": render(compose_comparison(RECORD, margin=0.01)),
    }
    for name, content in pages.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with open_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@EVERY_PAGE
@pytest.mark.parametrize("scheme", GROUNDS)
def test_a_page_says_nothing_to_the_console_and_asks_for_nothing(
    scheme: str, name: str, site: Path, browser: Browser
) -> None:
    browser.open(site / name, scheme=scheme)
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == GROUNDS[scheme]
    assert browser.list_said() == []
    assert browser.list_requests() == [(site / name).as_uri()]


@EVERY_PAGE
def test_a_page_is_no_wider_than_a_telephone(name: str, site: Path, browser: Browser) -> None:
    browser.open(site / name, width=400)
    assert browser.evaluate("innerWidth") == 400
    assert browser.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.skipif(AXE is None, reason="HSTU_PRESERVE_AXE names no axe.min.js")
@EVERY_PAGE
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 400)])
def test_axe_finds_no_fault(scheme: str, width: int, name: str, site: Path, browser: Browser) -> None:
    browser.open(site / name, scheme=scheme, width=width)
    browser.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    browser.evaluate(Path(str(AXE)).read_text(encoding="utf-8") + ";0")
    found = browser.evaluate(
        "axe.run(document).then(one => one.violations.map(v => [v.impact, v.id, v.nodes[0].html]))"
    )
    assert found == []


def test_headings_sort_by_keyboard_and_say_so(site: Path, browser: Browser) -> None:
    browser.open(site / "index.html")
    browser.wait("document.querySelector('.live') !== null")
    before = browser.evaluate(FIRST_COLUMN)
    for _ in range(40):
        browser.press("Tab")
        if browser.evaluate(FOCUSED) == "ndcg@10":
            break
    assert (
        browser.evaluate("document.activeElement.tagName + getComputedStyle(document.activeElement).outlineStyle")
        == "BUTTONsolid"
    )
    browser.press("Enter", text="\r")
    sort = "document.activeElement.closest('th').getAttribute('aria-sort')"
    assert browser.evaluate(sort) == "ascending"
    assert browser.evaluate(FIRST_COLUMN)[0] == "iter7-exp6-ml32m-base"  # 0.1508, the smallest of its kind
    browser.press(" ", text=" ")
    assert browser.evaluate(sort) == "descending"
    assert browser.evaluate(FIRST_COLUMN)[0] == "rails-hstu-mol-ml-20m"
    assert sorted(browser.evaluate(FIRST_COLUMN)) == sorted(before)
    of_another_kind = "hstu-tensorflow-ml-1m"  # in another table
    assert browser.evaluate(FIRST_COLUMN).index(of_another_kind) == before.index(of_another_kind)


def test_rows_without_the_number_stand_last_either_way(site: Path, browser: Browser) -> None:
    browser.open(site / "index.html")
    gains = "[...document.querySelector('table.results').tBodies[0].rows].map(row => row.cells[6].textContent)"
    for _ in range(2):
        browser.evaluate("document.querySelectorAll('.live th button')[6].click()")
        found = browser.evaluate(gains)
        assert found[-3:] == ["", "", ""]
        assert "" not in found[:-3]


def test_the_form_filters_and_says_how_many_are_left(site: Path, browser: Browser) -> None:
    browser.open(site / "index.html")
    choose = (
        "(() => {{ const one = document.getElementById('{}'); one.value = '{}'; "
        "one.dispatchEvent(new Event('input', {{bubbles: true}})); }})()"
    )
    browser.evaluate(choose.format("choice-2", "ml-1m"))
    of_ml_1m = sum(one.dataset == "ml-1m" for one in read_catalog().values())
    assert (
        browser.evaluate("document.getElementById('shown').textContent") == f"{of_ml_1m} of {NUM_RESULTS} results shown"
    )
    browser.evaluate(choose.format("words", "HSTU-TENSORFLOW"))
    assert browser.evaluate(FIRST_COLUMN) == ["hstu-tensorflow-ml-1m"]
    browser.evaluate("document.querySelector('#filters button').click()")
    browser.wait(f"document.getElementById('shown').textContent === '{NUM_RESULTS} of {NUM_RESULTS} results shown'")
    assert browser.list_said() == []


def test_without_scripts_every_result_is_there_and_no_control_that_does_nothing(site: Path, browser: Browser) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(site / "index.html")
        assert len(browser.evaluate(FIRST_COLUMN)) == NUM_RESULTS
        assert browser.evaluate("getComputedStyle(document.getElementById('filters')).display") == "none"
        assert browser.evaluate("document.querySelectorAll('th button').length") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
