"""`-` as a target and as a list of digests: standard input, read once and kept as far as it is needed."""

import hashlib
import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from hstu_preserve.digest_lists.digest_list import MAX_LIST_BYTES
from hstu_preserve.errors import ContentError, UsageError, VerificationError
from hstu_preserve.library.standard_input import KeptInput, Reading, choose_list
from hstu_preserve.library.targets import SAMPLE_BUNDLE
from hstu_preserve.primitives.shipped import shipped_directory
from hstu_preserve.records.results import ShownBundle
from hstu_preserve.verbs.diff import diff
from hstu_preserve.verbs.evaluate import evaluate
from hstu_preserve.verbs.export import export
from hstu_preserve.verbs.show import show
from hstu_preserve.verbs.unpack import unpack
from hstu_preserve.verbs.verify import verify
from tests.corpus.legacy.generators import Case, build
from tests.legacy.migrating import migrate_archive as migrate

SAMPLE = (shipped_directory("bundles") / SAMPLE_BUNDLE).read_bytes()


def give(content: bytes, monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    stream = io.BytesIO(content)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=stream))
    return stream


def test_a_bundle_is_shown_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = give(SAMPLE + b"\0" * 10_000_000, monkeypatch)
    shown, expected = show("-"), show("sample")
    assert isinstance(shown, ShownBundle)
    assert isinstance(expected, ShownBundle)
    assert (shown.path, shown.identity, shown.results) == ("-", expected.identity, expected.results)
    assert stream.tell() < len(SAMPLE) + 10_000_000


@pytest.mark.parametrize("content", [b"", b"no bundle", SAMPLE[:1000]], ids=["nothing", "text", "cut"])
def test_what_is_no_bundle_is_refused(content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    give(content, monkeypatch)
    with pytest.raises(ContentError):
        show("-")
    give(content, monkeypatch)
    with pytest.raises(VerificationError):
        unpack("-", output=tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_unpacked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    give(SAMPLE, monkeypatch)
    result = unpack("-", output=tmp_path / "tree")
    assert (result.members, (tmp_path / "tree" / "MANIFEST.json").is_file()) == (21, True)
    with pytest.raises(UsageError, match="--output"):
        unpack("-")
    give(SAMPLE, monkeypatch)
    with pytest.raises(VerificationError, match="another bundle"):
        unpack("-", output=tmp_path / "other", identity="0" * 64)
    assert not (tmp_path / "other").exists()


def test_a_list_of_digests_vouches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    archive = build(Case(id="x", kind="", canonical="", outcome=""), folder=tmp_path)
    md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    for digest, exit_code in ((md5, 0), ("0" * 32, 3)):
        give(f"{digest}  {archive.name}\n".encode(), monkeypatch)
        (target,) = verify(str(archive), md5_list=Path("-")).targets
        assert target.exit_code == exit_code
    give(f"{md5}  {archive.name}\n".encode(), monkeypatch)
    assert migrate(archive, md5_list=Path("-"), output=tmp_path / "new.tar.gz").source.md5 == md5


@pytest.mark.parametrize("content", [b"", b"no digest\n", b"#" * (MAX_LIST_BYTES + 1)], ids=["empty", "none", "large"])
def test_a_list_that_is_none_is_refused(content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    archive = build(Case(id="x", kind="", canonical="", outcome=""), folder=tmp_path)
    give(content, monkeypatch)
    with pytest.raises(ContentError, match=r"^-: "):
        migrate(archive, md5_list=Path("-"), output=tmp_path / "new.tar.gz")
    with pytest.raises(UsageError, match="not both"):
        verify("-", md5_list=Path("-"))


def test_other_verbs_say_which_ones_read_standard_input(tmp_path: Path) -> None:
    for act in (
        lambda: diff("-", "sample"),
        lambda: evaluate("-"),
        lambda: export("-", output=tmp_path / "card.md", format="model-card"),
        lambda: migrate("-", output=tmp_path / "new.tar.gz"),
    ):
        with pytest.raises(UsageError, match="taken by verify, show and unpack"):
            act()


def test_what_was_read_is_read_again_and_no_more_than_needed() -> None:
    content = hashlib.shake_128(b"x").digest(5_000_000)
    stream = io.BytesIO(content)
    kept = KeptInput(stream)
    assert Reading(kept).read(10) == content[:10]
    assert stream.tell() <= 2**20
    assert io.BufferedReader(Reading(kept)).read() == content
    assert io.BufferedReader(Reading(kept)).read() == content


def test_a_list_in_a_file_is_that_file() -> None:
    assert choose_list("list.md") == Path("list.md")
    assert choose_list(None) is None
