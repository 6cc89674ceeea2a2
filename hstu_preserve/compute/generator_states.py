"""The states of the global generators of python, NumPy and torch, as a checkpoint keeps them."""

import random

import numpy as np
import torch
from torch import Tensor

from hstu_preserve.errors import CheckpointError


def capture_rng() -> dict[str, object]:
    """Return the global generators' states as tensors and plain values, which `weights_only` loading accepts."""
    python_version, python_state, python_gauss = random.getstate()
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002  the global state is what is captured
    twister = numpy_state["state"]
    return {
        "torch_cpu": torch.get_rng_state(),
        "torch_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": {
            "version": python_version,
            "state": torch.tensor(python_state, dtype=torch.int64),
            "gauss": python_gauss,
        },
        "numpy": {
            "key": torch.from_numpy(twister["key"].astype(np.int64)),
            "pos": int(twister["pos"]),
            "has_gauss": int(numpy_state["has_gauss"]),
            "gauss": float(numpy_state["gauss"]),
        },
    }


def restore_rng(state: object, *, source: str) -> None:
    """Put the global generators into captured states; those of GPUs that are not here are left out.

    Raises:
        CheckpointError: The states are missing or not as `capture_rng` gives them.
    """
    try:
        match state:
            case {
                "torch_cpu": Tensor() as torch_cpu,
                "torch_cuda": list(torch_cuda),
                "python": {"version": int(version), "state": Tensor() as words, "gauss": gauss},
                "numpy": {"key": Tensor() as key, "pos": int(pos), "has_gauss": int(has_gauss), "gauss": float(normal)},
            }:
                random.setstate((version, tuple(words.tolist()), gauss))
                np.random.set_state(("MT19937", key.numpy().astype(np.uint32), pos, has_gauss, normal))  # noqa: NPY002
                torch.set_rng_state(torch_cpu)
                if torch.cuda.is_available():
                    for device, one in enumerate(torch_cuda[: torch.cuda.device_count()]):
                        torch.cuda.set_rng_state(one, device)
                return
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise CheckpointError(f"{source}: states of the random generators cannot be restored ({error})") from None
    raise CheckpointError(f"{source}: no complete state of the random generators (rng)")
