"""What a file is that is not what its name says: its kind and what helps, by its first bytes."""

import bz2
import io
import lzma
import tarfile
import zipfile

import pytest

from hstu_preserve.primitives.file_kinds import BEGINNING_BYTES, describe_beginning, is_text


def make_tar(form: int) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as tar:
        tar.addfile(tarfile.TarInfo("a/ä.txt"))
    return raw.getvalue()


def make_old_tar() -> bytes:
    """Return a tar from before POSIX, whose headers have no magic."""
    block = bytearray(make_tar(tarfile.USTAR_FORMAT)[:512])
    block[257:512] = bytes(255)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def make_zip() -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("config\\exp.gin", "x")
    return raw.getvalue()


KINDS = {
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n": "a Git LFS pointer",
    b"\n<!DOCTYPE html><html>": "an HTML page",
    b"<HTML><head>": "an HTML page",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code>': "an XML text",
    b"": "nothing",
    bytes(700): "zeros",
    make_tar(tarfile.USTAR_FORMAT): "a tar that is not compressed",
    make_tar(tarfile.GNU_FORMAT): "a tar that is not compressed",
    make_old_tar(): "a tar that is not compressed",
    make_zip(): "a zip file",
    lzma.compress(b"x"): "an xz file",
    bz2.compress(b"x"): "a bzip2 file",
    b"\x28\xb5\x2f\xfd\x04": "a zstd file",
    b'{"error":"Entry not found"}': 'a text that begins with \'{"error"',
    "Zugriff verwehrt – bitte anmelden".encode(): "a text that begins with 'Zugriff",
    b"\x00\x01\x02\x03rest": "bytes of no kind that is known here (they begin with 00010203)",
}


@pytest.mark.parametrize("content", KINDS, ids=KINDS.values())
def test_a_kind_is_told_by_its_beginning(content: bytes) -> None:
    assert describe_beginning(content[:BEGINNING_BYTES]).startswith(KINDS[content])


def test_a_text_makes_no_control_sequence_and_no_long_line() -> None:
    assert describe_beginning(b"\x1b[2J" + b"x" * 500).startswith("bytes of no kind")
    assert len(describe_beginning("\u202e".encode() + b"x" * 500)) < 200


@pytest.mark.parametrize("cut", range(1, 4))
def test_a_character_that_is_cut_in_two_is_still_text(cut: int) -> None:
    content = ("x" * 50 + "😀").encode()
    assert is_text(content[: 50 + cut])
    assert not is_text(b"x\xffxxxxx")
