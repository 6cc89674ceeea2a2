"""Optimizers without torch's compiler: the same steps to the bit, and nothing of the compiler is imported."""

import sys
from pathlib import Path

import pytest
import torch
from torch.nn import Parameter
from torch.optim import AdamW

from hstu_preserve.training.uncompiled import UncompiledAdamW
from hstu_preserve.verbs.data import synthesize_data
from hstu_preserve.verbs.train import train
from tests.forked import CONTEXT
from tests.runs.tiny_run import tiny_gin


def take_steps(kind: type[AdamW]) -> tuple[Parameter, dict[str, object]]:
    draw = torch.Generator().manual_seed(1)
    parameter = Parameter(torch.randn(7, 5, generator=draw))
    optimizer = kind([parameter], lr=0.01, betas=(0.9, 0.98), weight_decay=0.1)
    for number in range(6):
        optimizer.zero_grad()
        (parameter.square().sum() * torch.rand((), generator=draw)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if number == 2:
            optimizer.load_state_dict(optimizer.state_dict())
    return parameter, optimizer.state_dict()["state"][0]


@pytest.mark.parametrize("name", ["exp_avg", "exp_avg_sq", "step"])
def test_its_steps_and_its_state_are_torchs_to_the_bit(name: str) -> None:
    (ours, state), (theirs, their_state) = take_steps(UncompiledAdamW), take_steps(AdamW)
    assert torch.equal(ours, theirs)
    assert torch.equal(state[name], their_state[name])  # type: ignore[arg-type]
    assert ours.grad_fn is None


def train_and_look(folder: Path) -> None:
    """Be the new process; exit with 7 if the compiler was imported."""
    train(folder / "tiny.gin", data=folder / "store", device="cpu", output=folder / "run")
    sys.exit(7 if "torch._dynamo" in sys.modules else 0)


@pytest.mark.parametrize("encoder", ["HSTU", "SASRec"])
def test_a_training_imports_no_compiler(tmp_path: Path, encoder: str) -> None:
    synthesize_data(seed=5, num_users=20, num_items=30, num_ratings=300, output=tmp_path / "store")
    (tmp_path / "tiny.gin").write_text(tiny_gin(sampling_strategy="local", main_module=encoder))
    process = CONTEXT.Process(target=train_and_look, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == 0
