"""The verbs as Python functions."""

import ast
import inspect
import pydoc
import typing
from pathlib import Path

import pytest

import hstu_preserve
from hstu_preserve.errors import UsageError
from hstu_preserve.library.targets import SAMPLE_BUNDLE
from hstu_preserve.primitives.shipped import shipped_directory
from hstu_preserve.records import results
from hstu_preserve.records.failure import Failure
from tools.schemas import PRINTED_RECORDS


def test_every_verb_is_a_documented_function() -> None:
    for name in hstu_preserve.__all__:
        assert getattr(hstu_preserve, name).__doc__


def test_type_checkers_are_told_the_same_names_as_the_table_has() -> None:
    source = ast.parse(inspect.getsource(hstu_preserve))
    (block,) = (one for one in source.body if isinstance(one, ast.If))
    told = {
        alias.asname: str(line.module).removeprefix("hstu_preserve.")
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
        if alias.asname == alias.name
    }
    assert told == hstu_preserve.MODULE_OF
    assert {*told, "PreserveError", "__version__"} == {*hstu_preserve.__all__}


def test_verify_is_the_commands_verb(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tar.gz"
    damaged.write_bytes((shipped_directory("bundles") / SAMPLE_BUNDLE).read_bytes()[:-20_000])
    whole = hstu_preserve.verify("sample", deep=True)
    assert whole
    assert whole.exit_code == 0
    (target,) = whole.targets
    assert target.verification
    assert target.deep
    both = hstu_preserve.verify("sample", damaged)
    assert not both
    assert [bool(one.ok) for one in both.targets] == [True, False]
    assert both.exit_code == 3
    with pytest.raises(UsageError, match="name a target"):
        hstu_preserve.verify()


def test_records_are_one_line_and_a_small_table() -> None:
    for record in (
        hstu_preserve.verify("sample"),
        hstu_preserve.show("sample"),
        hstu_preserve.list_experiments(),
        hstu_preserve.doctor(),
    ):
        assert "\n" not in repr(record)
        assert repr(record).startswith(f"{type(record).__name__}(")
        assert len(repr(record)) < 250
        assert str(record) == repr(record)
        assert len(record._repr_html_()) < 4000  # what a notebook asks for


def test_no_text_of_a_bundle_becomes_markup_in_a_notebook() -> None:
    table = Failure(error="<script>alert(1)</script>&", kind="x", exit_code=1)._repr_html_()
    assert "<script>" not in table
    assert "&lt;script&gt;" in table


def test_help_lists_the_verbs() -> None:
    text = pydoc.plain(pydoc.render_doc(hstu_preserve))
    assert {*dir(hstu_preserve)} == {*hstu_preserve.__all__}
    for name in hstu_preserve.MODULE_OF:
        assert f"{name}(" in text or name in {"Wanted", "AuthorCode"}


def test_every_record_that_a_verb_returns_has_a_schema() -> None:
    returned: set[type] = set()
    for name in set(hstu_preserve.MODULE_OF) - {"AuthorCode", "Retraining", "Wanted", "verify_legacy"}:
        hint = typing.get_type_hints(getattr(hstu_preserve, name), vars(results))["return"]
        returned |= set(typing.get_args(hint) or [hint])
    assert returned <= set(PRINTED_RECORDS.values())


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'publish_everything'"):
        hstu_preserve.publish_everything  # noqa: B018


def test_deliberate_errors_carry_the_exit_code() -> None:
    with pytest.raises(hstu_preserve.PreserveError) as refused:
        hstu_preserve.reproduce("no-such-id")
    assert refused.value.exit_code == 2


def test_every_path_may_be_text() -> None:
    for name in hstu_preserve.MODULE_OF:
        for parameter in inspect.signature(getattr(hstu_preserve, name)).parameters.values():
            assert "Path" not in str(parameter.annotation) or "str" in str(parameter.annotation), (name, parameter)


def test_text_is_taken_as_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hstu_preserve.synthesize_data(seed=1, output="store", num_users=20, num_items=30, num_ratings=300)
    assert hstu_preserve.show_data("store").store.counts.num_users == 20
    hstu_preserve.unpack("sample", output="tree")
    hstu_preserve.pack("tree", output="bundle.tar.gz")
    hstu_preserve.keygen("key")
    hstu_preserve.sign("bundle.tar.gz", key="key")
    assert hstu_preserve.verify("bundle.tar.gz", public_key="key.pub")
    hstu_preserve.export("bundle.tar.gz", output="card.md", format="model-card")
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"store", "tree", "bundle.tar.gz", "bundle.tar.gz.sig", "key", "key.pub", "card.md"}
