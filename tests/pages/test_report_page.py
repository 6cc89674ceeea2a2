"""A page says the outcome first, asks nobody for anything, and shows every text from outside as text."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hstu_preserve.pages.judged import Judged
from hstu_preserve.pages.rendering import render
from hstu_preserve.pages.report_page import compose_report
from hstu_preserve.pages.study_page import compose_comparison
from hstu_preserve.records.verdict import Outcome, Rung
from tests.pages.records import AGREEMENT, judge, make_judged, replace_names, replace_texts
from tests.report.test_hostile_text import TEXTS
from tests.report.test_study_tables import RECORD

MARKUP = {
    **TEXTS,
    "an attribute": '" onmouseover="alert(1)" style="background:url(https://example.org)',
    "an apostrophe": "' onload='alert(1)",
    "the end of a title": "</title></style></svg><script>alert(1)</script>",
    "a template": "{{ 7 * 7 }}{% raw %}",
    "a formula": r"$\frac{1}{0}$ $$",
    "no text": "\udc80\x00",
}
# Joined, since drawing the figures of a page takes longer than everything else about it; whichever comes first in a
# field must not hide the others, so that they are joined in both orders.
HOSTILE = {"in order": " ".join(MARKUP.values()), "in reverse": "".join(reversed(MARKUP.values()))}


class Structure(HTMLParser):
    """The elements of a page, each with the names of its attributes; and the addresses in them."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "data"}]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture
def judged(tmp_path: Path) -> Judged:
    return make_judged(
        tmp_path,
        judge(Outcome.REPRODUCED_NUMERIC),
        judge(Outcome.REPRODUCED_STATISTICAL, rung=Rung.TRAINING_STATISTICAL, agreement=AGREEMENT),
    )


def write(*judged: Judged) -> bytes:
    return render(compose_report(judged))


def fill(judged: Judged, text: str) -> Judged:
    """Return a judged bundle with one text in the place of every other."""
    assert judged.manifest is not None
    return replace(
        judged,
        reproduction=replace_texts(judged.reproduction, text),
        record_path=Path(text.replace("\x00", "")),
        manifest=replace_names(judged.manifest, text),  # type: ignore[arg-type]  # a run's
        results=replace_texts(judged.results, text),
        certificates=replace_texts(tuple(judged.certificates), text),
        gaps=(text,),
    )


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_of_a_bundle_or_record_makes_an_element(text: str, judged: Judged) -> None:
    content = write(fill(judged, text))
    hostile = Structure(content)
    assert hostile.elements == Structure(write(fill(judged, "x"))).elements
    assert all(address.startswith("#") for address in hostile.addresses)
    assert all(character.isprintable() or character == "\n" for character in content.decode())
    assert not any(tag in {"script", "iframe", "img", "link", "base"} for tag, _ in hostile.elements)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_of_a_comparison_makes_an_element(text: str) -> None:
    plain, hostile = (
        Structure(
            render(compose_comparison(replace_texts(RECORD, one).model_copy(update={"metric": "ndcg@10"}), margin=0.01))
        )
        for one in ("x", text)
    )
    assert hostile.elements == plain.elements
    assert not any(tag == "script" for tag, _ in hostile.elements)


def test_a_page_asks_nobody_for_anything(judged: Judged) -> None:
    page = write(judged, judged).decode()
    head = page[: page.index("<title>")]
    assert "default-src 'none'" in head
    assert not re.search(r"(src|href|action)=.(?!#)", page.replace("http-equiv", ""))
    assert set(re.findall(r"https?://[^\"'\s<]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in page
    assert not [address for address in re.findall(r"url\(([^)]*)\)", page) if not address.startswith("#")]


def test_equal_input_gives_equal_bytes(judged: Judged) -> None:
    assert write(judged) == write(judged)


def test_no_two_elements_share_an_id(judged: Judged) -> None:
    ids = re.findall(r'\bid="([^"]+)"', write(judged, judged).decode())
    assert len(ids) == len(set(ids)) > 0


@pytest.mark.parametrize(
    ("outcome", "sign"), [(Outcome.NOT_REPRODUCED, "✗"), (Outcome.INCONCLUSIVE, "?"), (Outcome.REPRODUCED_BITWISE, "✓")]
)
def test_the_outcome_and_its_reason_stand_before_everything_else(outcome: Outcome, sign: str, tmp_path: Path) -> None:
    page = write(make_judged(tmp_path, judge(Outcome.REPRODUCED_NUMERIC), judge(outcome))).decode()
    first = page[page.index("<main>") : page.index("<table")]
    assert f"{sign} {outcome.value}" in first
    assert "A reason." in first
    assert "Limit: a limit." in first
    assert "nobody signed" in first


def test_a_record_that_calls_itself_reproduced_is_not_believed(tmp_path: Path) -> None:
    page = write(make_judged(tmp_path, judge(Outcome.NOT_REPRODUCED), exit_code=0)).decode()
    assert "✗ NOT_REPRODUCED" in page
    assert "exit 5" in page
    assert "calls its exit code 0, which does not follow" in page


def test_several_bundles_stand_in_one_table_first(judged: Judged, tmp_path: Path) -> None:
    other = make_judged(tmp_path / "other", judge(Outcome.NOT_REPRODUCED))
    page = write(judged, other).decode()
    first = page[page.index("<main>") : page.index("<article")]
    assert "1 of 2: every required verdict holds" in first
    assert [link in first for link in ('href="#b1"', 'href="#b2"')] == [True, True]
    assert first.count('<tr role="row">') == 3


def list_parts(page: str) -> Iterator[str]:
    """Yield the headings of a page's sections."""
    yield from re.findall(r"<section>\n<h2>(.*?)</h2>", page)


def test_what_is_known_has_its_section(judged: Judged) -> None:
    assert list(list_parts(write(judged).decode())) == [
        "Curve",
        "Retrainings",
        "Causes",
        "Rungs",
        "Limits",
        "Environment",
        "Certificate",
        "Recipe and contents",
        "Check it again",
    ]


def test_without_the_bundle_the_page_shows_its_verdicts_and_says_so(judged: Judged) -> None:
    page = write(replace(judged, manifest=None, results=None, gaps=("the bundle is not here",))).decode()
    assert "Not shown: the bundle is not here." in page
    assert "Recipe and contents" not in page
    assert "training-statistical ndcg@10" in page
