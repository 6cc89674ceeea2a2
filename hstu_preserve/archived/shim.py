"""Adapt PyTorch in every process of somebody else's trainer, whose files stay as they are.

This file is copied to the run's folder as `sitecustomize.py`, which Python imports when it starts, in spawned workers,
too. It stands alone, since no other file of this program need be installed there; imported here, it changes nothing.

* For an evaluation, it puts the bundle's weights into the model as soon as `DistributedDataParallel` is constructed,
  and lets data loaders yield nothing while that model trains.
* For a CPU, it lets code that was written for one GPU run on the processor.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

VARIABLE = "HSTU_PRESERVE_SHIM"
PREFIXES = ("module.", "_orig_mod.", "model.")
FACTORIES = (
    *("arange", "as_tensor", "empty", "eye", "full", "linspace", "ones", "rand", "randint", "randn", "randperm"),
    *("tensor", "zeros", "empty_like", "full_like", "ones_like", "rand_like", "randn_like", "zeros_like"),
)
NUM_NAMED = 4


class Shim:
    """What the run was asked for, and the model once it is there."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.weights: str | None = settings["weights"]
        self.skips_training: bool = settings["skips_training"]
        self.is_on_cpu: bool = settings["is_on_cpu"]
        self.notes = Path(settings["notes"])
        self.model: Any = None
        self.has_skipped = False

    def note(self, sentence: str) -> None:
        """Leave a sentence for whoever explains how the run went."""
        with self.notes.open("a", encoding="utf-8") as stream:
            stream.write(f"{sentence}\n")

    def adapt(self, torch: Any) -> None:
        """Change PyTorch as far as the run needs it."""
        if self.is_on_cpu:
            stay_on_cpu(torch)
        if self.weights is not None:
            self.load_into_models(torch)
        if self.weights is not None and self.skips_training:
            self.empty_loaders()

    def load_into_models(self, torch: Any) -> None:
        """Let each model that is made parallel take the weights when it is constructed."""
        parallel = torch.nn.parallel.DistributedDataParallel
        construct = parallel.__init__

        def construct_with_weights(model: Any, module: Any, *args: Any, **kwargs: Any) -> None:
            construct(model, module, *args, **kwargs)
            if self.model is None:
                self.load(torch, module)
                self.model = model

        parallel.__init__ = construct_with_weights

    def load(self, torch: Any, module: Any) -> None:
        """Put the weights into a model; each of its tensors must be among them, and each of them among its tensors."""
        weights = {strip(name): value for name, value in torch.load(self.weights, weights_only=True).items()}
        own = {strip(name): (name, value) for name, value in module.state_dict().items()}
        wrong = [f"{name}: not in the code's model" for name in sorted(weights.keys() - own.keys())]
        wrong += [f"{name}: not in the checkpoint" for name in sorted(own.keys() - weights.keys())]
        wrong += [
            f"{name}: {tuple(weights[name].shape)} in the checkpoint, {tuple(own[name][1].shape)} in the code's model"
            for name in sorted(own.keys() & weights.keys())
            if own[name][1].shape != weights[name].shape
        ]
        if wrong:
            more = f" and {len(wrong) - NUM_NAMED} more" if len(wrong) > NUM_NAMED else ""
            self.note(f"the code's model does not take the weights: {'; '.join(wrong[:NUM_NAMED])}{more}")
            raise SystemExit(1)
        module.load_state_dict({own[name][0]: value for name, value in weights.items()}, strict=True)
        self.note("the weights were put into the model")

    def empty_loaders(self) -> None:
        """Let data loaders yield nothing while the model trains, so that its weights stay."""
        loaders = importlib.import_module("torch.utils.data").DataLoader
        iterate = loaders.__iter__

        def iterate_unless_training(loader: Any) -> Any:
            if self.model is None or not self.model.training:
                return iterate(loader)
            if not self.has_skipped:
                self.note("the training was skipped")
                self.has_skipped = True
            return iter(())

        loaders.__iter__ = iterate_unless_training


def strip(name: str) -> str:
    """Return a tensor's name without what wrappers put before it."""
    while prefix := next((one for one in PREFIXES if name.startswith(one)), ""):
        name = name[len(prefix) :]
    return name


def place(device: Any) -> Any:
    """Return the CPU for a GPU, however it is named, and anything else as it is."""
    is_number = isinstance(device, int) and not isinstance(device, bool)
    is_gpu = (isinstance(device, str) and device.startswith("cuda")) or getattr(device, "type", None) == "cuda"
    return "cpu" if is_number or is_gpu else device


def with_placed(function: Any, *keywords: str) -> Any:
    """Return the function, its devices placed on the CPU where they are given by keyword."""

    def call(*args: Any, **kwargs: Any) -> Any:
        for keyword in keywords:
            if keyword in kwargs:
                kwargs[keyword] = place(kwargs[keyword])
        return function(*args, **kwargs)

    return call


def stay_on_cpu(torch: Any) -> None:
    """Let code for one GPU run on the processor, in one process."""
    torch.cuda.device_count = lambda: 1
    torch.cuda.set_device = lambda device: None
    torch.cuda.synchronize = lambda device=None: None
    # It doubles the time, and hides no wrong number.
    torch.autograd.set_detect_anomaly = lambda mode, check_nan=True: contextlib.nullcontext()
    for name in FACTORIES:
        setattr(torch, name, with_placed(getattr(torch, name), "device"))
    for kind in (torch.Tensor, torch.nn.Module):
        move_to_cpu(kind)
    load = with_placed(torch.load, "map_location")
    torch.load = lambda *args, **kwargs: load(*args, **{"map_location": "cpu", **kwargs})
    meet_without_gpu(torch)


def move_to_cpu(kind: Any) -> None:
    """Let tensors or modules move to the CPU wherever they are moved to a GPU."""
    move = kind.to

    def to(moved: Any, *args: Any, **kwargs: Any) -> Any:
        return move(moved, *map(place, args), **{name: place(value) for name, value in kwargs.items()})

    kind.to = to
    kind.cuda = lambda moved, *args, **kwargs: moved


def meet_without_gpu(torch: Any) -> None:
    """Let processes meet through gloo, and make models parallel without naming a GPU."""
    parallel = torch.nn.parallel.DistributedDataParallel
    meet, construct = torch.distributed.init_process_group, parallel.__init__

    def init_process_group(backend: Any = None, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("device_id", None)
        return meet("gloo" if backend is None or "nccl" in str(backend) else backend, *args, **kwargs)

    def construct_without_gpu(model: Any, module: Any, *args: Any, **kwargs: Any) -> None:
        construct(model, module, **{key: kwargs[key] for key in kwargs if key not in {"device_ids", "output_device"}})

    torch.distributed.init_process_group = init_process_group
    parallel.__init__ = construct_without_gpu


class AfterTorch(importlib.abc.MetaPathFinder):
    """Finds PyTorch where Python does, and adapts it once it was imported; a process without it pays nothing."""

    def __init__(self, shim: Shim) -> None:
        self.shim = shim

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """Return the specification of PyTorch, adapted at the end of its import; of nothing else."""
        if fullname != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_adapt(module: Any) -> None:
            execute(module)
            self.shim.adapt(module)

        spec.loader.exec_module = execute_and_adapt  # type: ignore[method-assign]
        return spec


def run_hidden() -> None:
    """Run the environment's own `sitecustomize`, which this file hides."""
    here = os.path.realpath(os.path.dirname(__file__))  # noqa: PTH120  # as sys.path has it
    others = [folder for folder in sys.path if os.path.realpath(folder) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if VARIABLE in os.environ:
    sys.meta_path.insert(0, AfterTorch(Shim(json.loads(os.environ[VARIABLE]))))
    run_hidden()
