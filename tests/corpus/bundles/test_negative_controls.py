"""A verifier that was never seen failing is no evidence: every bundle that must be refused is, for the right reason."""

import os
from pathlib import Path

import pytest

from hstu_preserve.cli.main import main
from tests.corpus.bundles.negative_controls import (
    FILE_GENERATORS,
    TREE_GENERATORS,
    Case,
    Material,
    build,
    count_cases,
    make_material,
    read_cases,
)
from tests.forked import run_program

CASES = read_cases()
FIRST_OF_CLASS = list({case.kind: case for case in reversed(CASES)}.values())


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return make_material(tmp_path_factory.mktemp("material"))


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.id, marks=[pytest.mark.slow] if case.is_slow else []) for case in CASES]
)
def test_a_forged_bundle_is_refused(
    case: Case, material: Material, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = build(case, material, folder=tmp_path)
    exit_code = main(case.command_line(bundle, material))
    told = capsys.readouterr()
    output = told.out + told.err
    assert exit_code == case.exit_code, output
    assert case.says in output
    if case.decided_by is not None:
        last = told.out.strip().splitlines()[-1]
        assert last == f"decided by {case.decided_by}: NOT_REPRODUCED, exit {case.exit_code}"


@pytest.mark.parametrize("case", FIRST_OF_CLASS, ids=lambda case: case.kind)
def test_each_class_is_refused_by_the_program_as_users_run_it(case: Case, material: Material, tmp_path: Path) -> None:
    bundle = build(case, material, folder=tmp_path)
    result = run_program(*case.command_line(bundle, material), cwd=tmp_path, environment=os.environ)
    said = (result.stdout + result.stderr).decode()
    assert result.returncode == case.exit_code, said
    assert "Traceback" not in said
    assert case.says in said


@pytest.mark.parametrize("command", sorted({case.command for case in CASES}))
def test_the_true_bundle_is_accepted_by_every_command_that_refuses_a_forged_one(
    command: str, material: Material, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(id="true", kind="", generator="", arguments={}, command=command, exit_code=0, says="")
    assert main(case.command_line(material.recorded, material)) == 0, "".join(capsys.readouterr())


def test_every_generator_is_used_and_every_id_is_unique() -> None:
    assert {case.generator for case in CASES} == FILE_GENERATORS.keys() | TREE_GENERATORS.keys()
    assert all((case.decided_by is not None) == case.command.startswith("reproduce") for case in CASES)
    assert len({case.id for case in CASES}) == len(CASES) == sum(count_cases().values())
