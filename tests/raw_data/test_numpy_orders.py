"""Which NumPy sorts in which order, and what is said of one that does not."""

import sys
from pathlib import Path

import pytest

from hstu_preserve.errors import MissingPathError, UnavailableError, UsageError
from hstu_preserve.raw_data import numpy_orders
from hstu_preserve.raw_data.numpy_orders import KNOWN_ANSWERS, find_sorter
from hstu_preserve.records.store import NUMPY_POLICIES, TiePolicy
from tests.raw_data.numpy_truth import ORDERS

HAS_AVX512 = numpy_orders.find_lack(TiePolicy.NUMPY_AVX512_1) is None
OLD = TiePolicy.NUMPY_AVX512_1
"""Made by no NumPy that this program runs with."""


def write_python(folder: Path, script: str) -> Path:
    """Write a program that is taken for a Python: it is called with -W ignore -c TEXT and the program's arguments."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("policy", ORDERS)
def test_this_python_makes_each_order_that_the_processor_has_instructions_for(policy: TiePolicy) -> None:
    sorter = find_sorter(policy, numpy_python=None)
    assert sorter is not None
    assert sorter.python == sys.executable


def test_the_four_orders_have_four_known_answers() -> None:
    assert set(KNOWN_ANSWERS) == set(NUMPY_POLICIES)
    assert len(set(KNOWN_ANSWERS.values())) == 4


@pytest.mark.parametrize("policy", [TiePolicy.STABLE, TiePolicy.ITEM_ID, TiePolicy.IMPORTED])
def test_other_orders_need_no_numpy(policy: TiePolicy) -> None:
    assert find_sorter(policy, numpy_python=None) is None
    with pytest.raises(UsageError, match="needs no other NumPy"):
        find_sorter(policy, numpy_python=Path(sys.executable))


def test_an_order_of_another_numpy_is_refused_with_what_it_needs() -> None:
    with pytest.raises(UnavailableError, match=r"numpy-avx512-1: needs NumPy 1\.25 or 1\.26 .* AVX-512"):
        find_sorter(OLD, numpy_python=None)


@pytest.mark.skipif(HAS_AVX512, reason="the processor has AVX-512")
def test_what_the_processor_lacks_is_named() -> None:
    with pytest.raises(UnavailableError, match=r"this processor has no AVX-512$"):
        find_sorter(TiePolicy.NUMPY_AVX512_2, numpy_python=None)


def test_a_numpy_that_sorts_otherwise_than_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KNOWN_ANSWERS, TiePolicy.NUMPY_INTROSORT, "0" * 16)
    with pytest.raises(UnavailableError, match=r"NumPy 2\.[^ ]+ of .* sorts in an order that this program does not"):
        find_sorter(TiePolicy.NUMPY_INTROSORT, numpy_python=None)


def test_another_python_is_asked_once_ours_cannot(tmp_path: Path) -> None:
    python = write_python(tmp_path, f"""echo '{{"version": "1.26.4", "answer": "{KNOWN_ANSWERS[OLD]}"}}'""")
    sorter = find_sorter(OLD, numpy_python=python)
    assert sorter is not None
    assert (sorter.python, sorter.version) == (str(python), "1.26.4")
    ours = find_sorter(TiePolicy.NUMPY_INTROSORT, numpy_python=python)
    assert ours is not None
    assert ours.python == sys.executable


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo ModuleNotFoundError: no numpy >&2; exit 1", "fails .ModuleNotFoundError: no numpy"),
        ("exit 9", "fails .exit 9"),
        ("echo hello", "gives no answer"),
        ("yes | head -c 1000000", "gives no answer"),
        ("printf 'bad \\033[31m' >&2; exit 1", r"fails .bad \\x1b\[31m"),
        ("exec sleep 60", "did not end within"),
        ('echo \'{"version": "1.26.4", "answer": "efd427465714a14e"}\'', "NumPy 1.26.4 of .* sorts as numpy-avx2"),
    ],
)
def test_why_another_python_cannot_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    monkeypatch.setattr(numpy_orders, "ANSWER_SECONDS", 5)
    monkeypatch.setattr(sys, "executable", str(write_python(tmp_path, script)))
    with pytest.raises(UnavailableError, match=said):
        find_sorter(TiePolicy.NUMPY_INTROSORT, numpy_python=None)


def test_a_python_that_is_not_there_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="no such program"):
        find_sorter(OLD, numpy_python=tmp_path / "absent")


def test_neither_the_folder_nor_the_users_features_disturb_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('not this one')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NPY_ENABLE_CPU_FEATURES", "AVX2")
    monkeypatch.setenv("NPY_DISABLE_CPU_FEATURES", "NOTHING_LIKE_IT")
    assert find_sorter(TiePolicy.NUMPY_INTROSORT, numpy_python=None) is not None
