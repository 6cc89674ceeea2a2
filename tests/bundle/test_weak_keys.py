"""A public key under which anybody can sign is refused, however it is spelled."""

from itertools import product
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hstu_preserve.cli.main import main
from hstu_preserve.errors import ContentError
from hstu_preserve.signing.signature import (
    FIELD_PRIME,
    SMALL_ORDER_Y,
    encode_public_key,
    generate_key,
    read_public_key,
)
from hstu_preserve.verbs.unpack import unpack

D = -121665 * pow(121666, -1, FIELD_PRIME) % FIELD_PRIME
SIGN = 1 << 255
Point = tuple[int, int]
CANONICAL = sorted(y | sign for y, sign in product(SMALL_ORDER_Y, (0, SIGN)))
OTHER_SPELLINGS = sorted(
    y + FIELD_PRIME | sign for y, sign in product(SMALL_ORDER_Y, (0, SIGN)) if y + FIELD_PRIME < SIGN
)
"""The same points with a y that was not reduced: 0 and 1 have one each, with either sign."""


def write_key(path: Path, encoding: int) -> Path:
    path.write_bytes(encode_public_key(Ed25519PublicKey.from_public_bytes(encoding.to_bytes(32, "little"))))
    return path


def add(one: Point, other: Point) -> Point:
    """Add two points of edwards25519, by the formula of RFC 8032 in affine coordinates."""
    (x1, y1), (x2, y2) = one, other
    product_ = D * x1 * x2 * y1 * y2 % FIELD_PRIME
    x = (x1 * y2 + x2 * y1) * pow(1 + product_, -1, FIELD_PRIME)
    y = (y1 * y2 + x1 * x2) * pow(1 - product_, -1, FIELD_PRIME)
    return x % FIELD_PRIME, y % FIELD_PRIME


def find_x(y: int) -> int:
    square = (y * y - 1) * pow(D * y * y + 1, -1, FIELD_PRIME) % FIELD_PRIME
    root = pow(square, (FIELD_PRIME + 3) // 8, FIELD_PRIME)
    if root * root % FIELD_PRIME != square:
        root = root * pow(2, (FIELD_PRIME - 1) // 4, FIELD_PRIME) % FIELD_PRIME
    assert root * root % FIELD_PRIME == square
    return root


@pytest.mark.parametrize("y", sorted(SMALL_ORDER_Y))
def test_the_listed_points_have_an_order_that_divides_8(y: int) -> None:
    point = (find_x(y), y)
    for _ in range(3):
        point = add(point, point)
    assert point == (0, 1)


@pytest.mark.parametrize("encoding", [*CANONICAL, *OTHER_SPELLINGS, FIELD_PRIME + 3, SIGN - 1, 2 * SIGN - 1], ids=hex)
def test_a_weak_or_second_spelling_of_a_key_is_refused(encoding: int, tmp_path: Path) -> None:
    path = write_key(tmp_path / "key.pub", encoding)
    with pytest.raises(ContentError, match=r"key\.pub: .*(small order|canonical)"):
        read_public_key(path)


def test_ordinary_keys_are_read(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"{number}.pub"
        path.write_bytes(encode_public_key(generate_key().public_key()))
        read_public_key(path)


@pytest.mark.parametrize("verb", ["verify", "reproduce"])
def test_the_command_exits_3_before_anything_is_read(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unpack("sample", output=tmp_path / "tree")
    key = write_key(tmp_path / "key.pub", 1)
    assert main([verb, str(tmp_path / "tree"), "--public-key", str(key)]) == 3
    assert "small order" in "".join(capsys.readouterr())
