"""Diagnose which commands this machine can run, and say what to install for the others."""

import importlib.util
import os
import shlex
import shutil
from pathlib import Path

from hstu_preserve.compute.machine import describe_environment, find_numerics
from hstu_preserve.data.finding import STORES_VARIABLE
from hstu_preserve.errors import UnavailableError
from hstu_preserve.primitives.environment import INSTALL_TORCH, find_torch_problem, installed_versions
from hstu_preserve.primitives.temporary_folders import list_abandoned_scratch_folders, scratch_folder
from hstu_preserve.primitives.wording import count, list_some
from hstu_preserve.records.environment import NumericsRecord
from hstu_preserve.records.results import Capability, Diagnosis

TORCH_PAIRS = "torch 2.13 goes with fbgemm-gpu 1.8"
ESTIMATED = "memory and hours, here and on a GPU, are estimated"
COSTS = "hstu-preserve doctor --costs"
AUTHOR_MODULES = ("torch", "fbgemm_gpu", "gin", "absl", "pandas", "tensorboard")
AUTHOR_ENVIRONMENT = (
    "in an environment of its own with Python 3.11: pip install torch==2.7.1 fbgemm-gpu==1.2.0 torchrec gin-config "
    "absl-py pandas tensorboard (torch and fbgemm-gpu built for CUDA 12.8); then name its interpreter with --python"
)
"""The archive was made with torch 2.7.1+cu128."""


def doctor(*, costs: bool = False) -> Diagnosis:
    """Return a check of each feature on this machine; nothing is changed and nothing is downloaded.

    Args:
        costs: Whether the cost of the recipes is estimated, too, from one step that is measured now.
    """
    from hstu_preserve.rehearsals.recipe_costs import estimate_recipes

    numerics = find_numerics()
    capabilities = (
        Capability(name="list, show, verify, pack, unpack", is_available=True, detail="need no PyTorch", advice=None),
        check_torch(numerics),
        check_operators(),
        check_gpu(),
        check_stores(),
        check_author_code(),
        check_temporary_files(),
        Capability(name="costs of the recipes", is_available=True, detail=ESTIMATED, advice=None if costs else COSTS),
    )
    table = estimate_recipes(can_train=capabilities[1].is_available) if costs else None
    return Diagnosis(environment=describe_environment(numerics), capabilities=capabilities, costs=table)


def check_torch(numerics: NumericsRecord | None) -> Capability:
    """Say whether training and evaluation can run."""
    name = "train, evaluate, reproduce"
    problem = find_torch_problem()
    if problem is not None or numerics is None:
        return Capability(name=name, is_available=False, detail=problem or "", advice=INSTALL_TORCH)
    detail = f"torch {numerics.torch}, {numerics.cpu_capability}, {count(numerics.threads, 'thread')}"
    from hstu_preserve.compute.threads import require_computing_threads

    try:
        require_computing_threads()
    except UnavailableError as error:
        return Capability(name=name, is_available=False, detail=detail, advice=str(error))
    return Capability(name=name, is_available=True, detail=detail, advice=None)


def check_operators() -> Capability:
    """Say whether fbgemm's jagged operators load; a wrong pair of versions is named."""
    name = "fbgemm's jagged operators"
    torch_problem = find_torch_problem()
    if torch_problem is not None:
        return Capability(name=name, is_available=False, detail=torch_problem, advice=INSTALL_TORCH)
    from hstu_preserve.model.jagged import fbgemm_problem

    problem = fbgemm_problem()
    if problem is None:
        versions = installed_versions()
        found = ", ".join(f"{package} {versions[package]}" for package in versions if package.startswith("fbgemm"))
        return Capability(name=name, is_available=True, detail=found, advice=None)
    advice = f"not needed: plain torch serves, a little slower; for bitwise comparison with fbgemm runs: {TORCH_PAIRS}"
    return Capability(name=name, is_available=False, detail=problem, advice=advice)


def check_gpu() -> Capability:
    """Say whether `--device cuda` works."""
    name = "--device cuda"
    torch_problem = find_torch_problem()
    if torch_problem is not None:
        return Capability(name=name, is_available=False, detail=torch_problem, advice=INSTALL_TORCH)
    import torch

    if torch.cuda.is_available():
        return Capability(name=name, is_available=True, detail=torch.cuda.get_device_name(0), advice=None)
    built_for = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built without CUDA"
    advice = "on a machine with an NVIDIA GPU, install this program with its extra 'cuda'"
    return Capability(name=name, is_available=False, detail=f"no GPU seen; {built_for}", advice=advice)


def check_stores() -> Capability:
    """Say whether a folder of stores is named."""
    folder = os.environ.get(STORES_VARIABLE)
    if folder and Path(folder).is_dir():
        return Capability(name="stores found by name", is_available=True, detail=folder, advice=None)
    detail = f"{folder}: no such directory" if folder else f"{STORES_VARIABLE} is not set"
    advice = f"export {STORES_VARIABLE}=FOLDER, or name a store with --data"
    return Capability(name="stores found by name", is_available=False, detail=detail, advice=advice)


def check_author_code() -> Capability:
    """Say whether this interpreter can import what Meta's trainer, and the published archive's, imports."""
    name = "reproduce --runner archived"
    missing = [module for module in AUTHOR_MODULES if importlib.util.find_spec(module) is None]
    if not missing:
        return Capability(name=name, is_available=True, detail="this interpreter has what it imports", advice=None)
    detail = f"this interpreter lacks {list_some(missing, at_most=8)}"
    return Capability(name=name, is_available=False, detail=detail, advice=AUTHOR_ENVIRONMENT)


def check_temporary_files() -> Capability:
    """Say whether there is a folder to unpack bundles into, and name what killed commands left there."""
    name = "room for unpacked bundles"
    try:
        with scratch_folder() as folder:
            place = folder.parent
    except UnavailableError as error:
        return Capability(name=name, is_available=False, detail=str(error), advice=None)
    abandoned = [str(path) for path in list_abandoned_scratch_folders()]
    free = f"{shutil.disk_usage(place).free / 1e9:.1f} GB free in {place}"
    if not abandoned:
        return Capability(name=name, is_available=True, detail=free, advice=None)
    advice = f"left by commands that were killed, and not needed: rm -r {shlex.join(abandoned)}"
    return Capability(name=name, is_available=True, detail=free, advice=advice)
