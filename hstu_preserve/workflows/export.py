"""Write what a bundle holds in somebody else's format."""

from pathlib import Path

from hstu_preserve.errors import UsageError
from hstu_preserve.primitives.digests import sha256_of_file
from hstu_preserve.primitives.files import write_atomically
from hstu_preserve.records.results import ExportResult
from hstu_preserve.workflows.bundles import open_bundle
from hstu_preserve.workflows.model_cards import write_card_of
from hstu_preserve.workflows.targets import require_local

META_CHECKPOINT = "meta-checkpoint"
MODEL_CARD = "model-card"
FORMATS = (META_CHECKPOINT, MODEL_CARD)


def export(target: str | Path, *, output: Path, format: str = META_CHECKPOINT) -> ExportResult:  # noqa: A002  the option's name
    """Write a bundle's weights as upstream's DDP-wrapped model saves them, or its model card for the Hub.

    Upstream never loads a checkpoint for training, so the optimizer's state is left out: `epoch` and
    `model_state_dict` with `module.` names and the causal mask.

    Args:
        target: A bundle, run directory or `sample`.
        output: The new file.
        format: `meta-checkpoint` or `model-card`.

    Raises:
        UsageError: Another format, or the output exists.
        VerificationError: The bundle is not what its manifest says.
        CheckpointError: The checkpoint cannot be read or is not the recipe's.
    """
    if format not in FORMATS:
        raise UsageError(f"--format {format}: unknown; choose {', '.join(FORMATS)}")
    if output.exists():
        raise UsageError(f"{output}: exists; name another file with --output")
    if format == MODEL_CARD:
        write_atomically(output, write_card_of(target).encode())
    else:
        write_meta_checkpoint(target, output=output)
    return ExportResult(path=output, format=format, sha256=sha256_of_file(output))


def write_meta_checkpoint(target: str | Path, *, output: Path) -> None:
    """Write a bundle's weights under upstream's names."""
    from hstu_preserve.model.upstream_weights import build_for_weights, to_upstream
    from hstu_preserve.training.checkpoint import read_checkpoint, write_checkpoint

    with open_bundle(require_local(str(target)).path, identity=None) as bundle:
        checkpoint = read_checkpoint(bundle.checkpoint)
        model = build_for_weights(bundle.manifest.run.recipe, checkpoint.weights, source=bundle.manifest.checkpoint)
        write_checkpoint(output, {"epoch": checkpoint.epoch, "model_state_dict": to_upstream(model)})
