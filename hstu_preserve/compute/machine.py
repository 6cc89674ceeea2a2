"""This machine: its facts for the record, and the device that tensors live on."""

import platform
from typing import TYPE_CHECKING

from hstu_preserve.compute.processes import find_local_rank, find_processes
from hstu_preserve.errors import UnavailableError, UsageError
from hstu_preserve.primitives.environment import (
    checkout_commit,
    checkout_is_modified,
    find_torch_problem,
    installed_versions,
    platform_name,
    processor_name,
    python_version,
    require_torch,
)
from hstu_preserve.records.environment import EnvironmentRecord, NumericsRecord, TrainingPath
from hstu_preserve.records.manifest import CodeReference
from hstu_preserve.version import __version__

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")


def choose_device(name: str) -> "torch.device":
    """Return the device for `auto`, `cpu` or `cuda`.

    Raises:
        UsageError: Another name, or the environment numbers a process that there is no GPU for.
        UnavailableError: `cuda` was asked for and there is none, or torch is not installed.
    """
    if name not in DEVICES:
        raise UsageError(f"--device {name}: unknown; choose one of {', '.join(DEVICES)}")
    require_torch()
    import torch

    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise UnavailableError(
            f"--device cuda: torch {torch.__version__} sees no GPU; use --device cpu, or see 'hstu-preserve doctor'"
        )
    if not has_cuda or name == "cpu":
        return torch.device("cpu")
    num_gpus = torch.cuda.device_count()
    local_rank = find_local_rank(size=max(find_processes().size, num_gpus))
    if local_rank is not None and local_rank >= num_gpus:
        raise UsageError(f"LOCAL_RANK={local_rank}: this machine has {num_gpus} GPUs; start one process for each")
    return torch.device("cuda") if local_rank is None else torch.device("cuda", local_rank)


def describe_numerics(device: "torch.device", *, dtype: str, processes: int = 1) -> NumericsRecord:
    """Return the facts that decide the last bits of a result on this device, with the switches as they are now."""
    import torch

    from hstu_preserve.model.jagged import load_operators

    return NumericsRecord(
        torch=torch.__version__,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        processor=processor_name(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        code_path=load_operators().name,
        dtype=dtype,
        tf32=torch.backends.cuda.matmul.allow_tf32,
        deterministic_algorithms=torch.are_deterministic_algorithms_enabled(),
        processes=processes,
    )


def describe_environment(
    numerics: NumericsRecord | None, *, training_path: TrainingPath = "reference"
) -> EnvironmentRecord:
    """Return the facts of interpreter, platform and packages, together with the numerics."""
    return EnvironmentRecord(
        python=python_version(),
        platform=platform_name(),
        machine=platform.machine(),
        packages=installed_versions(),
        numerics=numerics,
        training_path=training_path,
    )


def find_running_code() -> CodeReference:
    """Return the release and, in a checkout, the commit of the code that runs."""
    return CodeReference(version=__version__, commit=checkout_commit(), modified=checkout_is_modified())


def find_numerics() -> NumericsRecord | None:
    """Return the arithmetic of the device that `auto` chooses, None without a PyTorch that loads."""
    if find_torch_problem() is not None:
        return None
    return describe_numerics(choose_device("auto"), dtype="float32")


def describe_this_machine() -> EnvironmentRecord:
    """Return the facts of this machine."""
    return describe_environment(find_numerics())
