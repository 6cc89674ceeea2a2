"""Write what a bundle holds in somebody else's format."""

from pathlib import Path

from hstu_preserve.errors import UsageError
from hstu_preserve.model.upstream_weights import build_for_weights, to_upstream
from hstu_preserve.primitives.digests import sha256_of_file
from hstu_preserve.records.results import ExportResult
from hstu_preserve.training.checkpoint import read_checkpoint, write_checkpoint
from hstu_preserve.workflows.bundles import open_bundle
from hstu_preserve.workflows.targets import require_local

META_CHECKPOINT = "meta-checkpoint"
FORMATS = (META_CHECKPOINT,)


def export(target: str | Path, *, output: Path, format: str = META_CHECKPOINT) -> ExportResult:  # noqa: A002  the option's name
    """Write a bundle's weights as upstream's DDP-wrapped model saves them.

    Upstream never loads a checkpoint for training, so the optimizer's state is left out: `epoch` and
    `model_state_dict` with `module.` names and the causal mask.

    Args:
        target: A bundle, run directory or `sample`.
        output: The new file.
        format: `meta-checkpoint`.

    Raises:
        UsageError: Another format, or the output exists.
        CheckpointError: The checkpoint cannot be read or is not the recipe's.
    """
    if format not in FORMATS:
        raise UsageError(f"--format {format}: unknown; choose {', '.join(FORMATS)}")
    if output.exists():
        raise UsageError(f"{output}: exists; name another file with --output")
    with open_bundle(require_local(str(target)).path, identity=None) as bundle:
        checkpoint = read_checkpoint(bundle.checkpoint)
        model = build_for_weights(bundle.manifest.run.recipe, checkpoint.weights, source=bundle.manifest.checkpoint)
        write_checkpoint(output, {"epoch": checkpoint.epoch, "model_state_dict": to_upstream(model)})
    return ExportResult(path=output, format=format, sha256=sha256_of_file(output))
