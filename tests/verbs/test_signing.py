"""Signing never touches the bundle; what is vouched for is always said; a key is never exposed or overwritten."""

import base64
import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from hstu_preserve.bundle.verification import read_stored_manifest
from hstu_preserve.cli.main import main
from hstu_preserve.errors import ContentError, UsageError, VerificationError
from hstu_preserve.library.sources import find_here
from hstu_preserve.library.verification import verify_source
from hstu_preserve.primitives.digests import sha256_of_file
from hstu_preserve.records.signature import SignerCheck, SignerOutcome
from hstu_preserve.signing.signature import encode_for_signing, read_public_key
from hstu_preserve.signing.signer import read_trusted_key, signature_path
from hstu_preserve.verbs.keygen import keygen
from hstu_preserve.verbs.signing import sign
from hstu_preserve.verbs.unpack import unpack
from tests.forked import run_program

VARIABLE = "HSTU_PRESERVE_PASSPHRASE"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(find_here("sample").path.read_bytes())
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return keygen(tmp_path / "key").path


def public(key: Path) -> Path:
    return Path(f"{key}.pub")


def check(bundle: Path, key: Path | None) -> SignerCheck:
    signer = verify_source(find_here(str(bundle)), trusted=read_trusted_key(key)).signer
    assert signer is not None
    return signer


def test_a_private_key_is_for_its_owner_only_and_never_overwritten(tmp_path: Path, key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "PRIVATE" not in public(key).read_text()
    before = key.read_bytes()
    with pytest.raises(UsageError, match="never overwritten"):
        keygen(key)
    assert key.read_bytes() == before
    taken = tmp_path / "taken"
    public(taken).write_text("mine")
    with pytest.raises(UsageError, match=r"taken\.pub: exists"):
        keygen(taken)
    assert not taken.exists()
    assert public(taken).read_text() == "mine"


def test_keygen_prints_no_private_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", "--output", str(tmp_path / "k"), "--json"]) == 0
    output = "".join(capsys.readouterr())
    secret = "".join((tmp_path / "k").read_text().splitlines()[1:-1])
    assert secret not in output
    keyid = json.loads(output)["keyid"]
    assert main(["keygen", "--output", str(tmp_path / "l")]) == 0
    assert keyid not in "".join(capsys.readouterr())


def test_signing_leaves_the_bundle_as_it_was_and_the_signature_holds(bundle: Path, key: Path) -> None:
    before = sha256_of_file(bundle)
    result = sign(bundle, key=key)
    assert sha256_of_file(bundle) == before
    assert result.path == bundle.with_name("x.tar.gz.sig")
    signer = check(bundle, public(key))
    assert (signer.outcome, signer.keyids) == (SignerOutcome.SIGNED, (result.keyid,))
    assert "bytes and signer" in signer.reason


def test_the_signature_is_a_dsse_envelope_that_others_can_check(bundle: Path, key: Path) -> None:
    sign(bundle, key=key)
    envelope = json.loads(signature_path(bundle).read_bytes())
    payload = base64.b64decode(envelope["payload"])
    assert payload == read_stored_manifest(bundle).content
    kind = envelope["payloadType"]
    text = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    loaded = serialization.load_pem_public_key(public(key).read_bytes())
    assert isinstance(loaded, Ed25519PublicKey)
    loaded.verify(base64.b64decode(envelope["signatures"][0]["sig"]), text)
    assert text == encode_for_signing(payload, payload_type=kind)


def test_the_same_key_signs_the_same_bundle_with_the_same_bytes_packed_or_not(
    bundle: Path, key: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    unpack(bundle, output=tree)
    sign(bundle, key=key)
    sign(tree, key=key)
    assert signature_path(bundle).read_bytes() == signature_path(tree).read_bytes()
    assert check(tree, public(key)).outcome is SignerOutcome.SIGNED


def test_without_a_key_it_is_said_that_nothing_was_checked(bundle: Path, key: Path) -> None:
    assert check(bundle, None).reason == "integrity only, nobody signed this"
    keyid = sign(bundle, key=key).keyid
    signer = check(bundle, None)
    assert signer.ok
    assert signer.reason == f"integrity only; signed by keyid {keyid}, not checked: name the key with --public-key"


def test_a_missing_signature_fails_only_where_a_key_is_named(bundle: Path, key: Path) -> None:
    assert main(["verify", str(bundle)]) == 0
    assert main(["verify", str(bundle), "--public-key", str(public(key))]) == 3
    assert main(["verify", "-", "--public-key", str(public(key))]) == 2


def test_a_signature_is_never_overwritten(bundle: Path, key: Path) -> None:
    sign(bundle, key=key)
    before = signature_path(bundle).read_bytes()
    with pytest.raises(UsageError, match="remove it to sign anew"):
        sign(bundle, key=key)
    assert signature_path(bundle).read_bytes() == before


def test_a_damaged_bundle_is_not_signed(bundle: Path, key: Path) -> None:
    bundle.write_bytes(bundle.read_bytes()[:-1])
    with pytest.raises(VerificationError):
        sign(bundle, key=key)
    assert not signature_path(bundle).exists()


def test_one_of_several_signatures_by_the_trusted_key_is_enough(bundle: Path, key: Path, tmp_path: Path) -> None:
    other = keygen(tmp_path / "other").path
    sign(bundle, key=key)
    first = json.loads(signature_path(bundle).read_bytes())
    signature_path(bundle).unlink()
    sign(bundle, key=other)
    both = json.loads(signature_path(bundle).read_bytes())
    both["signatures"] += first["signatures"]
    text = json.dumps(both, separators=(",", ":"), sort_keys=True)
    signature_path(bundle).write_text(text)
    assert check(bundle, public(key)).ok
    assert check(bundle, public(other)).ok


def test_a_passphrase_protects_the_key(bundle: Path, tmp_path: Path) -> None:
    key = keygen(tmp_path / "locked", passphrase="open sesame").path
    with pytest.raises(UsageError, match="needs its passphrase"):
        sign(bundle, key=key)
    with pytest.raises(UsageError, match="passphrase is wrong"):
        sign(bundle, key=key, passphrase="open barley")
    sign(bundle, key=key, passphrase="open sesame")
    assert check(bundle, public(key)).ok


def test_the_command_line_takes_the_passphrase_from_a_file_or_the_environment(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, empty, key = tmp_path / "secret", tmp_path / "empty", tmp_path / "k"
    secret.write_text("open sesame\n")
    empty.write_text("\n")
    assert main(["keygen", "--output", str(key), "--passphrase-file", str(empty)]) == 2
    assert main(["keygen", "--output", str(key), "--passphrase-file", str(secret)]) == 0
    assert main(["sign", str(bundle), "--key", str(key), "--passphrase-file", str(secret)]) == 0
    signature_path(bundle).unlink()
    monkeypatch.setenv(VARIABLE, "open sesame")
    assert main(["sign", str(bundle), "--key", str(key)]) == 0
    signature_path(bundle).unlink()
    monkeypatch.setenv(VARIABLE, "open barley")
    assert main(["sign", str(bundle), "--key", str(key)]) == 2


def test_without_a_terminal_nothing_waits_for_a_passphrase(bundle: Path, tmp_path: Path) -> None:
    key = keygen(tmp_path / "locked", passphrase="open sesame").path
    for arguments in (["sign", str(bundle), "--key", str(key)], ["keygen", "--output", "new", "--passphrase"]):
        result = run_program(*arguments, cwd=tmp_path)
        assert result.returncode == 2
        assert b"no terminal" in result.stderr
        assert b"Traceback" not in result.stderr
    assert not (tmp_path / "new").exists()


def test_wrong_keys_are_refused_in_one_sentence(bundle: Path, key: Path, tmp_path: Path) -> None:
    text, foreign = tmp_path / "text", tmp_path / "rsa"
    text.write_bytes(b"no key\xff")
    rsa = generate_private_key(public_exponent=65537, key_size=2048)
    pem, kind = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    foreign.write_bytes(rsa.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    public(foreign).write_bytes(rsa.public_key().public_bytes(pem, kind))
    with pytest.raises(ContentError, match="not an Ed25519 key"):
        sign(bundle, key=foreign)
    with pytest.raises(ContentError, match="not a private key"):
        sign(bundle, key=text)
    with pytest.raises(UsageError, match="sign with the private one"):
        sign(bundle, key=public(key))
    with pytest.raises(ContentError, match="not an Ed25519 key"):
        read_public_key(public(foreign))
    with pytest.raises(ContentError, match="not a public key"):
        read_public_key(text)
    with pytest.raises(UsageError, match="stays with its owner"):
        read_public_key(key)
    with pytest.raises(UsageError, match="no such file"):
        read_public_key(tmp_path / "absent")
    assert not signature_path(bundle).exists()


def test_verify_without_a_key_does_not_load_cryptography(bundle: Path, key: Path) -> None:
    sign(bundle, key=key)
    script = (
        "import sys; from hstu_preserve.cli.main import main; "
        f"code = main(['verify', {str(bundle)!r}]); sys.exit(code or 'cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0


def test_reproduce_judges_the_signer_on_a_rung_of_its_own(
    bundle: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["reproduce", str(bundle), "--public-key", str(public(key)), "--json"]
    assert main(arguments) == 3
    verdicts = json.loads(capsys.readouterr().out)["verdicts"]
    assert [(one["rung"], one["outcome"]) for one in verdicts] == [
        ("bytes", "REPRODUCED_BITWISE"),
        ("signer", "NOT_REPRODUCED"),
    ]
    sign(bundle, key=key)
    assert main(arguments) == 0
    verdicts = json.loads(capsys.readouterr().out)["verdicts"]
    assert ("signer", "REPRODUCED_BITWISE") in {(one["rung"], one["outcome"]) for one in verdicts}
    # Who signed is said once, on the rung that asks for it.
    assert [one["rung"] for one in verdicts if "signed by key" in one["reason"]] == ["signer"]
    assert "members are the packed bytes; who signed them is judged by itself" in verdicts[0]["reason"]
