"""in-toto's and securesystemslib's own code reads our certificates, and refuses changed ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from hstu_preserve.library.sources import find_here
from hstu_preserve.verbs.keygen import keygen
from tests.certificates.certified import certify

dsse = pytest.importorskip("securesystemslib.dsse", reason="the extra 'test' has it")
signer = pytest.importorskip("securesystemslib.signer")
statements = pytest.importorskip("in_toto_attestation.v1.statement", reason="the extra 'test' has it")
results = pytest.importorskip("in_toto_attestation.predicates.test_result.v0.test_result_pb2")
json_format = pytest.importorskip("google.protobuf.json_format")


@pytest.fixture
def lines(tmp_path: Path) -> list[dict[str, Any]]:
    bundle = tmp_path / "x.tar.gz"
    bundle.write_bytes(find_here("sample").path.read_bytes())
    keygen(tmp_path / "other")
    path = certify(bundle, keygen(tmp_path / "key").path)
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def read_key(path: Path, *, keyid: str) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = signer.SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()), keyid=keyid)
    assert (key.keytype, key.scheme) == ("ed25519", "ed25519")
    return key


def test_securesystemslib_accepts_the_envelopes_and_refuses_a_changed_byte_and_another_key(
    lines: list[dict[str, Any]], tmp_path: Path
) -> None:
    from securesystemslib.exceptions import VerificationError

    for line in lines:
        keyid = line["signatures"][0]["keyid"]
        envelope = dsse.Envelope.from_dict(line)
        key = read_key(tmp_path / "key.pub", keyid=keyid)
        assert list(envelope.verify([key], 1)) == [keyid]
        with pytest.raises(VerificationError):
            envelope.verify([read_key(tmp_path / "other.pub", keyid=keyid)], 1)
        envelope.payload = envelope.payload.replace(b'"predicateType"', b'"predicateTypf"')
        with pytest.raises(VerificationError):
            envelope.verify([key], 1)


def test_in_toto_takes_both_statements_and_its_strict_parser_the_results(lines: list[dict[str, Any]]) -> None:
    from in_toto_attestation.v1 import statement_pb2

    for line in lines:
        payload = dsse.Envelope.from_dict(line).payload
        parsed = json_format.Parse(payload, statement_pb2.Statement(), ignore_unknown_fields=False)
        statements.Statement.copy_from_pb(parsed).validate()
        assert parsed.subject[0].name == "MANIFEST.json"
    predicate = json.loads(dsse.Envelope.from_dict(lines[1] | {"signatures": []}).payload)["predicate"]
    found = json_format.ParseDict(predicate, results.TestResult(), ignore_unknown_fields=False)
    assert found.result == "PASSED"
    assert list(found.passed_tests) == ["bytes", "evaluation-numeric ndcg@10"]
    assert [one.name for one in found.configuration][:3] == ["policy", "recipe", "data"]
    assert all(one.digest["sha256"] for one in found.configuration)
    with pytest.raises(json_format.ParseError):  # so that a field of ours would have been seen
        json_format.ParseDict(predicate | {"extra": 1}, results.TestResult(), ignore_unknown_fields=False)
