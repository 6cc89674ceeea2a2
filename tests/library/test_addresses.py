"""Addresses as people have them: from a browser, with the type written, of a repository alone."""

from pathlib import Path

import pytest

from hstu_preserve.errors import UsageError
from hstu_preserve.library.addresses import Address, hide_secrets, is_address, parse_address, parse_repository

COMMIT = "0123456789" * 4


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("https://huggingface.co/me/x/resolve/main/s.tar.gz", "hf://me/x@main/s.tar.gz"),
        ("https://huggingface.co/me/x/resolve/main/s.tar.gz?download=true", "hf://me/x@main/s.tar.gz"),
        ("https://huggingface.co/me/x/blob/v1/a/b%20c.tar.gz#L3", "hf://me/x@v1/a/b c.tar.gz"),
        (f"https://hf.co/me/x/raw/{COMMIT}/s.tar.gz", f"hf://me/x@{COMMIT}/s.tar.gz"),
        ("http://www.HuggingFace.co/models/me/x/resolve/main/s.tar.gz", "hf://me/x@main/s.tar.gz"),
        ("huggingface.co/me/x/resolve/refs%2Fpr%2F1/s.tar.gz", "hf://me/x@refs%2Fpr%2F1/s.tar.gz"),
        ("HTTPS://huggingface.co/me/x/resolve/refs/pr/1/s.tar.gz", "hf://me/x@refs%2Fpr%2F1/s.tar.gz"),
        ("https://huggingface.co/me/x/resolve/main/100%25.tar.gz", "hf://me/x@main/100%25.tar.gz"),
        ("https://huggingface.co/me/x", "hf://me/x"),
        ("https://huggingface.co/me/x.git", "hf://me/x"),
        ("https://huggingface.co/me/x/tree/main", "hf://me/x@main"),
        ("https://huggingface.co/me/x/tree/main/folder", "hf://me/x@main/folder/"),
        (f"https://huggingface.co/me/x/commit/{COMMIT}", f"hf://me/x@{COMMIT}"),
    ],
)
def test_a_browsers_address_is_read_as_its_own_form(text: str, same: str) -> None:
    assert is_address(text)
    assert parse_address(text) == parse_address(same)
    assert parse_address(text).text == same


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("hf://models/me/x/s.tar.gz", "s.tar.gz"),
        ("HF://me/x/s.tar.gz", "s.tar.gz"),
        ("hf://me/x/s.tar.gz?download=true", "s.tar.gz"),
        ("hf://models/me/x/", ""),
        ("hf://me/x", ""),
        ("hf://me/x/folder/", "folder/"),
    ],
)
def test_the_type_may_be_written_and_the_file_left_out(text: str, path: str) -> None:
    found = parse_address(text)
    assert found == Address(text=text, repository="me/x", revision=None, path=path)
    assert found.is_file == (path == "s.tar.gz")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hf://datasets/me/x/s.tar.gz", "a dataset; only model repositories are read"),
        ("hf://spaces/me/x", "a Space; only model"),
        ("hf://buckets/me/x/s.tar.gz", "a bucket; only model"),
        ("https://huggingface.co/datasets/me/x/resolve/main/s.tar.gz", "a dataset; only model"),
        ("hf://me/x//s.tar.gz", "write it as hf://me/x/s.tar.gz"),
        ("hf://me/x/./s.tar.gz", "write it as hf://me/x/s.tar.gz"),
        ("hf://me/x@v1/a/../s.tar.gz", "write it as hf://me/x@v1/s.tar.gz"),
        ("hf://me/x/../y/s.tar.gz", "leads out of the repository"),
        ("hf://me/x/%2e%2e/s.tar.gz", "leads out of the repository"),
        ("https://huggingface.co/me/x/resolve/main//s.tar.gz", "write it as hf://me/x@main/s.tar.gz"),
        ("https://huggingface.co/me/x/discussions/1", "a page of me/x, not one of its files"),
        ("https://huggingface.co/me/x/resolve/main", None),
        ("https://huggingface.co/gpt2/resolve/main/s.tar.gz", "names no repository OWNER/NAME"),
        ("https://huggingface.co/models", "names no repository"),
        ("https://huggingface.co", "names no repository"),
        ("s3://bucket/s.tar.gz", "s3:// is not read"),
        ("file:///home/s.tar.gz", "file:// is not read; name a file on this machine by its path"),
        ("https://[bad/me/x", "not an address"),
        ("https://huggingface.co:port/me/x", "not an address"),
        ("hf://me", "not an address of the form"),
    ],
)
def test_what_is_no_file_of_a_model_is_told_with_what_to_write(text: str, says: str | None) -> None:
    if says is None:
        assert not parse_address(text).is_file
        return
    with pytest.raises(UsageError) as refused:
        parse_address(text)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "https://hub.example/me/x/resolve/main/s.tar.gz",
        "https://huggingface.co.hub.example/me/x/resolve/main/s.tar.gz",
        "https://huggingface.co@hub.example/me/x/resolve/main/s.tar.gz",
        "https://huggingface.co:8443/me/x/resolve/main/s.tar.gz",
        "https://cdn.example/s.tar.gz?X-Amz-Signature=secret",
    ],
)
def test_no_other_server_is_asked_and_no_secret_is_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="not on the Hub") as refused:
        parse_address(text)
    assert "secret" not in str(refused.value)


def test_a_password_in_an_address_is_repeated_nowhere() -> None:
    text = "https://me:secret@huggingface.co/me/x/resolve/main/s.tar.gz?token=secret#secret"
    with pytest.raises(UsageError, match=r"write it as hf://me/x@main/s\.tar\.gz") as refused:
        parse_address(text)
    assert "secret" not in str(refused.value) + hide_secrets(text)


@pytest.mark.parametrize(
    "text",
    ["me/x", "me/x/", "hf://me/x", "hf://models/me/x/", "models/me/x", "https://huggingface.co/me/x", "hf.co/me/x"],
)
def test_a_repository_may_be_named_by_its_address(text: str) -> None:
    assert parse_repository(text).repository == "me/x"


def test_the_revision_of_a_repositorys_address_is_kept() -> None:
    assert parse_repository("https://huggingface.co/me/x/tree/v1").revision == "v1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x", "not the name of a repository, which is OWNER/NAME"),
        ("", "not the name of a repository"),
        ("hf://me/x/s.tar.gz", "name the repository alone, me/x"),
        ("https://huggingface.co/me/x/tree/main/folder", "name the repository alone, me/x"),
        ("datasets/me/x", "a dataset; only model"),
        ("no/such/name", "not the name of a repository"),
        ("hf://datasets/me/x", "a dataset"),
    ],
)
def test_what_names_no_repository_is_told(text: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_repository(text)
    assert says in str(refused.value)


def test_what_was_mirrored_into_a_folder_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "huggingface.co/me/x/resolve/main/s.tar.gz"
    assert is_address(text)
    Path(text).parent.mkdir(parents=True)
    Path(text).touch()
    assert not is_address(text)
