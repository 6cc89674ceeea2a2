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
