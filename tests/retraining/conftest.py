"""Runs of one recipe with several seeds."""

from collections.abc import Iterator

import pytest
import torch

from tests.retraining.seeds import Workshop, make_workshop


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute in one thread: two that wait for each other take many times as long on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A folder with a store, in which runs are trained when they are first asked for."""
    return make_workshop(tmp_path_factory.mktemp("seeds"))
