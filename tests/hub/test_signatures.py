"""Signature and certificate that lie beside a published bundle travel with it, and decide where a key is named."""

import shutil
from pathlib import Path

import pytest

from hstu_preserve.library.sources import find_here
from hstu_preserve.verbs.keygen import keygen
from hstu_preserve.verbs.signing import sign
from tests.certificates.certified import certify
from tests.hub.conftest import Program
from tests.hub.faults import ALWAYS, Fault
from tests.hub.local_hub import LocalHub

NAME = "native.tar.gz"
CERTIFICATE = f"{NAME}.intoto.jsonl"
ADDRESS = f"hf://owner/experiments/{NAME}"
OFFLINE = {"HF_HUB_OFFLINE": "1"}


@pytest.fixture
def keys(hub: LocalHub, tmp_path: Path) -> dict[str, str]:
    """Publish a signed bundle, one that is not, and one that a reviewer certified; return the public keys."""
    bundle = tmp_path / NAME
    shutil.copy(find_here("sample").path, bundle)
    author, somebody = keygen(tmp_path / "author"), keygen(tmp_path / "somebody")
    signature = sign(bundle, key=author.path)
    files = {NAME: bundle.read_bytes(), f"{NAME}.sig": signature.path.read_bytes()}
    hub.add("owner/experiments", files)
    hub.add("owner/unsigned", {NAME: files[NAME]})
    reviewer = keygen(tmp_path / "reviewer")
    hub.add("owner/reviewed", {NAME: files[NAME], CERTIFICATE: certify(bundle, reviewer.path).read_bytes()})
    return {one.path.name: str(one.public_path) for one in (author, somebody, reviewer)}


REVIEWED = f"hf://owner/reviewed/{NAME}"


def test_a_published_certificate_is_read_and_trusted_by_nobody_who_names_no_key(
    hub: LocalHub, keys: dict[str, str], program: Program
) -> None:
    there = program.run("verify", REVIEWED)
    assert there.returncode == 0
    assert f"  unchecked certificate hf://owner/reviewed/{CERTIFICATE}: 2 statements about sha256:" in there.stdout
    assert "; nobody that you named signed it" in there.stdout
    assert "not checked: name the key with --public-key" in there.stdout
    assert program.files == {}
    refused = Fault(pattern=f"(HEAD|GET) .*{CERTIFICATE}", status=403, times=ALWAYS)
    hub.spoil(refused)
    without = program.run("verify", REVIEWED)
    assert (without.returncode, "certificate" in without.stdout) == (0, False)
    assert "going on without it" in without.stderr
    assert program.run("verify", REVIEWED, "--public-key", keys["reviewer"]).returncode == 4
    refused.times = 0
    checked = program.run("verify", REVIEWED, "--public-key", keys["reviewer"])
    assert checked.returncode == 0
    assert "attests that the bundle passed" in checked.stdout
    strange = program.run("verify", REVIEWED, "--public-key", keys["somebody"])
    assert strange.returncode == 3
    assert "nobody signed this" in strange.stdout
    assert "; nobody that you named signed it" in strange.stdout
    assert "by another key" in strange.stdout
    assert program.run("verify", REVIEWED, "--public-key", keys["reviewer"], **OFFLINE).returncode == 0


def test_a_certificate_that_is_none_is_refused_on_the_hub(
    hub: LocalHub, keys: dict[str, str], program: Program
) -> None:
    hub.add("owner/reviewed", {CERTIFICATE: b"[]\n"})
    refused = program.run("verify", REVIEWED)
    assert refused.returncode == 3
    assert f"FAILED certificate: hf://owner/reviewed/{CERTIFICATE}: line 1" in refused.stdout


def test_the_certificate_is_downloaded_with_the_bundle_and_never_over_ones_own(
    hub: LocalHub, keys: dict[str, str], program: Program
) -> None:
    told = program.run("download", REVIEWED)
    assert told.returncode == 0
    assert sorted(program.files) == [NAME, CERTIFICATE]
    assert "a certificate, whose signatures this did not check: nobody that you named signed it" in told.stdout
    assert program.run("verify", NAME, "--public-key", keys["reviewer"], **OFFLINE).returncode == 0
    place = program.folder / CERTIFICATE
    content = place.read_bytes()
    place.unlink()  # a download may not be written
    place.write_bytes(content * 2)
    again = program.run("download", REVIEWED)
    assert again.returncode == 0
    assert f"note {CERTIFICATE}: exists and is another file; name another folder" in again.stdout
    assert place.read_bytes().count(b"\n") == 4


def test_a_certificate_that_is_too_large_stays_on_the_hub(
    hub: LocalHub, keys: dict[str, str], program: Program
) -> None:
    hub.add("owner/reviewed", {CERTIFICATE: bytes(16 * 2**20 + 1)})
    told = program.run("download", REVIEWED)
    assert told.returncode == 0
    assert sorted(program.files) == [NAME]
    assert f"note owner/reviewed/{CERTIFICATE}: 16777217 bytes, and such a file has 16777216 at most" in told.stdout
    assert program.run("verify", REVIEWED, "--public-key", keys["reviewer"]).returncode == 3
    assert hub.count(f"GET .*{CERTIFICATE}") == 0


@pytest.mark.parametrize(("key", "exit_code"), [("author", 0), ("somebody", 3)])
def test_a_published_bundle_is_verified_with_the_signature_beside_it(
    key: str, exit_code: int, keys: dict[str, str], program: Program
) -> None:
    result = program.run("verify", ADDRESS, "--public-key", keys[key])
    assert result.returncode == exit_code, result.stdout
    assert "fetching" in result.stderr
    assert ("bytes and signer: signed by key" in result.stdout) == (exit_code == 0)


def test_a_bundle_that_nobody_signed_fails_where_a_key_is_named(keys: dict[str, str], program: Program) -> None:
    result = program.run("verify", f"hf://owner/unsigned/{NAME}", "--public-key", keys["author"])
    assert result.returncode == 3
    assert "nobody signed this" in result.stdout


@pytest.mark.parametrize("verb", ["verify", "reproduce"])
def test_a_signature_that_cannot_be_asked_for_is_not_said_to_be_missing(
    verb: str, hub: LocalHub, keys: dict[str, str], program: Program
) -> None:
    refused = Fault(pattern="HEAD .*sig", status=403, times=ALWAYS)
    hub.spoil(refused)
    result = program.run(verb, ADDRESS, "--public-key", keys["author"])
    assert result.returncode == 4
    assert f"{NAME}.sig: the server answers 403" in result.stdout + result.stderr
    assert "nobody signed" not in result.stdout
    assert program.run("unpack", ADDRESS, "--output", "tree").returncode == 0, "who needs no signature goes on"
    offline = program.run("verify", ADDRESS, "--public-key", keys["author"], **OFFLINE)
    assert offline.returncode == 4
    refused.times = 0
    assert program.run("verify", ADDRESS, "--public-key", keys["author"]).returncode == 0
    assert program.run("verify", ADDRESS, "--public-key", keys["author"], **OFFLINE).returncode == 0


def test_a_signature_that_came_later_is_found(hub: LocalHub, keys: dict[str, str], program: Program) -> None:
    address = f"hf://owner/unsigned/{NAME}"
    assert program.run("verify", address, "--public-key", keys["author"]).returncode == 3
    signed = hub.repositories["owner/experiments"]
    content = signed.commits[signed.refs["main"]].files[f"{NAME}.sig"].content
    hub.add("owner/unsigned", {f"{NAME}.sig": content})
    assert program.run("verify", address, "--public-key", keys["author"]).returncode == 0


def test_the_signature_is_downloaded_with_the_bundle(keys: dict[str, str], program: Program) -> None:
    assert program.run("download", ADDRESS).returncode == 0
    assert sorted(program.files) == [NAME, f"{NAME}.sig"]
    assert program.run("verify", NAME, "--public-key", keys["author"], **OFFLINE).returncode == 0
    assert program.run("verify", NAME, "--public-key", keys["somebody"], **OFFLINE).returncode == 3
    (program.folder / f"{NAME}.sig").unlink()
    missing = program.run("verify", NAME, "--public-key", keys["author"], **OFFLINE)
    assert missing.returncode == 3
    assert "nobody signed this" in missing.stdout


def test_a_damaged_signature_never_arrives(hub: LocalHub, keys: dict[str, str], program: Program) -> None:
    hub.add("owner/experiments", {f"{NAME}.sig": b"{}"})
    result = program.run("verify", ADDRESS, "--public-key", keys["author"])
    assert result.returncode == 3
