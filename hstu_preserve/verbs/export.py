"""Write a bundle, or a part of it, in a format of somebody else's."""

from pathlib import Path

from hstu_preserve.bundle.destinations import new_folder, require_new
from hstu_preserve.errors import UsageError
from hstu_preserve.library.sources import Source, obtain
from hstu_preserve.primitives.digests import sha256_of_file
from hstu_preserve.primitives.files import write_new
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.publication.model_cards import write_card_of
from hstu_preserve.records.results import ExportResult

META_CHECKPOINT = "meta-checkpoint"
MODEL_CARD = "model-card"
TREC = "trec"
RO_CRATE = "ro-crate"
FORMATS = (META_CHECKPOINT, MODEL_CARD, TREC, RO_CRATE)


def export(
    target: str | Path,
    *,
    output: str | Path,
    format: str = META_CHECKPOINT,  # noqa: A002  the option's name
    voice: Voice = SILENT,
) -> ExportResult:
    """Write a bundle's weights as upstream's DDP-wrapped model saves them, or the bundle in somebody else's format.

    Upstream never loads a checkpoint for training, so the optimizer's state is left out: `epoch` and
    `model_state_dict` with `module.` names and the causal mask. Ranks are two files, `output`.qrels and `output`.run.

    Args:
        target: A bundle, run directory, `sample`, a catalog id or an `hf://` address; it is fetched if it is not here.
        output: The new file; of `trec`, what the names of its two files begin with; of `ro-crate`, a new folder.
        format: `meta-checkpoint`, `model-card`, `trec` or `ro-crate`.
        voice: Shows the transfer, in bytes; before it begins, names the file and its size.

    Raises:
        UsageError: Another format, or the output exists or lies in a run, bundle or store.
        VerificationError: The bundle differs from its manifest.
        CheckpointError: The checkpoint cannot be read or is not the recipe's.
        ContentError: The ranks do not give the figures that the bundle records.
    """
    output = Path(output)
    if format not in FORMATS:
        raise UsageError(f"--format {format}: unknown; choose {', '.join(FORMATS)}")
    if format == TREC:
        return export_trec(str(target), output=output, voice=voice)
    if format == RO_CRATE:
        return export_crate(str(target), output=output, voice=voice)
    require_new(output, option="--output")
    source = obtain(str(target), voice=voice)
    if format == MODEL_CARD:
        write_new(output, write_card_of(source).encode())
    else:
        write_meta_checkpoint(source, output=output)
    return ExportResult(path=output, format=format, sha256=sha256_of_file(output))


def write_meta_checkpoint(source: Source, *, output: Path) -> None:
    """Write a bundle's weights under upstream's names."""
    from hstu_preserve.model.upstream_weights import build_for_weights, to_upstream
    from hstu_preserve.reruns.opening import open_run
    from hstu_preserve.training.checkpoint import read_checkpoint, write_new_checkpoint

    with open_run(source) as bundle:
        checkpoint = read_checkpoint(bundle.checkpoint)
        model = build_for_weights(bundle.manifest.run.recipe, checkpoint.weights, source=bundle.manifest.checkpoint)
        write_new_checkpoint(output, {"epoch": checkpoint.epoch, "model_state_dict": to_upstream(model)})


def export_trec(target: str, *, output: Path, voice: Voice) -> ExportResult:
    """Write a bundle's ranks as the two files that TREC's evaluators read."""
    from hstu_preserve.evaluation.trec import name_files, write_trec
    from hstu_preserve.reruns.opening import open_run
    from hstu_preserve.reruns.recorded_results import check_ranks

    paths = name_files(output)
    for path in (paths.qrels, paths.run):
        require_new(path, option="--output")
    with open_run(obtain(target, voice=voice), voice=voice) as bundle:
        check_ranks(bundle)
        write_trec(paths, bundle.ranks)
    return ExportResult(path=paths.run, format=TREC, sha256=sha256_of_file(paths.run), qrels=paths.qrels)


def export_crate(target: str, *, output: Path, voice: Voice) -> ExportResult:
    """Write a packed bundle into a new folder, with the description that makes the folder a Process Run Crate."""
    from hstu_preserve.publication.ro_crate import METADATA_NAME, write_crate

    with new_folder(output, option="--output") as folder:
        digest = sha256_of_file(write_crate(obtain(target, voice=voice), folder=folder, voice=voice))
    return ExportResult(path=output / METADATA_NAME, format=RO_CRATE, sha256=digest)
