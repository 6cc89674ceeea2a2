"""Pack a finished run into one bundle."""

from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.bundle import archive
from hstu_preserve.bundle.destinations import require_new
from hstu_preserve.bundle.layout import RUN_RECORD
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.errors import MissingPathError, UsageError, VerificationError
from hstu_preserve.primitives.given_paths import as_path
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.manifest import MANIFEST_NAME
from hstu_preserve.records.results import PackResult


def pack(
    run: str | Path,
    *,
    output: str | Path | None = None,
    references: Sequence[str | Path] = (),
    voice: Voice = SILENT,
) -> PackResult:
    """Write a run directory's one canonical archive.

    Args:
        run: The directory that `train` made, or an unpacked bundle.
        output: The bundle; None names it after `bundle.id` or the migrated archive, in the current directory.
        references: Other finished runs or bundles of the recipe, one for each further seed in `claim.seeds`: the bundle
            holds their results and ranks, and its claims rest on all of them.
        voice: Shows progress, in bytes.

    Raises:
        MissingPathError: There is no such directory.
        UsageError: It is no finished run, the output exists, or no run of a listed seed was named.
        ContentError: The directory differs from its manifest, or changes while it is read; or a reference is of another
            recipe, data or policy, or of a seed that is not listed or was there already.
    """
    output = as_path(output)
    root = Path(run)
    if not root.exists():
        raise MissingPathError(f"{root}: no such directory")
    if not root.is_dir():
        raise UsageError(f"{root}: not a run directory; 'hstu-preserve train' makes one")
    if not (root / MANIFEST_NAME).exists():
        raise UsageError(describe_missing_manifest(root))
    stored = read_tree_manifest(root)
    destination = output or Path(stored.record.default_file_name)
    require_new(destination, option="--output")
    additions = None
    if references:
        from hstu_preserve.retraining.gathered_references import gather_references  # most runs are packed alone

        additions = gather_references(stored.manifest, [Path(reference) for reference in references])
    return archive.pack(root, output=destination, additions=additions, voice=voice)


def pack_and_verify(
    run: str | Path,
    *,
    output: Path | None = None,
    references: Sequence[str | Path] = (),
    voice: Voice = SILENT,
) -> PackResult:
    """Pack as `pack` does, then read the finished file once more and verify it; a bad one is removed.

    Raises:
        VerificationError: The file differs from the bytes that were packed: a fault of disk or memory.
    """
    result = pack(run, output=output, references=references, voice=voice)
    verification = verify_bundle(result.path, voice=voice)
    if not verification.ok or verification.transport_sha256 != result.transport_sha256:
        result.path.unlink()
        raise VerificationError(verification.describe(), findings=verification.findings)
    return result


def describe_missing_manifest(root: Path) -> str:
    """Say why a directory without a manifest cannot be packed."""
    if (root / RUN_RECORD).exists():
        return f"{root}: the run did not finish (no {MANIFEST_NAME}); go on with it by 'hstu-preserve train … --resume'"
    return f"{root}: not a run directory (no {MANIFEST_NAME}); 'hstu-preserve train' makes one"
