"""The verbs as Python functions."""

import ast
import inspect

import pytest

import hstu_preserve
from hstu_preserve.records.verification import Verification


def test_every_verb_is_a_documented_function() -> None:
    for name in hstu_preserve.__all__:
        assert getattr(hstu_preserve, name).__doc__


def test_type_checkers_are_told_the_same_names_as_the_table_has() -> None:
    source = ast.parse(inspect.getsource(hstu_preserve))
    (block,) = (one for one in source.body if isinstance(one, ast.If))
    told = {
        alias.asname: str(line.module).removeprefix("hstu_preserve.")
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
        if alias.asname == alias.name
    }
    assert told == hstu_preserve.MODULE_OF
    assert {*told, "PreserveError", "__version__"} == {*hstu_preserve.__all__}


def test_verify_returns_a_record() -> None:
    verification = hstu_preserve.verify("sample")
    assert isinstance(verification, Verification)
    assert verification.ok


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'publish_everything'"):
        hstu_preserve.publish_everything  # noqa: B018


def test_deliberate_errors_carry_the_exit_code() -> None:
    with pytest.raises(hstu_preserve.PreserveError) as refused:
        hstu_preserve.verify("iter8-exp4-SOTA")
    assert refused.value.exit_code == 4
