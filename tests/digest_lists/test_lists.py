"""Other people's lists of digests: every form that is plainly meant is read, and nothing is guessed."""

import json
import signal
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hstu_preserve.digest_lists.digest_list import MAX_LIST_BYTES
from hstu_preserve.digest_lists.json_lists import parse_json_list
from hstu_preserve.digest_lists.parsing import parse_list
from hstu_preserve.errors import ContentError

A, B = "a" * 32, "b" * 32


def read(text: str) -> list[tuple[str, str | None, int | None]]:
    return [(file.name, file.md5, file.size) for file in parse_list(text.encode(), source="list").files]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{A}  x.tar.gz", ("x.tar.gz", A, None)),
        (f"{A} *./x.tar.gz", ("x.tar.gz", A, None)),
        (f"{A}  ckpts/HSTU-b8_ep100", ("ckpts/HSTU-b8_ep100", A, None)),
        (f"x.tar.gz: {A}", ("x.tar.gz", A, None)),
        (f"x.tar.gz: {A.upper()}", ("x.tar.gz", A, None)),
        (f"* `x.tar.gz` - md5 `{A}`", ("x.tar.gz", A, None)),
        (f"1. **x.tar.gz** (md5: {A}, 1,234 bytes)", ("x.tar.gz", A, 1234)),
        (f"| x.tar.gz | 5 MB | {A} |", ("x.tar.gz", A, None)),
        (f"| [x.tar.gz](https://h/y.tar.gz) | {A} |", ("x.tar.gz", A, None)),
        (f"MD5 (x.tar.gz) = {A}", ("x.tar.gz", A, None)),
        (f"## x.tar.gz ##\n\nSome words.\n- md5: {A}", ("x.tar.gz", A, None)),
        (f"## `iter8`\n- md5: {A}", ("iter8", A, None)),
        (f"| file | size in bytes | md5 |\n|---|---|---|\n| iter8 | 12_345 | {A} |", ("iter8", A, 12345)),
        (f"\ufeff{A}  x.tar.gz\r\n", ("x.tar.gz", A, None)),
    ],
)
def test_every_plain_form_is_read(text: str, expected: tuple[str, str, int | None]) -> None:
    assert read(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        f"x.tar.gz {A} y.tar.gz {B}",
        f"{A} or {B} is x.tar.gz",
        f"nobody knows what {A} is",
        f"one.txt and two.txt have {A}",
        f"x.tar.gz 0{A}",
        f"| {A} |",
    ],
)
def test_a_digest_that_belongs_to_no_one_name_is_not_attributed(text: str) -> None:
    assert read(text) == []


def write_table(name: str) -> str:
    return "| Bundle | MD5 |\n|---|---|\n| " + name.replace("|", "\\|") + f" | {A} |"


FORMS: dict[str, Callable[[str], str]] = {
    "md5sum": lambda name: f"{A}  {name}",
    "md5sum-binary": lambda name: f"{A} *{name}",
    "tabs": lambda name: f"{A}\t{name}",
    "md5 -r": lambda name: f"{A} {name}",
    "md5": lambda name: f"MD5 ({name}) = {A}",
    "openssl dgst": lambda name: f"MD5({name})= {A}",
    "table": write_table,
    "table without titles": lambda name: write_table(name).rpartition("\n")[2],
    "code in a table": lambda name: write_table(f"`{name}`"),
    "link in a table": lambda name: write_table(f"[{name}](https://h/x.tar.gz)"),
    "item": lambda name: f"- {name}: {A}",
    "item with a label": lambda name: f"* **{name}** - md5 `{A}`",
    "code": lambda name: f"1. the archive `{name}` has {A}",
    "heading": lambda name: f"## {name}\n\n- md5: {A}",
    "JSON": lambda name: json.dumps({"files": [{"path": name, "md5": A}]}),
    "JSON keys": lambda name: json.dumps({"md5": {name: A}}),
    "JSON top": lambda name: json.dumps({name: A}),
}
NAMES = (
    "old exp4.tar.gz",
    "old,exp4.tar.gz",
    "old, exp4.tar.gz",
    "old#exp4.tar.gz",
    "old %20exp4.tar.gz",
    "(old) exp4.tar.gz",
    "old (exp4.tar.gz",
    "old@exp4.tar.gz",
    "old=exp4.tar.gz",
    "old:exp4.tar.gz",
    "old & exp4.tar.gz",
    "_exp4.tar.gz",
    "old'exp4.tar.gz",
    "älter exp4.tar.gz",
    "old\u2028exp4.tar.gz",
    "a/old exp4.tar.gz",
)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [*NAMES, "exp4.tar.gz"])
def test_a_name_is_taken_whole_in_every_form(name: str, form: str) -> None:
    assert read(FORMS[form](name)) == [(name, A, None)]


@pytest.mark.parametrize(
    "name", ["old [exp4.tar.gz", "old] exp4.tar.gz", "[exp4.tar.gz", "old|exp4.tar.gz", "old*exp4.tar.gz"]
)
@pytest.mark.parametrize("form", FORMS)
def test_a_part_of_a_name_of_marks_is_never_taken_for_it(name: str, form: str) -> None:
    assert ("exp4.tar.gz", A, None) not in read(FORMS[form](name))


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (f"\\{A}  old\\nexp4.tar.gz", "old\nexp4.tar.gz"),
        (f"\\{A} *old\\\\exp4.tar.gz", "old\\exp4.tar.gz"),
        (f"\\MD5 (old\\rexp4.tar.gz) = {A}", "old\rexp4.tar.gz"),
        (f"{A}  exp-{B}.tar.gz", f"exp-{B}.tar.gz"),
        (f"MD5 (exp4.tar.gz) = {B}) = {A}", f"exp4.tar.gz) = {B}"),
        (f"| old\\_exp4.tar.gz | {A} |", "old_exp4.tar.gz"),
        (f"| Name | File | md5 |\n|---|---|---|\n| exp4.tar.gz, renamed | old exp4.tar.gz | {A} |", "old exp4.tar.gz"),
        (f"## old exp4.tar.gz # ##\n{A}", "old exp4.tar.gz #"),
    ],
)
def test_a_name_is_read_as_its_writer_escapes_it(line: str, name: str) -> None:
    assert read(line) == [(name, A, None)]


@pytest.mark.parametrize(
    "line",
    [
        f"\\{A}  old\\texp4.tar.gz",
        f"#{A}  exp4.tar.gz",
        f"# {A}  exp4.tar.gz",
        f"SHA3-256(exp4.tar.gz)= {A}{A}",
        f"SHA512/256 (exp4.tar.gz) = {A}{A}",
        f"MD4 (exp4.tar.gz) = {A}",
        f"old exp4.tar.gz {A}",
        f"the md5 of exp4.tar.gz is {A}",
        f"- `notes.txt`, of `exp4.tar.gz`: {A}",
        f"| MD5 | Bundle |\n|---|---|\n| {A} | exp4.tar.gz|old |",
        f"# exp4.tar.gz\n- the version before: {A}",
    ],
)
def test_a_line_that_names_no_file_plainly_is_about_none(line: str) -> None:
    assert [name for name, _, _ in read(line) if name.endswith("exp4.tar.gz")] == []
    assert parse_list(line.encode(), source="list").unattributed


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_says_how_a_list_is_read(encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    for text in (f"{A}  älter.tar.gz\r\n", json.dumps({"älter.tar.gz": A})):
        assert [one.name for one in parse_list((mark + text).encode(encoding), source="list").files] == ["älter.tar.gz"]


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (f'{{"x.gz": "{A}"}}', "list.json"),
        (f'{{"x.gz": "{A}"}}', "LIST"),
        (f'\n[{{"path": "x.gz", "md5": "{A}"}}]', "MANIFEST.md"),
        (f"[x.gz](https://h/x.gz): {A}", "MANIFEST.md"),
    ],
)
def test_the_text_decides_the_form(text: str, source: str) -> None:
    assert [one.name for one in parse_list(text.encode(), source=source).files] == ["x.gz"]


def test_what_is_called_json_and_is_none_is_refused() -> None:
    with pytest.raises(ContentError, match="not JSON"):
        parse_list(f"{A}  x.gz".encode(), source="list.json")


def test_what_is_not_attributed_is_named() -> None:
    assert parse_list(f"\nlost {A}".encode(), source="list").unattributed == ["line 2"]


def test_equal_duplicates_become_one_and_contradictions_are_refused() -> None:
    assert read(f"{A}  x.gz\n- x.gz {A} 7 bytes") == [("x.gz", A, 7)]
    with pytest.raises(ContentError, match="line 1 and line 2 contradict each other"):
        read(f"{A}  x.gz\n{B}  x.gz")


@pytest.mark.parametrize("content", [b"\xff\xfa", b"x" * (MAX_LIST_BYTES + 1)], ids=["not-utf8", "too-large"])
def test_what_is_no_list_is_refused(content: bytes) -> None:
    with pytest.raises(ContentError, match="list"):
        parse_list(content, source="list")


@given(
    st.lists(st.sampled_from([A, B, "x.gz", "y/z.txt", "|", "`", "[", "](", ")", "#", "-", ":", " ", "\n", "9 bytes"]))
)
def test_no_text_makes_the_reader_fail_otherwise(words: list[str]) -> None:
    try:
        found = parse_list("".join(words).encode(), source="list")
    except ContentError:
        return
    assert all(file.has_digest and file.name for file in found.files)


def measure(filler: str, *, line_characters: int) -> float:
    """Return the processor's seconds for 9,000 characters in lines of that length; a hang is an error."""
    line = f"# {filler * (line_characters // len(filler))} {A} {filler * 20}\n"
    content = (line * (9_000 // line_characters)).encode()

    def give_up(number: int, frame: object) -> None:
        pytest.fail(f"{filler!r}: a line of {len(line)} characters takes minutes")

    # The processor's own time: what else the machine does neither sets off this alarm nor lengthens a measurement.
    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, 60)
    try:
        return min(measure_once(content) for _ in range(2))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def measure_once(content: bytes) -> float:
    """Read so often that it counts on a clock that ticks every 10 ms."""
    begin, count, taken = time.process_time(), 0, 0.0
    while taken < 0.15:
        parse_list(content, source="list")
        count, taken = count + 1, time.process_time() - begin
    return taken / count


@pytest.mark.parametrize("filler", [" ", "#", "[", "`", "a.", "a+", "/", "1,", "|", "~"])
def test_a_character_of_a_long_line_takes_no_longer_than_one_of_a_short_line(filler: str) -> None:
    """Were it searched anew from each character, one of a line six times as long would take six times as long."""
    assert measure(filler, line_characters=1800) < 3 * measure(filler, line_characters=300)


def find(value: object) -> list[tuple[str, str | None, int | None]]:
    _, found = parse_json_list(json.dumps(value).encode(), source="MANIFEST.json")
    return [(file.name, file.md5 or file.sha256, file.size) for file in found.files]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"files": [{"path": "a/b", "md5": A, "size": 3}]}, ("a/b", A, 3)),
        ({"files": {"a": A}}, ("a", A, None)),
        ({"files": {"a": {"sha256": "c" * 64, "bytes": 4}}}, ("a", "c" * 64, 4)),
        ({"checkpoints": {"ep100": {"file": "ckpts/x_ep100", "checksum": f"md5:{A}"}}}, ("ckpts/x_ep100", A, None)),
        ({"checkpoint": {"path": "x", "digest": A, "epoch": 100}}, ("x", A, None)),
        ({"a/b": A, "note": "flat"}, ("a/b", A, None)),
        ({"deep": {"er": [{"name": "x", "md5sum": A.upper()}]}}, ("x", A, None)),
        ({"md5": {"x_ep100": A}}, ("x_ep100", A, None)),
        ({"files": [{"path": "a", "md5": A, "sha256": None, "size": "3"}]}, ("a", A, None)),
    ],
)
def test_every_plausible_shape_is_found(value: object, expected: tuple[str, str, int | None]) -> None:
    assert find(value) == [expected]


@pytest.mark.parametrize(
    "value", [{"recipe_sha256": "c" * 64}, {"md5": A}, [A], {"checkpoint": A}, {"seed": 42}, "x", 3]
)
def test_a_digest_of_who_knows_what_is_no_file(value: object) -> None:
    assert find(value) == []


def test_json_that_is_not_strict_is_refused() -> None:
    for content in (b'{"a":1,"a":2}', b"{", b'{"a": NaN}'):
        with pytest.raises(ContentError):
            parse_json_list(content, source="MANIFEST.json")
