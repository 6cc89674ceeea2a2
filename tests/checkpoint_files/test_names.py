"""The epoch that a checkpoint's name ends in."""

import pytest

from hstu_preserve.checkpoint_files.names import epoch_of_name


@pytest.mark.parametrize(
    ("name", "epoch"),
    [
        ("ckpts/HSTU-b2_DotProduct_ep0", 0),
        ("x_ep100", 100),
        ("x_ep1_ep12", 12),
        ("x_step345", None),
        ("x_ep12.pt", None),
        ("x_ep", None),
        ("x_ep1234567890", None),
        ("ep3", None),
    ],
)
def test_a_name_that_ends_in_an_epoch_tells_it(name: str, epoch: int | None) -> None:
    assert epoch_of_name(name) == epoch
