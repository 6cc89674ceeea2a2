"""Which files of which repository and revision a `download` means."""

import pytest

from tests.hub.conftest import Program
from tests.hub.local_hub import LocalHub

ONE, TWO = b"one" * 100, b"two" * 100


@pytest.fixture
def commits(hub: LocalHub) -> list[str]:
    """Two commits of a repository, the first of which a branch still names."""
    first = hub.add("me/x", {"a.tar.gz": ONE, "b.tar.gz": ONE})
    hub.repositories["me/x"].refs["v1"] = first
    return [first, hub.add("me/x", {"a.tar.gz": TWO, "b.tar.gz": TWO + b"b"})]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["hf://me/x@v1/a.tar.gz", "--revision", "main"], ["hf://me/x@v1/a.tar.gz (v1)", "--revision main"]),
        (["hf://me/x@v1/a.tar.gz", "hf://me/x/b.tar.gz"], ["a.tar.gz (v1)", "hf://me/x/b.tar.gz (main)"]),
        (["hf://me/x@v1/a.tar.gz", "hf://me/x@v2/b.tar.gz"], ["(v1)", "(v2)"]),
        (["hf://me/x@v1/a.tar.gz", "b.tar.gz"], ["hf://me/x@v1/a.tar.gz (v1)", "b.tar.gz (main)"]),
    ],
)
def test_revisions_that_differ_are_told_and_nothing_is_fetched(
    arguments: list[str], told: list[str], commits: list[str], program: Program
) -> None:
    result = program.run("download", *arguments)
    assert result.returncode == 2
    assert all(one in " ".join(result.stderr.split()) for one in ["one revision per call", *told])
    assert program.files == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ["hf://me/x@v1/a.tar.gz"],
        ["hf://me/x/a.tar.gz", "--revision", "v1"],
        ["hf://me/x@v1/a.tar.gz", "--revision", "v1"],
        ["a.tar.gz", "--repo", "me/x", "--revision", "v1"],
    ],
)
def test_one_revision_may_be_named_in_any_place(arguments: list[str], commits: list[str], program: Program) -> None:
    assert program.run("download", *arguments).returncode == 0
    assert program.files == {"a.tar.gz": ONE}


def test_the_main_branch_is_the_one_that_no_name_means(commits: list[str], program: Program) -> None:
    result = program.run("download", "hf://me/x@main/a.tar.gz", "hf://me/x/b.tar.gz")
    assert result.returncode == 0, result.stderr
    assert program.files == {"a.tar.gz": TWO, "b.tar.gz": TWO + b"b"}


def test_code_is_a_word_of_an_archive_s_name(hub: LocalHub, program: Program) -> None:
    bundles = {"hstu-encoder.tar.gz": b"1", "autoencoder-2.tar.gz": b"2", "codec/x.tar.gz": b"3"}
    codes = {"hstu-code.tar.gz": b"4", "Code.tar.gz": b"5", "x_code_v2.tgz": b"6"}
    hub.add("me/x", bundles | codes)
    result = program.run("download", "--all", "--repo", "me/x")
    assert (result.returncode, program.files) == (0, bundles)
    told = " ".join(result.stdout.split())
    assert all(name in told for name in codes)
    assert "--all leaves out what is called code" in told
    assert "no one code archive" in program.run("download", "--code", "--repo", "me/x").stderr


def test_a_name_that_no_machine_takes_stops_no_other_file(hub: LocalHub, program: Program) -> None:
    hub.add("me/x", {"a.tar.gz": ONE, "con.tar.gz": TWO, "con.tar.gz.sig": b"{}"})
    for more in ([], ["--dry-run"]):
        result = program.run("download", "--all", "--repo", "me/x", *more)
        assert result.returncode == 3
        assert result.stderr == ""
        assert "me/x/con.tar.gz: not fetched: the repository holds a file of an unsafe name" in result.stdout
        assert "300 bytes" in result.stdout
        assert program.files == {"a.tar.gz": ONE}


UNREADABLE = {"MANIFEST.json": b'{"a-b": NaN}', "MANIFEST.md": b"caf\xe9 notes, no digests, not even xa.tar.gz"}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_list_that_cannot_be_read_and_names_nothing_wanted_is_passed_over(
    name: str, hub: LocalHub, program: Program
) -> None:
    hub.add("me/x", {"a.tar.gz": ONE, name: UNREADABLE[name]})
    result = program.run("download", "hf://me/x/a.tar.gz")
    assert (result.returncode, program.files) == (0, {"a.tar.gz": ONE})
    assert f"{name}:" in result.stdout
    assert "passed over, since no name that was wanted was found" in " ".join(result.stdout.split())
    program.environment["HF_HOME"] += "-of-another"
    assert f"{name}: not " in program.run("unpack", "hf://me/x/a.tar.gz", "--output", "tree").stderr


@pytest.mark.parametrize("content", [b"caf\xe9 a.tar.gz", b"md5 of a: \xff", b"| `dir/a.tgz` | \xe9"])
def test_a_list_that_cannot_be_read_and_names_what_is_wanted_stops_it(
    content: bytes, hub: LocalHub, program: Program
) -> None:
    hub.add("me/x", {"a.tar.gz": ONE, "MANIFEST.md": content})
    result = program.run("download", "hf://me/x/a.tar.gz")
    assert (result.returncode, program.files) == (3, {})
    assert "the list names a.tar.gz, and what it says of it is not known" in " ".join(result.stderr.split())
