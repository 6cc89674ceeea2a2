"""A model card says what is claimed and how to check it, and nothing that a bundle says becomes markup."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCardData
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hstu_preserve.bundle.verification import read_stored_manifest
from hstu_preserve.cli.main import main
from hstu_preserve.library.catalog import read_catalog
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.report.markdown import escape
from hstu_preserve.report.model_card import DescribedBundle, is_own_card, write_model_card
from hstu_preserve.verbs.migrate import migrate
from tests.corpus.legacy.generators import build, read_cases
from tests.factories import TINY_RUN, make_manifest, make_recipe, make_run_record, write_files

HOSTILE = (
    "</td><script>alert(1)</script>",
    "| x | y |\n|---|---|",
    "# heading\n\n---\nlicense: evil\n---",
    "[click](javascript:alert(1)) ![i](http://x/y.png) <http://x>",
    "```\nrm -rf\n```\n~~~",
    "`code` **bold** _it_ ~~no~~ \\ &lt; &#60;img src=x onerror=alert(1)>",
    "<!-- comment --> <details> <style>body{}</style>",
    "\u202ereversed\u202c \x1b[31mred \x00 \r\n    indented",
    "$$\\href{javascript:alert(1)}{x}$$ @somebody",
    "",
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    write_files(root, TINY_RUN)
    return root


def make_described(tree: Path, *, name: str = "x.tar.gz", **changes: Json) -> DescribedBundle:
    return DescribedBundle(
        name=name,
        identity="1" * 64,
        record=make_manifest(tree, run=make_run_record(**changes)),
        sha256="2" * 64,
        size_bytes=12345,
        is_signed=False,
        entry=None,
    )


def make_bundle_settings(**changes: Json) -> Json:
    return {"id": "tiny", "title": "Tiny", "licence": "MIT", "citation": "nobody", "include_data": False, **changes}


def make_data(**changes: Json) -> Json:
    run = make_run_record().to_json_value()
    assert isinstance(run, dict)
    assert isinstance(run["data"], dict)
    return run["data"] | changes


def describe(text: str) -> tuple[list[str], str]:
    """Return the types of all tokens that are markup, and the front matter."""
    _, front, body = text.split("---\n", maxsplit=2)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").parse(body)
    every = [one for token in tokens for one in [token, *(token.children or [])]]
    markup = [one for one in every if one.type not in {"text", "text_special"}]
    return [f"{one.type} {one.tag} {one.attrs.get('href', '')}" for one in markup], front


def test_a_card_says_claims_identity_file_and_how_to_check(tree: Path) -> None:
    text = write_model_card([make_described(tree)], repository="me/mine")
    claim = "| ndcg@10 | ndcg@10 | 0.2500 | full, window filtered | 1 | last epoch, fixed before the run | upstream |"
    assert claim in text
    for said in (f"sha256:{'1' * 64}", f"sha256:{'2' * 64}", "12,345 bytes", "licence: MIT", "    nobody"):
        assert said in text
    commands = "download x.tar.gz --repo me/mine", "verify x.tar.gz", "reproduce x.tar.gz --data STORE"
    assert "\n".join(f"hstu-preserve {command}" for command in commands) in text
    assert "intact, not authentic" in text


def test_the_front_matter_is_yaml_with_the_licence_that_all_share(tree: Path) -> None:
    def read(*licences: str) -> str:
        bundles = [make_described(tree, bundle=make_bundle_settings(licence=one)) for one in licences]
        _, front = describe(write_model_card(bundles, repository=None))
        assert re.match(r"license: \S+\ntags:\n(- [a-z-]+\n)+model-index:\n", front)
        return front.partition("\n")[0].removeprefix("license: ")

    assert read("MIT") == "mit"
    assert read("Apache-2.0", "apache-2.0") == "apache-2.0"
    assert read("MIT", "Apache-2.0") == "other"
    assert read("mine: all mine\nevil: yes") == "other"


def test_the_hub_s_own_class_reads_the_claimed_numbers_and_which_bundle_they_are_of(tree: Path) -> None:
    bundles = [
        make_described(tree, name="a.tar.gz"),
        make_described(tree, name="b.tar.gz", data=make_data(name="ml-1m")),
    ]
    _, front = describe(write_model_card(bundles, repository="me/mine"))
    value = yaml.safe_load(front)
    assert [model["name"] for model in value["model-index"]] == ["a.tar.gz", "b.tar.gz"]
    (result,) = value["model-index"][1]["results"]
    link = "https://huggingface.co/me/mine/blob/main/b.tar.gz"
    assert result["metrics"][0]["args"] == {"epoch": 1, "selection": "final-epoch"}
    assert result["source"] == {"url": link, "name": f"bundle sha256:{'1' * 64}"}
    card = ModelCardData(**value)
    assert card.eval_results is not None
    found = [(one.dataset_type, one.metric_type, one.metric_value) for one in card.eval_results]
    assert found == [("other", "ndcg@10", 0.25), ("ml-1m", "ndcg@10", 0.25)]
    _, front = describe(write_model_card(bundles[:1], repository=None))
    (result,) = yaml.safe_load(front)["model-index"][0]["results"]
    assert result["source"]["url"] == f"urn:sha256:{'1' * 64}"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_a_bundle_says_never_becomes_markup(hostile: str, tree: Path) -> None:
    def make(text: str) -> str:
        policy = make_run_record().policies[0].model_copy(update={"name": text, "margin_derivation": text})
        run = make_run_record(
            bundle=make_bundle_settings(title=text, licence=text, citation=text),
            data=make_data(name=text, source=text, tie_policy=text, redistributable=False),
            policies=[policy.to_json_value()],
        )
        bundle = make_described(tree)
        return write_model_card([replace(bundle, record=make_manifest(tree, run=run))] * 2, repository=None)

    assert describe(make(hostile)) == describe(make("plain"))
    assert all(c.isprintable() or c == "\n" for c in make(hostile))


@given(st.text())
def test_escaped_text_is_one_run_of_text_that_reads_as_it_was(text: str) -> None:
    escaped = escape(text)
    (_, inline, _) = MarkdownIt("commonmark").enable("table").parse(f"x: {escaped}")
    read = "".join(child.content for child in inline.children or [])
    assert {child.type for child in inline.children or []} <= {"text", "text_special"}
    if text.isprintable() and text == text.strip() and text:
        assert read == f"x: {text}"


def test_a_card_is_the_same_in_whatever_order(tree: Path) -> None:
    bundles = [make_described(tree, name=name) for name in ("b.tar.gz", "a.tar.gz", "c.tar.gz")]
    texts = {write_model_card(order, repository="me/mine", others=["z", "y"]) for order in (bundles, bundles[::-1])}
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("component", "words"), [("prism", "PRISM"), ("time_decay", "time decay"), ("pop_debias", "popularity debiasing")]
)
def test_a_reconstruction_is_said_to_be_one(component: str, words: str, tree: Path) -> None:
    settings: dict[str, Json] = {"mode": "ips"} if component == "pop_debias" else {}
    recipe = make_recipe(**{component: settings})
    text = write_model_card(
        [make_described(tree, recipe=recipe.to_json_value(), recipe_sha256=recipe.digest())], repository=None
    )
    assert f"**Reconstruction.** {words}: never defined in public." in text


def test_an_id_of_the_archive_is_a_reconstruction_even_without_a_component(tree: Path) -> None:
    entry = read_catalog()["iter8-exp4-SOTA"]
    bundle = make_described(tree)
    assert "**Reconstruction.**" not in write_model_card([bundle], repository=None)
    assert "**Reconstruction.**" in write_model_card([replace(bundle, entry=entry)], repository=None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "ml-20m", "redistributable": False}, "data prepare ml-20m --from ml-20m.zip --tie-policy stable"),
        ({"name": "ml-20m", "redistributable": False, "tie_policy": "imported"}, "hstu-preserve data import"),
        ({"name": "ours", "redistributable": False}, "prepare a store with this fingerprint"),
    ],
)
def test_data_that_may_not_travel_has_a_notice(changes: dict[str, Json], says: str, tree: Path) -> None:
    text = write_model_card([make_described(tree, data=make_data(**changes))], repository=None)
    assert "**Data notice.**" in text
    assert says in text
    assert f"data fingerprint: `{'0' * 64}`" in text


def test_data_that_may_travel_needs_no_notice(tree: Path) -> None:
    assert "Data notice" not in write_model_card([make_described(tree)], repository=None)


def test_a_migrated_bundle_claims_nothing(tmp_path: Path) -> None:
    bundle = tmp_path / "old.migrated.tar.gz"
    migrate(build(read_cases()[0], folder=tmp_path), output=bundle)
    stored = read_stored_manifest(bundle)
    described = DescribedBundle(
        name=bundle.name,
        identity=stored.identity,
        record=stored.record,
        sha256=None,
        size_bytes=None,
        is_signed=True,
        entry=None,
    )
    text = write_model_card([described, replace(described, name="again.tar.gz")], repository="me/mine")
    assert "**No claim.**" in text
    assert "nothing: reported values only" in text
    assert "hstu-preserve reproduce" not in text
    assert "license: other" in text


def test_only_a_card_of_ours_or_an_empty_one_may_be_replaced(tree: Path) -> None:
    own = write_model_card([make_described(tree)], repository=None)
    for text in (own, own.replace("\n", "\r\n"), "", "  \n", "---\nlicense: mit\n---\n", "---\nlicense: mit\n---"):
        assert is_own_card(text)
    for text in ("# Mine", "---\nlicense: mit\n---\n# Mine", "---\nlicense: mit\n", "I like hstu-preserve"):
        assert not is_own_card(text)


@pytest.mark.parametrize(
    "more",
    ["base_model: x/y", "extra_gated_prompt: Ask me first", "license_name: my-own", "- mit", " "],
)
def test_a_card_whose_front_matter_says_more_than_the_licence_is_kept(more: str) -> None:
    assert is_own_card("---\nlicense: cc-by-nc-4.0\n---\n")
    assert not is_own_card(f"---\nlicense: cc-by-nc-4.0\n{more}\n---\n")
    assert not is_own_card(f"---\n{more}\n---\n")
    assert not is_own_card(f"---\nlicense: cc-by-nc-4.0 # {more}\n---\n")


def test_export_writes_the_card_of_a_verified_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = tmp_path / "card.md"
    assert main(["export", "sample", "--format", "model-card", "--output", str(card)]) == 0
    assert "## sample-hstu-synthetic.tar.gz" in card.read_text()
    assert main(["unpack", "sample", "--output", str(tmp_path / "tree")]) == 0
    assert main(["export", str(tmp_path / "tree"), "--format", "model-card", "--output", str(tmp_path / "b.md")]) == 0
    assert "* file:" not in (tmp_path / "b.md").read_text()
    (tmp_path / "tree" / "run.json").write_text("{}")
    capsys.readouterr()
    assert main(["export", str(tmp_path / "tree"), "--format", "model-card", "--output", str(tmp_path / "c.md")]) == 3
    assert "run.json: changed" in capsys.readouterr().err
    assert not (tmp_path / "c.md").exists()
