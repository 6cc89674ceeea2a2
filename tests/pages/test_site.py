"""A site of the catalog: what stands first, where its links lead, and that every text in it is text."""

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from posixpath import dirname, join, normpath

import pytest

from hstu_preserve.errors import ContentError
from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.library.listing import list_experiments
from hstu_preserve.pages.figures import Curve
from hstu_preserve.pages.judged import Judged
from hstu_preserve.pages.site.collecting import list_published, read_legacy_curve
from hstu_preserve.pages.site.composing import compose_site, render_site
from hstu_preserve.pages.site.entry_page import list_commands
from hstu_preserve.pages.site.hiding import hide_places
from hstu_preserve.pages.site.published import Published
from hstu_preserve.primitives.voice import SILENT
from hstu_preserve.records.catalog import CatalogEntry
from hstu_preserve.records.verdict import Outcome
from tests.docs.pages import make_command
from tests.docs.test_documented_commands import require_known
from tests.legacy.published_layout import Layout
from tests.pages.records import judge, make_judged, replace_texts
from tests.pages.test_report_page import HOSTILE, Structure, fill

ID = "iter8-exp4-SOTA"


@pytest.fixture(scope="module")
def published() -> tuple[Published, ...]:
    """The catalog as it is, each chain resolved once."""
    return list_published([], voice=SILENT)


@pytest.fixture(scope="module")
def files(published: tuple[Published, ...], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A site with one judged bundle that is of no published result."""
    return render_site(published, [make_judged(tmp_path_factory.mktemp("one"), judge(Outcome.NOT_REPRODUCED))])


def test_every_published_result_has_its_page_and_its_row(files: dict[str, bytes]) -> None:
    index = files["index.html"].decode()
    for one in read_catalog():
        assert f'href="results/{one}.html">{one}</a>' in index
        assert f"results/{one}.html" in files
    assert f"? None of {len(read_catalog())} published results was judged here" in index
    assert 'href="judged/1.html"' in index


def test_links_are_relative_and_lead_to_pages_of_the_site(files: dict[str, bytes]) -> None:
    for place, content in files.items():
        for address in Structure(content).addresses:
            assert address.startswith("#") or normpath(join(dirname(place), address)) in files, (place, address)


def test_nothing_is_asked_of_anybody_and_one_script_alone_may_run(files: dict[str, bytes]) -> None:
    for place, content in files.items():
        text = content.decode()
        policy = re.findall(
            r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text[: text.index("<title>")]
        )
        scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
        digests = [f"script-src 'sha256-{b64encode(sha256(one.encode()).digest()).decode()}'; " for one in scripts]
        assert policy == [
            f"default-src 'none'; style-src 'unsafe-inline'; {''.join(digests)}base-uri 'none'; form-action 'none'"
        ]
        assert len(scripts) == (place == "index.html")
        assert not re.search(r"https?://(?!www\.w3\.org/)|@import|\bon[a-z]+=|javascript:", text)


def test_without_the_script_every_row_is_shown_and_the_form_is_not(files: dict[str, bytes]) -> None:
    index = files["index.html"].decode()
    assert not re.search(r"<tr[^>]*hidden", index)
    assert re.search(r'<form id="filters"[^>]* hidden>', index)


def test_every_field_of_the_form_has_a_label(files: dict[str, bytes]) -> None:
    index = files["index.html"].decode()
    named = re.findall(r'<(?:input|select) id="([^"]+)"', index)
    assert named == re.findall(r'<label for="([^"]+)"', index)
    assert len(named) == 4


def test_a_page_says_first_that_nothing_was_judged_and_why(files: dict[str, bytes]) -> None:
    page = files[f"results/{ID}.html"].decode()
    first = page[page.index("<main>") : page.index("<table")]
    assert "? NOT_RUN" in first
    assert "The bundle was never seen here" in first
    assert "ndcg@10 0.1948 on ml-20m, +2.8% over" in first
    assert "a selection on test" in first
    assert "No bundle was published" in files["results/paper-hstu-ml-1m.html"].decode()


def test_a_page_has_claim_recipe_and_commands(files: dict[str, bytes]) -> None:
    page = files[f"results/{ID}.html"].decode()
    assert "<span>0.1948</span>" in page
    assert "±0.00265: half the gain" in page
    assert "this is a reconstruction under the same id" in page
    assert "prism.variant" in page
    assert f"hstu-preserve reproduce {ID} --output result" in page
    assert "No recipe of this id comes with the program." in files["results/paper-gru4rec-ml-1m.html"].decode()


def test_what_the_pages_tell_to_type_can_be_typed(published: tuple[Published, ...]) -> None:
    commands = {command for one in published for command in list_commands(one)}
    assert commands
    for command in commands:
        require_known(make_command(command), place="site")


def test_numbers_of_two_kinds_of_evaluation_never_stand_in_one_table(files: dict[str, bytes]) -> None:
    tables = files["index.html"].decode().split('class="results"')[1:]
    kinds = [{str(read_catalog()[one].kind) for one in re.findall(r"results/(.*?)\.html", table)} for table in tables]
    assert [len(one) for one in kinds] == [1] * len(kinds)
    assert len(kinds) == len({one.kind for one in read_catalog().values()})


@pytest.mark.parametrize(
    ("outcome", "said"), [(Outcome.NOT_REPRODUCED, "✗ 1 do not hold"), (Outcome.REPRODUCED_NUMERIC, "✓ 1 hold")]
)
def test_what_was_judged_stands_first_on_the_page_and_in_the_row(outcome: Outcome, said: str, tmp_path: Path) -> None:
    one = make_judged(tmp_path, judge(outcome))
    judged = replace(one, reproduction=one.reproduction.model_copy(update={"target": ID}))
    files = compose_site([judged], voice=SILENT)
    page, index = files[f"results/{ID}.html"].decode(), files["index.html"].decode()
    articles = page[page.index("<article") :]
    assert outcome.value in articles[: articles.index("<table")]
    assert articles.index('id="b1"') < articles.index('id="published"')
    assert said in index
    row = next(line for line in index.splitlines() if f"results/{ID}.html" in line)
    assert outcome.value in row
    assert "judged/1.html" not in files


def test_a_bundle_that_is_called_as_a_result_is_not_taken_for_it(tmp_path: Path) -> None:
    one = make_judged(tmp_path, judge(Outcome.REPRODUCED_NUMERIC))
    place = {"target": f"/somewhere/{ID}", "path": Path(f"/somewhere/{ID}")}
    files = compose_site([replace(one, reproduction=one.reproduction.model_copy(update=place))], voice=SILENT)
    assert "? NOT_RUN" in files[f"results/{ID}.html"].decode()
    assert "judged/1.html" in files


def test_a_site_does_not_name_the_folders_of_its_writer(tmp_path: Path) -> None:
    one = make_judged(tmp_path, judge(Outcome.NOT_REPRODUCED))
    place = {"target": "/home/somebody/b.tar.gz", "path": Path("/home/somebody/b.tar.gz")}
    judged = replace(
        one,
        reproduction=one.reproduction.model_copy(update=place),
        record_path=Path("/srv/results/reproduction.json"),
        gaps=("/srv/results/ranks.npz: not the ranks", "/home/somebody/b.tar.gz: damaged"),
        certificates=[
            check.model_copy(update={"path": "/srv/results/x.jsonl", "problem": "/srv/results/x.jsonl: bad"})
            for check in one.certificates
        ],
    )
    page = compose_site([judged], voice=SILENT)["judged/1.html"].decode()
    assert "/home/" not in page
    assert "/srv/" not in page
    assert "ranks.npz: not the ranks" in page
    assert hide_places(judged).reproduction.target == "b.tar.gz"


def fill_published(one: Published, text: str, judged: Judged) -> Published:
    """Return a published result with one text in the place of every other but its id and its metrics' names."""
    listed = one.listed
    entry: CatalogEntry = replace_texts(listed.entry, text)
    claims = [
        claim.model_copy(update={"metric": old.metric})
        for claim, old in zip(entry.claims, listed.entry.claims, strict=True)
    ]
    kept = {"id": listed.entry.id, "claims": tuple(claims)}
    return Published(
        listed=listed.model_copy(update={"entry": entry.model_copy(update=kept)}),
        compared_with=None if one.compared_with is None else replace_texts(one.compared_with, text),
        recipe=(text,),
        is_here=True,
        curve=Curve(label="recorded", epochs=[0, 1], values=[0.1, 0.2]),
        judged=(fill(judged, text),) if one.listed.entry.id == ID else (),
        gaps=(text,),
    )


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_of_the_catalog_makes_an_element(text: str, tmp_path: Path) -> None:
    judged = make_judged(tmp_path, judge(Outcome.REPRODUCED_NUMERIC))
    chosen = [one for one in list_experiments().experiments if one.entry.id in {ID, "hstu-tensorflow-ml-1m"}]
    sites = []
    for filling in ("x", text):
        published = [fill_published(Published(listed=one, compared_with=one.entry), filling, judged) for one in chosen]
        sites.append(render_site(published, [fill(judged, filling)]))
    plain, hostile = sites
    assert hostile.keys() == plain.keys()
    for place, content in hostile.items():
        structure = Structure(content)
        assert structure.elements == Structure(plain[place]).elements, place
        assert all(address.startswith("#") or address.endswith(".html") for address in structure.addresses)
        assert content.count(b"<script") == plain[place].count(b"<script")
        assert all(character.isprintable() or character == "\n" for character in content.decode())


@pytest.mark.parametrize("text", ["../x", "a/b", 'a"b', "a b", "", "a\n", "<b>", "-x"])
def test_an_id_that_is_no_file_name_is_no_entry(text: str) -> None:
    entry = read_catalog()[ID].model_copy(update={"id": text})
    with pytest.raises(ContentError):
        CatalogEntry.from_json(entry.to_json(), source="test")


def test_the_curve_of_an_archive_of_others_is_read(tmp_path: Path) -> None:
    curve = read_legacy_curve(Layout().write(tmp_path / "x.tar.gz"))
    assert curve is not None
    assert (len(curve.epochs), curve.epochs[-1]) == (101, 100)
    assert curve.values[-1] == pytest.approx(0.194812)
    assert read_legacy_curve(Layout(events={}).write(tmp_path / "none" / "x.tar.gz")) is None
    archive = tmp_path / "x.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(ContentError):
        read_legacy_curve(archive)


def test_equal_input_gives_equal_bytes(published: tuple[Published, ...]) -> None:
    assert render_site(published, []) == render_site(published, [])
