import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.canonical_json import canonical_dumps, require_canonical
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.strict_json import MAX_DEPTH, MAX_INTEGER, strict_loads

# Between 2**53 and 1e21 RFC 8785 writes a float with the digits of an integer that I-JSON readers do not keep.
FLOATS = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: abs(x) <= MAX_INTEGER or abs(x) >= 1e21)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | FLOATS | TEXTS
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)


@given(value=VALUES)
def test_what_is_dumped_is_loaded_equal_and_canonical(value: Json) -> None:
    content = canonical_dumps(value)
    loaded = strict_loads(content, source="test")
    assert loaded == value
    require_canonical(content, loaded, source="test")


@given(value=VALUES)
def test_strict_json_is_read_as_the_standard_library_reads_it(value: Json) -> None:
    content = json.dumps(value, indent=1).encode()
    assert strict_loads(content, source="test") == json.loads(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"{} {}", "Extra data"),
        (b"{}\x00", "Extra data"),
        (b"{'a': 1}", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"// comment\n1", "not JSON"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'"\xff"', r"not UTF-8 \(byte 1\)"),
        (b'{"a": 1, "a": 1}', "duplicate key 'a'"),
        (b'{"x": {"a": 1, "\\u0061": 2}}', "duplicate key 'a'"),
        (b"NaN", "NaN is not a JSON number"),
        (b"[-Infinity]", "-Infinity is not"),
        (b"1e999", "cannot be kept"),
        (b"-1e999", "cannot be kept"),
        (b"9007199254740992", "outside"),
        (b"-9007199254740992", "outside"),
        (b"9" * 5000, "outside"),
        (b"0." + b"1" * 5000, "cannot be kept"),
        (b'"\\ud800"', "lone surrogate"),
        (b'{"\\udfff": 1}', "lone surrogate"),
        (b'["\\ud800", "x\\udc00"]', "lone surrogate"),
        (b"[" * 100_000, f"nested deeper than {MAX_DEPTH}"),
        (b'{"a":' * 100_000, f"nested deeper than {MAX_DEPTH}"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), f"nested deeper than {MAX_DEPTH}"),
    ],
)
def test_what_two_readers_could_understand_differently_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ContentError, match=f"^place: .*{reason}"):
        strict_loads(content, source="place")


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"9007199254740991", MAX_INTEGER),
        (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        (b'"[[[[{{{{"', "[[[[{{{{"),
        (b'"\\"[\\\\"', '"[\\'),
        (b'"\\"' + b"[" * 100 + b'"', '"' + "[" * 100),
        (b" [1.5e-3] \n", [0.0015]),
    ],
)
def test_what_looks_odd_but_is_unambiguous_is_read(content: bytes, value: Json) -> None:
    assert strict_loads(content, source="test") == value


def test_depth_up_to_the_limit_is_read() -> None:
    value = strict_loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, source="test")
    for _ in range(MAX_DEPTH - 1):
        assert isinstance(value, list)
        value = value[0]
    assert value == []


@pytest.mark.parametrize(
    "content", [b"1.0", b"1e2", b"-0", b'{"b":1,"a":2}', b'{"a": 1}', b"{}\n", b" {}", b'"\\u0061"', b'"\\/"']
)
def test_another_spelling_of_a_value_is_not_canonical(content: bytes) -> None:
    value = strict_loads(content, source="test")
    with pytest.raises(ContentError, match="place: JSON is not in canonical form"):
        require_canonical(content, value, source="place")
