"""What an archive of any content says can be found again where it is said to stand."""

from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.legacy.contents import LegacyContents
from hstu_preserve.legacy.recorded_run import EvaluatedPoints
from hstu_preserve.legacy.statements import (
    SUBJECT_OF_KEY,
    choose_subject,
    find_statements,
    follow_pointer,
    is_same,
    keep,
    list_statements,
)
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.strict_json import MAX_INTEGER
from hstu_preserve.records.legacy.migration import Basis, Provenance, Statement, Subject

KEYS = st.sampled_from([*SUBJECT_OF_KEY, "NDCG@10", "hr_50", "mrr", "a/b", "~1", "~0", ""]) | st.text(max_size=5)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)
VALUES: st.SearchStrategy[Json] = st.recursive(
    PLAIN, lambda below: st.lists(below, max_size=4) | st.dictionaries(KEYS, below, max_size=4), max_leaves=20
)


def make_contents(manifest: Json) -> LegacyContents:
    return LegacyContents(
        manifest_path="MANIFEST.json",
        manifest=manifest,
        manifest_text=b"",
        chains=(),
        checkpoints=(),
        curves=(),
        evaluated=EvaluatedPoints(),
        gins={},
        problems=(),
    )


@given(VALUES)
def test_every_pointer_leads_back_to_its_value(manifest: Json) -> None:
    for statement in find_statements(make_contents(manifest), name="x"):
        if statement.basis is Basis.MANIFEST_VALUE:
            found = follow_pointer(manifest, statement.place or "")
            assert isinstance(found, bool | int | float | str)
            assert is_same(statement.value, keep(found))
            assert Statement.from_json(statement.to_json(), source="test").to_json() == statement.to_json()


def test_a_pointer_is_escaped_as_rfc_6901_says() -> None:
    manifest: Json = {"~1": {"a/b": {"mrr": 0.5}}}
    (statement,) = [one for one in find_statements(make_contents(manifest), name="x") if one.name == "mrr"]
    assert statement.place == "/~01/a~1b/mrr"
    assert follow_pointer(manifest, statement.place) == 0.5


@given(VALUES)
def test_each_subject_is_known_or_said_to_be_unknown_and_never_both(manifest: Json) -> None:
    statements = list_statements(make_contents(manifest), name="x")
    for subject in Subject:
        provenances = {one.provenance for one in statements if one.subject is subject}
        assert provenances
        assert Provenance.UNKNOWN not in provenances or len(provenances) == 1


def test_a_name_that_could_mean_several_things_means_none() -> None:
    for key in (
        "version",
        "name",
        "id",
        "path",
        "best",
        "value",
        "score",
        "size",
        "ndcg@10 gain",
        "epochs",
        "best_epoch",
    ):
        assert choose_subject(key, 1) is None
    assert choose_subject("ndcg@10", "0.19") is None
    assert choose_subject("ndcg@10", value=True) is None
    assert choose_subject("Git-Commit", "abc") is Subject.CODE
