"""Batches gathered from resident events are those that are assembled in memory."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from hstu_preserve.data.batches import assemble_batch
from hstu_preserve.data.sequences import Sequences, leave_out_last_events, select_events
from hstu_preserve.data.split import find_eligible_users
from hstu_preserve.inputs.histories import to_training_histories
from hstu_preserve.inputs.resident import ResidentEvents
from tests.data.stores_in_memory import synthesize

DEVICES = [torch.device(name) for name in ("cpu", "cuda") if name == "cpu" or torch.cuda.is_available()]
STORE = synthesize(seed=3, num_users=20, num_items=40, num_ratings=300)


def choose_events(kind: str) -> Sequences:
    if kind == "all but the last two":
        return leave_out_last_events(STORE, held_out_events=2)
    return select_events(STORE, mask=np.arange(STORE.num_events) % 3 != 0)


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("max_sequence_length", [1, 7, 40])
@pytest.mark.parametrize("kind", ["all but the last two", "a share"])
def test_a_batch_is_the_one_that_the_host_assembles(kind: str, max_sequence_length: int, device: torch.device) -> None:
    events = choose_events(kind)
    users = find_eligible_users(events, held_out_events=0)[::-1].copy()
    shape = {"max_sequence_length": max_sequence_length, "output_length": 3}
    ours = ResidentEvents(events, device).assemble_training(users, **shape)
    plain = to_training_histories(assemble_batch(events, users, held_out_events=0, **shape), torch.device("cpu"))
    for field in fields(plain):
        found, expected = getattr(ours, field.name), getattr(plain, field.name)
        assert found.device.type == device.type
        assert found.dtype == expected.dtype
        assert torch.equal(found.cpu(), expected), field.name


def test_a_user_without_history_and_target_is_refused() -> None:
    events = leave_out_last_events(STORE, held_out_events=int(STORE.lengths[0]) - 1)
    with pytest.raises(ValueError, match="has no history and target"):
        ResidentEvents(events, DEVICES[0]).assemble_training(np.array([0]), max_sequence_length=5, output_length=1)
