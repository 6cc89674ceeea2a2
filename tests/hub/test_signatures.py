"""A signature that lies beside a published bundle travels with it, and decides where a key is named."""

import shutil
from pathlib import Path

import pytest

from hstu_preserve.library.sources import find_here
from hstu_preserve.verbs.keygen import keygen
from hstu_preserve.verbs.signing import sign
from tests.hub.conftest import Program
from tests.hub.faults import ALWAYS, Fault
from tests.hub.local_hub import LocalHub

NAME = "native.tar.gz"
ADDRESS = f"hf://owner/experiments/{NAME}"
OFFLINE = {"HF_HUB_OFFLINE": "1"}


@pytest.fixture
def keys(hub: LocalHub, tmp_path: Path) -> dict[str, str]:
    """Publish a signed bundle; return the public keys of its author and of somebody else."""
    bundle = tmp_path / NAME
    shutil.copy(find_here("sample").path, bundle)
    author, somebody = keygen(tmp_path / "author"), keygen(tmp_path / "somebody")
    signature = sign(bundle, key=author.path)
    files = {NAME: bundle.read_bytes(), f"{NAME}.sig": signature.path.read_bytes()}
    hub.add("owner/experiments", files)
    hub.add("owner/unsigned", {NAME: files[NAME]})
    return {"author": str(author.public_path), "somebody": str(somebody.public_path)}


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
