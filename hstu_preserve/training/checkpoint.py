"""Checkpoints: everything a run needs to continue, loadable with `weights_only=True`, named as upstream names them."""

import errno
import hashlib
import pickle
import random
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hstu_preserve.errors import CheckpointError, MissingPathError, UnavailableError
from hstu_preserve.primitives.checkpoint_files import require_safe_stream
from hstu_preserve.primitives.files import atomic_writer
from hstu_preserve.records.recipe import (
    HstuSettings,
    HstuTfSettings,
    ModelSettings,
    Recipe,
    SampledSoftmaxSettings,
)

# What torch.load raises on bytes that are no checkpoint, or that hold more than tensors and plain values. Its unpickler
# interprets the bytes, so that crafted ones end in almost any error of an interpreter.
UNREADABLE = (
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)

Content = dict[str, object]
"""Upstream's keys `epoch`, `model_state_dict` and `optimizer_state_dict`; ours add `batch_id`, `rng`, `recipe_sha256`,
`data_fingerprint` and `world_size`. Tensors and plain values only."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint as it was read, ours or upstream's.

    Attributes:
        path: Where it was read.
        epoch: The finished epoch, from 0.
        weights: Tensors by name, in our names or upstream's.
        recipe_sha256: Digest of the recipe, None in upstream's.
        data_fingerprint: Fingerprint of the store, None in upstream's.
        content: Everything the file holds.
    """

    path: Path
    epoch: int
    weights: dict[str, Tensor]
    recipe_sha256: str | None
    data_fingerprint: str | None
    content: Content


def model_string(recipe: Recipe) -> str:
    """Return upstream's description of a run, without the date: the checkpoint's name up to `_ep`.

    What upstream does not have comes last.
    """
    loss, training = recipe.loss, recipe.training
    temperature = f"-t{loss.temperature}" if loss.temperature != 1.0 else ""
    full_evaluation = recipe.evaluation.full_eval_every_n
    sampled = recipe.dataset.positional_sampling_ratio
    words = [
        f"{describe_encoder(recipe.model)}_{loss.interaction_module_type}",
        f"{describe_loss(recipe)}{temperature}{describe_negatives(recipe)}",
        "-ac" if loss.activation_checkpoint else "",
        f"-b{training.local_batch_size}-lr{training.learning_rate}-wu{training.num_warmup_steps}",
        f"-wd{format_whole(training.weight_decay)}{'' if training.enable_tf32 else '-notf32'}",
        f"-fe{full_evaluation}" if full_evaluation > 1 else "",
        f"-d{sampled}" if sampled < 1 else "",
        *describe_components(recipe),
    ]
    return "".join(words)


def describe_loss(recipe: Recipe) -> str:
    """Return the part of the description that names the loss and, where it samples, from what."""
    norm = f"-l2-eps{recipe.loss.l2_norm_eps}" if recipe.loss.item_l2_norm else ""
    if not isinstance(recipe.loss, SampledSoftmaxSettings):
        return f"_full{norm}_fs"
    strategy = recipe.loss.sampling_strategy
    return f"_{strategy}{norm}{'' if strategy == 'local' else '-dedup'}_ssl"


def describe_negatives(recipe: Recipe) -> str:
    """Return how many negatives there are, nothing where the loss takes all candidates."""
    return f"-n{recipe.loss.num_negatives}" if isinstance(recipe.loss, SampledSoftmaxSettings) else ""


def describe_components(recipe: Recipe) -> Iterator[str]:
    """Yield a word for each component that upstream does not have."""
    if recipe.prism:
        yield f"-prism_{recipe.prism.variant}"
    if recipe.input_compression:
        yield f"-ic_{recipe.input_compression.pooling}{recipe.input_compression.ratio}"
    if recipe.action_fusion:
        yield "-af"
    if recipe.time_decay:
        yield f"-td_{recipe.time_decay.where}_{recipe.time_decay.mode}"
    if recipe.hard_negatives:
        yield f"-hn{recipe.hard_negatives.fraction}"
    if recipe.pop_debias:
        yield f"-pd_{recipe.pop_debias.mode}"
    if isinstance(recipe.model, HstuSettings) and recipe.model.attention_normalization == "real_length":
        yield "-real"


def describe_encoder(settings: ModelSettings) -> str:
    """Return upstream's `debug_str` of the encoder, and one in its manner for HSTU-TF."""
    if isinstance(settings, HstuSettings):
        return (
            f"HSTU-b{settings.num_blocks}-h{settings.num_heads}-dqk{settings.dqk}-dv{settings.dv}"
            f"-l{settings.linear_activation}d{settings.linear_dropout_rate}-ad{settings.attn_dropout_rate}"
        )
    if isinstance(settings, HstuTfSettings):
        return (
            f"HSTU-TF-d{settings.item_embedding_dim}-b{settings.num_blocks}-h{settings.num_heads}"
            f"-d{settings.dropout_rate}-{settings.padding_from}"
        )
    norm = "l2" if settings.user_embedding_norm == "l2_norm" else "ln"
    return (
        f"SASRec-d{settings.item_embedding_dim}-b{settings.num_blocks}-h{settings.num_heads}"
        f"-posi_d{settings.dropout_rate}-{norm}"
        f"-ffn{settings.ffn_hidden_dim}-{settings.ffn_activation_fn}-d{settings.ffn_dropout_rate}"
    )


def format_whole(value: float) -> str:
    """Return a whole float without its fraction, as the gin files write it."""
    return str(int(value)) if value == int(value) else str(value)


def capture_state(
    model: nn.Module, optimizer: Optimizer, *, epoch: int, batch_id: int, recipe: Recipe, data_fingerprint: str
) -> Content:
    """Return the state after `epoch` (from 0) and `batch_id` steps (from the start of the run)."""
    return {
        "epoch": epoch,
        "batch_id": batch_id,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "rng": capture_rng(),
        "recipe_sha256": recipe.digest(),
        "data_fingerprint": data_fingerprint,
        "world_size": 1,
    }


def capture_rng() -> Content:
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


def write_checkpoint(path: Path, content: Content) -> None:
    """Write a checkpoint, whole or not at all; equal states give equal bytes.

    Raises:
        UnavailableError: The file cannot be written.
    """
    with atomic_writer(path) as stream:
        torch.save(content, stream)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of ours or of upstream; torch sees it only after a walk that found tensors and plain values.

    Raises:
        MissingPathError: There is no such file.
        CheckpointError: Damaged, or it holds other objects than a checkpoint has.
    """
    if not path.is_file():
        raise MissingPathError(f"{path}: no such checkpoint")
    content = load_plain_values(path)
    epoch, weights = content.get("epoch"), content.get("model_state_dict")
    recipe_sha256, data_fingerprint = content.get("recipe_sha256"), content.get("data_fingerprint")
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in weights.items()
    ):
        raise CheckpointError(f"{path}: holds no model_state_dict of tensors by name")
    if type(epoch) is not int or epoch < 0:
        raise CheckpointError(f"{path}: holds no epoch")
    return Checkpoint(
        path=path,
        epoch=epoch,
        weights=weights,
        recipe_sha256=recipe_sha256 if isinstance(recipe_sha256, str) else None,
        data_fingerprint=data_fingerprint if isinstance(data_fingerprint, str) else None,
        content=content,
    )


def load_plain_values(path: Path) -> Content:
    """Return the mapping that a file of `torch.save` holds, an empty one where it holds something else.

    Raises:
        CheckpointError: Damaged, or it holds more than tensors and plain values.
    """
    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            require_safe_stream(stream, source=path)
            warnings.simplefilter("ignore")  # of pickle protocols; what cannot be read is said below
            value = torch.load(stream, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise CheckpointError(f"{path}: not a checkpoint that can be read safely ({reason})") from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # torch seeks before the start where the end is missing
            raise CheckpointError(f"{path}: not a checkpoint that can be read safely (truncated)") from None
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None
    return value if isinstance(value, dict) else {}


def state_digest(content: Mapping[str, object]) -> str:
    """Return the sha256 of every value in a checkpoint, by name: equal for equal states, whatever the file's bytes."""
    total = hashlib.sha256()
    for name, value in walk_values("", content):
        if isinstance(value, Tensor):
            array = value.detach().cpu().contiguous()
            total.update(f"{name}={array.dtype}{tuple(array.shape)}:".encode())
            total.update(array.flatten().view(torch.uint8).numpy().tobytes() if array.numel() else b"")
        else:
            total.update(f"{name}={value!r};".encode())
    return total.hexdigest()


def walk_values(name: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield every tensor and plain value below `value` with its path, mappings in the order of their keys' text."""
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from walk_values(f"{name}/{key}", value[key])
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from walk_values(f"{name}/{position}", item)
    else:
        yield name, value
