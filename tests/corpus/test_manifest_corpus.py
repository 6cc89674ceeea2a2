"""Every manifest of the corpus, in an archive and in a tree whose digests were made to fit: the expected verdict."""

import json
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hstu_preserve.bundle.archive import pack
from hstu_preserve.bundle.extraction import unpack
from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.errors import ContentError, VerificationError
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.records.contents import FindingClass
from hstu_preserve.records.manifest import read_manifest
from hstu_preserve.records.verification import Verification
from tests.bundle.archives import compress, join, read_pieces
from tests.corpus.archives.generators import assemble
from tests.corpus.cases import Case, read_cases
from tests.corpus.manifests.generators import GENERATORS
from tests.corpus.test_archive_corpus import snapshot
from tests.factories import make_sealed_run
from tests.forked import run_program

CASES = read_cases("manifests")
MAX_SECONDS = 20.0


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("honest") / "run"
    make_sealed_run(root)
    return root


def generate(case: Case, honest: Path) -> bytes:
    return GENERATORS[case.generator]((honest / "MANIFEST.json").read_bytes(), **case.arguments)


def make_checksums(manifest: bytes, honest: Path) -> bytes:
    """Return the SHA256SUMS that fit the manifest where it can be read, and the honest ones where it cannot."""
    try:
        files = json.loads(manifest)["contents"]["files"]
        lines = [f"{file['sha256']}  {file['path']}\n" for file in files]
    except (ValueError, KeyError, TypeError, RecursionError):
        return (honest / "SHA256SUMS").read_bytes()
    text = f"{sha256_of_bytes(manifest)}  MANIFEST.json\n" + "".join(lines)
    return text.encode("utf-8", "surrogatepass")


def make_archive(manifest: bytes, honest: Path) -> bytes:
    """Return the bundle with this manifest in front of the honest contents."""
    *pieces, checksums = assemble(manifest, read_pieces(honest)[1:-1])
    return compress(join([*pieces, checksums.with_content(make_checksums(manifest, honest))]))


def make_tree(manifest: bytes, honest: Path, root: Path) -> Path:
    shutil.copytree(honest, root)
    (root / "MANIFEST.json").write_bytes(manifest)
    (root / "SHA256SUMS").write_bytes(make_checksums(manifest, honest))
    return root


def words(verification: Verification) -> set[str]:
    return {finding.finding_class.value for finding in verification.findings}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_manifest_gets_its_verdict_in_an_archive_and_in_a_tree(case: Case, honest: Path, tmp_path: Path) -> None:
    manifest = generate(case, honest)
    bundle = tmp_path / "bundle.tar.gz"
    bundle.write_bytes(make_archive(manifest, honest))
    tree = make_tree(manifest, honest, tmp_path / "tree")
    before = snapshot(tmp_path)
    begin = time.process_time()
    for source in (bundle, tree):
        verification = verify_bundle(source)
        assert verification.ok == (case.verdict == "accepted"), verification.describe()
        assert case.matches(words(verification)), verification.describe()
        unreadable = FindingClass.BAD_MANIFEST in words(verification) and verification.identity is None
        assert unreadable == (verification.manifest is None)
    assert time.process_time() - begin < 2 * MAX_SECONDS
    if case.verdict == "refused":
        with pytest.raises(VerificationError):
            unpack(bundle, destination=tmp_path / "out")
        with pytest.raises(ContentError):
            pack(tree, output=tmp_path / "again.tar.gz")
        assert snapshot(tmp_path) == before


@pytest.mark.parametrize("class_name", sorted({case.class_name for case in CASES} - {"accepted"}))
def test_each_class_of_manifest_exits_3_without_a_traceback(class_name: str, honest: Path, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.class_name == class_name)
    manifest = generate(case, honest)
    (tmp_path / "bundle.tar.gz").write_bytes(make_archive(manifest, honest))
    make_tree(manifest, honest, tmp_path / "tree")
    before = snapshot(tmp_path)
    for arguments in (["verify", "bundle.tar.gz", "tree"], ["unpack", "bundle.tar.gz"]):
        result = run_program(*arguments, cwd=tmp_path)
        assert result.returncode == 3, result.stderr
        assert b"Traceback" not in result.stderr
    assert snapshot(tmp_path) == before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(content=st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=200)
def test_any_bytes_and_any_json_as_manifest_are_a_content_error(content: bytes) -> None:
    with pytest.raises(ContentError, match=r"^x: "):
        read_manifest(content, source="x")


@given(data=st.data())
@settings(max_examples=150)
def test_any_value_in_any_place_is_a_manifest_or_a_content_error(honest: Path, data: st.DataObject) -> None:
    tree = json.loads((honest / "MANIFEST.json").read_bytes())
    place = tree
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    value = data.draw(JSON)
    place[key] = value
    try:
        content = canonical_dumps(tree)
    except ValueError:  # NaN and the like, which no canonical writer writes
        content = json.dumps(tree).encode()
    try:
        manifest = read_manifest(content, source="x")
    except ContentError:
        return
    assert json.loads(manifest.to_json()) == json.loads(content)


@given(data=st.data())
@settings(max_examples=150)
def test_a_manifest_with_changed_bytes_is_a_manifest_or_a_content_error(honest: Path, data: st.DataObject) -> None:
    content = bytearray((honest / "MANIFEST.json").read_bytes())
    start = data.draw(st.integers(0, len(content)))
    content[start : start + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    try:
        read_manifest(bytes(content), source="x")
    except ContentError as error:
        if not str(error).startswith("x: "):
            raise
