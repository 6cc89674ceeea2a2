"""Settings of the network that no client can be made with: the variable is named, its secrets are not."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session  # type: ignore[attr-defined]

from hstu_preserve.errors import UnreachableError
from hstu_preserve.hub.client import find_token, open_client
from hstu_preserve.hub.settings import CERTIFICATES, PROXIES, find_unreadable
from hstu_preserve.library.targets import SAMPLE_BUNDLE
from hstu_preserve.primitives.shipped import shipped_directory
from tests.hub.conftest import Program
from tests.hub.local_hub import LocalHub

SAMPLE = (shipped_directory("bundles") / SAMPLE_BUNDLE).read_bytes()
SECRET = "pass-word-of-the-proxy"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No client yet, none of these settings, and none of either left for other tests."""
    for name in (*PROXIES, *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()
    yield
    close_session()


@pytest.mark.parametrize("name", ["ALL_PROXY", "https_proxy", "HTTP_PROXY"])
@pytest.mark.parametrize(
    ("address", "says"),
    [
        (f"socks5://me:{SECRET}@127.0.0.1:1080", "a SOCKS proxy, which needs the package socksio: pip install socksio"),
        (f"socks5h://me:{SECRET}@127.0.0.1:1080", "a SOCKS proxy, which needs the package socksio"),
        (f"socks://me:{SECRET}@127.0.0.1:1080", "a proxy of the kind 'socks'"),
        (f"ftp://me:{SECRET}@127.0.0.1", "a proxy of the kind 'ftp'"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(
    name: str, address: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, address)
    with pytest.raises(UnreachableError, match=f"{name} names {says}") as refused:
        open_client()
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("kind", ["absent", "folder", "text"])
def test_a_file_of_certificates_that_cannot_be_used_is_named(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"absent": tmp_path / "no folder" / "no file", "folder": tmp_path, "text": tmp_path / "text"}[kind]
    if kind == "text":
        place.write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(place))
    with pytest.raises(UnreachableError, match=r"SSL_CERT_FILE=.*: cannot be used"):
        open_client()


def test_the_certificates_are_not_blamed_for_the_file_of_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = ssl.get_default_verify_paths().cafile
    if certificates is None:
        pytest.skip("this machine keeps its certificates in no file")
    monkeypatch.setenv("SSL_CERT_FILE", certificates)  # then Python, not the system, makes the connection's settings
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "no folder" / "keys"))
    with pytest.raises(UnreachableError, match=r"SSLKEYLOGFILE=.*: cannot be used .No such file"):
        open_client()


def test_settings_that_can_be_used_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "[::1]/64,fe80::/10")
    if certificates := ssl.get_default_verify_paths().cafile:
        monkeypatch.setenv("SSL_CERT_FILE", certificates)
    assert open_client() is open_client()


@pytest.mark.parametrize("kind", ["folder", "no text"])
def test_a_token_that_cannot_be_read_is_named(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "token"
    if kind == "folder":
        place.mkdir()
    else:
        place.write_bytes(b"\xff\xfe\x00")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(place))
    with pytest.raises(UnreachableError, match="the token cannot be read") as refused:
        find_token()
    assert str(place) in str(refused.value)


def test_a_home_that_is_no_folder_holds_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/dev/null/token")
    assert find_token() is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("HF_HUB_ETAG_TIMEOUT", "abc", "HF_HUB_ETAG_TIMEOUT='abc': not a whole number of seconds"),
        ("HF_HUB_ETAG_TIMEOUT", "1.5", "not a whole number"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "-1", "not a whole number"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "9" * 5000, "not a whole number"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "", "not a whole number"),
        ("HF_ENDPOINT", "foo", "HF_ENDPOINT=foo: no URL"),
        ("HF_ENDPOINT", "http://", "names a server"),
        ("HF_ENDPOINT", "http://[bad", "no URL"),
        ("HF_ENDPOINT", "http://server:99999", "no URL"),
        ("HF_ENDPOINT", "ftp://server", "no URL"),
        ("HF_ENDPOINT", "https://server\n", "control characters"),
        ("HF_ENDPOINT", f"https://me:{SECRET}@server:port", "HF_ENDPOINT: no URL"),
    ],
)
def test_what_the_client_cannot_be_imported_with_is_named(name: str, value: str, says: str) -> None:
    found = find_unreadable({name: value})
    assert list(found) == [name]
    assert says in found[name]
    assert SECRET not in found[name]
    assert len(found[name]) < 300


def test_good_settings_are_left_alone() -> None:
    good = {"HF_HUB_ETAG_TIMEOUT": " 30 ", "HF_HUB_DOWNLOAD_TIMEOUT": "0", "HF_ENDPOINT": "http://[::1]:8080/hf/"}
    assert find_unreadable(good) == {}


@pytest.mark.parametrize(
    "setting",
    [
        {"ALL_PROXY": f"socks5://me:{SECRET}@127.0.0.1:1080", "NO_PROXY": ""},
        {"HF_HUB_ETAG_TIMEOUT": "abc"},
        {"HF_ENDPOINT": "http://[bad"},
    ],
    ids=["when made", "when imported", "when asked"],
)
def test_what_is_here_stays_usable(setting: dict[str, str], hub: LocalHub, program: Program) -> None:
    hub.add("me/x", {"s.tar.gz": SAMPLE, "new.tar.gz": b"new"})
    assert program.run("download", "hf://me/x/s.tar.gz").returncode == 0
    result = program.run("verify", "hf://me/x/s.tar.gz", **setting)
    assert result.returncode == 0, result.stderr
    assert "used what is on this machine" in result.stderr
    new = program.run("download", "hf://me/x/new.tar.gz", "--revision", "main", **setting)
    assert new.returncode == 4
    assert next(iter(setting)) in new.stdout + new.stderr
    assert SECRET not in result.stderr + new.stdout + new.stderr
