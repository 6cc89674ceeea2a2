"""The small runs of the run room's tests, to be packed and run again; and runs of one recipe with several seeds."""

from collections.abc import Iterator

import pytest
import torch

from tests.reruns.seeds import Workshop, make_workshop
from tests.runs.conftest import crashed, finished, store, undisturbed

__all__ = ["crashed", "finished", "one_thread", "store", "undisturbed", "workshop"]


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
