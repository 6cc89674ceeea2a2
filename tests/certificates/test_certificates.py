"""A certificate says who found what of which bundle; a changed byte, another key and another bundle are refused."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hstu_preserve.certificates.checking import certificate_path, check_certificate
from hstu_preserve.certificates.envelopes import MAX_LINE_BYTES, MAX_LINES, sign_statement
from hstu_preserve.certificates.statements import RESULTS_TYPE, choose_result, make_statement, sort_tests
from hstu_preserve.certificates.writing import append, write_time
from hstu_preserve.cli.main import main
from hstu_preserve.errors import UsageError
from hstu_preserve.library.sources import find_here
from hstu_preserve.records.certificate import MAX_BYTES, SignatureOutcome
from hstu_preserve.records.verdict import Outcome, Rung
from hstu_preserve.signing.signature import read_private_key, read_public_key
from hstu_preserve.verbs.keygen import keygen
from hstu_preserve.verbs.reproduce import reproduce
from hstu_preserve.verbs.signing import sign
from tests.certificates.certified import FAILED, STARTED, certify, make_verdict


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(find_here("sample").path.read_bytes())
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return keygen(tmp_path / "key").path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return keygen(tmp_path / "other").path


def public(key: Path) -> str:
    return f"{key}.pub"


def open_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def open_statement(line: dict[str, Any]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(base64.b64decode(line["payload"]))
    return value


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def verify(*arguments: object) -> int:
    return main(["verify", *map(str, arguments)])


def test_reproducing_the_sample_writes_two_statements_about_its_manifest(
    bundle: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", str(bundle), "--key", str(key), "--json"]) == 0
    printed, said = capsys.readouterr()
    path = bundle.with_name("x.tar.gz.intoto.jsonl")
    assert f"certificate: {path}" in said
    own, results = map(open_statement, open_lines(path))
    record = json.loads(printed)
    for statement in (own, results):
        assert statement["_type"] == "https://in-toto.io/Statement/v1"
        assert statement["subject"] == [{"name": "MANIFEST.json", "digest": {"sha256": record["identity"]}}]
    reproduction = own["predicate"]["reproduction"]
    assert {"target": str(bundle), "path": str(bundle), "ok": True, "schema_version": 1} | reproduction | {
        "target": str(bundle),
        "path": str(bundle),
    } == record
    assert str(bundle.parent) not in json.dumps(own)
    assert own["predicate"]["started_at"] <= own["predicate"]["finished_at"]
    assert results["predicate"]["result"] == "PASSED"
    assert results["predicate"]["failedTests"] == []
    assert "evaluation-numeric ndcg@10" in results["predicate"]["passedTests"]
    assert [one["name"] for one in results["predicate"]["configuration"]][:3] == ["policy", "recipe", "data"]
    assert verify(bundle, "--public-key", public(key)) == 0
    assert "reproduction of 20" in capsys.readouterr().out
    assert verify(path, "--public-key", public(key)) == 0


def test_the_programs_digest_is_what_common_tools_compute(bundle: Path, key: Path) -> None:
    import hstu_preserve

    package = Path(hstu_preserve.__file__).parent
    command = "find . -name '*.py' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    found = subprocess.run(command, shell=True, cwd=package, capture_output=True, check=True).stdout.split()[0].decode()
    results = open_statement(open_lines(certify(bundle, key))[1])
    assert results["predicate"]["configuration"][-1]["digest"]["sha256"] == found


def test_a_second_reproduction_adds_and_the_lines_of_others_stay(bundle: Path, key: Path, other: Path) -> None:
    path = certify(bundle, key)
    first = path.read_bytes()
    certify(bundle, other)
    certify(bundle, key, exit_code=6)
    assert path.read_bytes().startswith(first)
    assert len(open_lines(path)) == 6
    check = check_certificate(path, identity=None, trusted=read_public_key(Path(public(other))))
    assert check.problem is None
    wanted = [SignatureOutcome.OTHER_KEY, SignatureOutcome.SIGNED, SignatureOutcome.OTHER_KEY]
    assert [one.signature for one in check.attestations[::2]] == wanted
    path.write_bytes(first.removesuffix(b"\n"))
    certify(bundle, other)
    assert len(open_lines(path)) == 4


def test_certificates_written_at_the_same_time_are_all_there(bundle: Path, key: Path) -> None:
    identity = find_here(str(bundle)).require_manifest().identity
    line = certify(bundle, key).read_bytes().splitlines(keepends=True)[0]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: append(certificate_path(bundle), [line], identity=identity), range(24)))
    assert len(open_lines(certificate_path(bundle))) == 26


def change_payload(lines: list[dict[str, Any]]) -> None:
    statement = base64.b64decode(lines[0]["payload"]).replace(b'"exit_code":5', b'"exit_code":0')
    lines[0]["payload"] = base64.b64encode(statement).decode()


def change_signature(lines: list[dict[str, Any]]) -> None:
    signature = bytearray(base64.b64decode(lines[1]["signatures"][0]["sig"]))
    signature[7] ^= 1
    lines[1]["signatures"][0]["sig"] = base64.b64encode(signature).decode()


def shorten_signature(lines: list[dict[str, Any]]) -> None:
    lines[1]["signatures"][0]["sig"] = "AAAA"


def change_type(lines: list[dict[str, Any]]) -> None:
    lines[0]["payloadType"] = "application/vnd.hstu-preserve.manifest+json"


@pytest.mark.parametrize("change", [change_payload, change_signature, shorten_signature, change_type])
def test_a_changed_byte_is_refused(
    bundle: Path,
    key: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[list[dict[str, Any]]], None],
) -> None:
    sign(bundle, key=key)
    path = certify(bundle, key, exit_code=5, verdicts=FAILED)
    lines = open_lines(path)
    change(lines)
    write_lines(path, lines)
    assert verify(path, "--public-key", public(key)) == 3
    assert verify(bundle, "--public-key", public(key)) == 3
    assert "changed since it was signed" in capsys.readouterr().out


def test_another_key_is_refused_and_both_are_named(
    bundle: Path, key: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = certify(bundle, key)
    assert verify(path, "--public-key", public(other)) == 3
    assert verify(bundle, "--public-key", public(other)) == 3
    assert "signed by another key (expected" in capsys.readouterr().out


def test_a_key_id_alone_proves_nothing(bundle: Path, key: Path, other: Path) -> None:
    path = certify(bundle, other)
    lines = open_lines(path)
    keyid = open_lines(certify(bundle, key))[-1]["signatures"][0]["keyid"]
    for line in lines:
        line["signatures"][0]["keyid"] = keyid
    write_lines(path, lines)
    assert verify(path, "--public-key", public(key)) == 3


def test_the_certificate_of_another_bundle_is_refused_even_without_a_key(
    bundle: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = certify(bundle, key)
    text = path.read_bytes()
    identity = find_here(str(bundle)).require_manifest().identity
    statement = base64.b64decode(open_lines(path)[0]["payload"]).replace(identity.encode(), b"0" * 64)
    path.write_bytes(sign_statement(statement, key=read_private_key(key, passphrase=None)))
    sign(bundle, key=key)
    assert verify(bundle) == 3
    assert verify(bundle, "--public-key", public(key)) == 3
    out = capsys.readouterr().out
    assert f"about another bundle (it names sha256:{'0' * 64}, this one is sha256:{identity})" in out
    assert verify(path, "--public-key", public(key)) == 0
    # in-toto lets a file hold statements about more than one thing.
    path.write_bytes(path.read_bytes() + text)
    assert verify(bundle, "--public-key", public(key)) == 0


def test_a_signed_bundle_holds_whatever_strangers_put_beside_it(
    bundle: Path, key: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(bundle, key=key)
    certify(bundle, other, exit_code=5, verdicts=FAILED)
    assert verify(bundle, "--public-key", public(key)) == 0
    assert "  unchecked certificate" in capsys.readouterr().out


@pytest.mark.parametrize(("results", "exit_code"), [((0,), 0), ((6,), 3), ((5,), 3), ((0, 6), 0), ((0, 5), 3)])
def test_who_certified_that_it_passed_vouches_for_the_bytes(
    bundle: Path, key: Path, capsys: pytest.CaptureFixture[str], results: tuple[int, ...], exit_code: int
) -> None:
    for one in results:
        certify(bundle, key, exit_code=one)
    assert verify(bundle, "--public-key", public(key)) == exit_code
    assert ("attests that the bundle passed" in capsys.readouterr().out) == (exit_code == 0)
    assert verify(certificate_path(bundle), "--public-key", public(key)) == 0
    assert verify(bundle) == 0


def test_without_a_key_cryptography_is_not_loaded(bundle: Path, key: Path) -> None:
    certify(bundle, key)
    script = (
        "import sys; from hstu_preserve.cli.main import main; "
        f"code = main(['verify', {str(bundle)!r}, {str(certificate_path(bundle))!r}]); "
        "sys.exit(code or 'cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0


def test_key_problems_are_found_before_the_bundle_is_looked_for(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HSTU_PRESERVE_PASSPHRASE", raising=False)
    locked, text = keygen(tmp_path / "locked", passphrase="open sesame").path, tmp_path / "text"
    text.write_text("no key")
    secret = tmp_path / "secret"
    secret.write_text("open barley\n")
    for arguments, exit_code, sentence in (
        (["--key", str(tmp_path / "absent")], 2, "absent: no such file"),
        (["--key", str(text)], 3, "not a private key"),
        (["--key", public(key)], 2, "sign with the private one"),
        (["--key", str(locked), "--passphrase-file", str(secret)], 2, "passphrase is wrong"),
        (["--passphrase-file", str(secret)], 2, "opens no key"),
    ):
        assert main(["reproduce", "no-such-bundle.tar.gz", *arguments]) == exit_code
        assert sentence in capsys.readouterr().err


def test_a_bundle_of_the_program_itself_needs_a_folder_for_its_certificate(
    key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reproduce", "sample", "--key", str(key)]) == 2
    assert "name a folder for its certificate: --output" in capsys.readouterr().err


def lie_as_text(path: Path) -> None:
    path.write_text("my notes\n")


def lie_as_link(path: Path) -> None:
    path.symlink_to(path.with_name("key"))


def lie_as_folder(path: Path) -> None:
    path.mkdir()


def lie_empty(path: Path) -> None:
    path.touch()


def lie_as_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("lie", [lie_as_text, lie_as_link, lie_as_folder, lie_empty, lie_as_pipe])
def test_what_is_not_a_certificate_is_never_overwritten(bundle: Path, key: Path, lie: Callable[[Path], None]) -> None:
    path = certificate_path(bundle)
    lie(path)
    before = os.lstat(path)
    bundle.write_bytes(bundle.read_bytes()[:-1])  # which is told by exit code 3 once anything is run
    with pytest.raises(UsageError, match="move it away, or name --output"):
        reproduce(bundle, key=key)
    assert os.path.samestat(before, os.lstat(path))
    assert os.lstat(path).st_size == before.st_size


def test_a_legacy_archive_has_nothing_to_certify(tmp_path: Path, key: Path) -> None:
    import tarfile

    (tmp_path / "model.txt").write_text("x")
    archive = tmp_path / "legacy.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "model.txt", "model.txt")
    with pytest.raises(UsageError, match="no manifest that a certificate could be about"):
        reproduce(archive, key=key)


HOSTILE = {
    "empty": b"",
    "blank": b"\n\n",
    "no JSON": b"{\n",
    "no envelope": b"[]\n",
    "no signature": b'{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[]}\n',
    "deep": b"[" * 100 + b"]" * 100 + b"\n",
    "many values": b"[" + b"0," * 100_000 + b"0]\n",
    "a long line": b'"' + b"x" * (MAX_LINE_BYTES + 1) + b'"\n',
    "many lines": b"{}\n" * (MAX_LINES + 1),
    "large": b"x" * (MAX_BYTES + 1),
    "not base64": b'{"payload":"*","payloadType":"application/vnd.in-toto+json","signatures":[{"sig":"AA=="}]}\n',
    "not text": b"\xff\xfe\n",
    "duplicate key": b'{"payload":"","payload":"","payloadType":"x","signatures":[{"sig":"AA=="}]}\n',
    "control characters": b'{"payload":"","payloadType":"\\u001b[2J","signatures":[{"sig":"AA==","\\u001b]0;x":1}]}\n',
}


def wrap(statement: bytes) -> bytes:
    envelope = {
        "payload": base64.b64encode(statement).decode(),
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"keyid": "\x1b[31mred", "sig": "AA=="}],
    }
    return json.dumps(envelope).encode() + b"\n"


SUBJECT = b'"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"MANIFEST.json","digest":{"sha256":"zz"}}]'
HOSTILE_STATEMENTS = {
    "a deep statement": b"[" * 1000 + b"]" * 1000,
    "many values in a statement": b"[" + b"0," * 200_000 + b"0]",
    "no statement": b"{}",
    "another type": b'{"_type":"x","subject":[],"predicateType":"x","predicate":{}}',
    "no results": b"{"
    + SUBJECT
    + b',"predicateType":"'
    + RESULTS_TYPE.encode()
    + b'","predicate":{"result":"\\u001b[2J"}}',
    "no reproduction": b"{" + SUBJECT + b',"predicateType":"urn:hstu-preserve:reproduction:v1","predicate":{}}',
}
ODD = {
    "an unknown kind": b"{" + SUBJECT + b',"predicateType":"\\u001b[2J","predicate":{"\\u001b":1}}',
    "tests with odd names": b"{"
    + SUBJECT
    + b',"predicateType":"'
    + RESULTS_TYPE.encode()
    + b'","predicate":{"result":"PASSED","configuration":[],"passedTests":["\\u001b]0;x\\u0007"]}}',
}


def require_clean(printed: str) -> None:
    assert "Traceback" not in printed
    assert all(one.isprintable() or one == "\n" for one in printed)


@pytest.mark.parametrize("name", [*HOSTILE, *HOSTILE_STATEMENTS])
def test_hostile_certificates_are_refused_in_one_sentence(
    tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / "x.intoto.jsonl"
    path.write_bytes(HOSTILE[name] if name in HOSTILE else wrap(HOSTILE_STATEMENTS[name]))
    is_known = name == "control characters"
    for arguments in ([], ["--public-key", public(key)], ["--json"]):
        assert verify(path, *arguments) == (0 if is_known and not arguments[1:] else 3)
        require_clean("".join(capsys.readouterr()))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a long line", "line 1: longer than 1048576 bytes"),
        ("many lines", "more than 1000 lines"),
        ("large", "larger than 16777216 bytes"),
        ("deep", "nested deeper than 64"),
        ("many values", "more than 200 values"),
    ],
)
def test_a_certificate_is_bounded_before_it_is_parsed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    path = tmp_path / "x.intoto.jsonl"
    path.write_bytes(HOSTILE[name])
    assert verify(path) == 3
    assert sentence in capsys.readouterr().out


@pytest.mark.parametrize("name", ODD)
def test_statements_of_unknown_kinds_are_shown_and_steer_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / "x.intoto.jsonl"
    path.write_bytes(wrap(ODD[name]))
    for arguments in ([], ["--json"]):
        assert verify(path, *arguments) == 0
        require_clean("".join(capsys.readouterr()))


def test_a_folder_that_is_called_like_a_certificate_may_be_a_bundle(bundle: Path, tmp_path: Path) -> None:
    assert main(["unpack", str(bundle), "--output", str(tmp_path / "x.intoto.jsonl")]) == 0
    assert verify(tmp_path / "x.intoto.jsonl") == 0


def test_questions_that_only_a_bundle_answers_are_refused(bundle: Path, key: Path) -> None:
    path = certify(bundle, key)
    assert verify(path, "--deep") == 2
    assert verify(path, "--md5-list", "MANIFEST.md") == 2


def test_a_rung_that_was_not_required_neither_fails_nor_hides() -> None:
    tests = sort_tests(
        (
            make_verdict(Rung.BYTES, Outcome.REPRODUCED_BITWISE),
            make_verdict(Rung.EVALUATION_BITWISE, Outcome.NOT_RUN, is_required=False),
            make_verdict(Rung.TRAINING_BITWISE, Outcome.NOT_REPRODUCED, is_required=False),
            make_verdict(Rung.EVALUATION_NUMERIC, Outcome.NOT_REPRODUCED, claim="hr@10"),
            make_verdict(Rung.TRAINING_STATISTICAL, Outcome.NOT_RUN),
        )
    )
    assert tests == {
        "passedTests": ("bytes",),
        "warnedTests": ("training-bitwise", "training-statistical"),
        "failedTests": ("evaluation-numeric hr@10",),
    }
    assert [choose_result(code) for code in (0, 3, 5, 6)] == ["PASSED", "FAILED", "FAILED", "WARNED"]


def test_the_output_folder_holds_record_and_certificate_and_says_if_nobody_signed(
    bundle: Path, key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged.tar.gz"
    damaged.write_bytes(bundle.read_bytes()[:-1])
    assert main(["reproduce", str(damaged), "--output", str(tmp_path / "unsigned")]) == 3
    assert "unsigned, so that it proves nothing to others" in capsys.readouterr().err
    assert [one.name for one in (tmp_path / "unsigned").iterdir()] == ["reproduction.json"]
    assert main(["reproduce", str(damaged), "--key", str(key), "--output", str(tmp_path / "signed")]) == 3
    path = tmp_path / "signed" / "damaged.tar.gz.intoto.jsonl"
    assert f"certificate: {path}" in capsys.readouterr().err
    assert open_statement(open_lines(path)[1])["predicate"]["result"] == "FAILED"
    assert not certificate_path(damaged).exists()
    assert verify(path, "--public-key", public(key)) == 0


def test_times_are_written_in_coordinated_universal_time() -> None:

    assert write_time(datetime.fromisoformat("2026-11-27T12:00:00+02:00")) == STARTED


def test_statements_are_canonical_so_that_a_key_signs_them_with_the_same_bytes() -> None:
    verdict = make_verdict(Rung.BYTES, Outcome.REPRODUCED_BITWISE)
    one, two = (make_statement(verdict, identity="0" * 64, predicate_type="x") for _ in range(2))
    assert one == two
    assert one == json.dumps(json.loads(one), sort_keys=True, separators=(",", ":")).encode()
