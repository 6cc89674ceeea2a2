"""Text that people hand in, with or without a byte order mark."""

import pytest

from hstu_preserve.primitives.text import NotUtf8Error, decode_utf8, drop_mark


@pytest.mark.parametrize("text", ["", "a", "ä\n", "\ufeff", "a\ufeffb"])
def test_utf8_is_read_with_and_without_a_mark(text: str) -> None:
    assert decode_utf8(text.encode("utf-8-sig")) == text
    assert drop_mark(text.encode("utf-8-sig")) == text.encode()
    if not text.startswith("\ufeff"):
        assert decode_utf8(text.encode()) == text


@pytest.mark.parametrize(
    ("encoding", "told"), [("utf-16", "UTF-16"), ("utf-32", "UTF-32"), ("utf-16-le", None), ("latin-1", None)]
)
def test_another_encoding_is_told_with_its_line(encoding: str, told: str | None) -> None:
    with pytest.raises(NotUtf8Error) as caught:
        decode_utf8("a\nä ö\n".encode(encoding))
    assert str(caught.value) == (f"not UTF-8 but {told}; save the file as UTF-8" if told else "not UTF-8")
    assert caught.value.line == (1 if told else 2)
