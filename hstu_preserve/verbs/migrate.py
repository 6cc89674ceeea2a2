"""Make a native bundle of a legacy archive, or of a bundle of an earlier schema version; keep every byte."""

from pathlib import Path

from hstu_preserve.bundle import archive
from hstu_preserve.bundle.destinations import require_new
from hstu_preserve.bundle.tree import seal
from hstu_preserve.errors import UsageError, VerificationError
from hstu_preserve.legacy.extraction import extract
from hstu_preserve.legacy.migration import describe_archive, place_files, require_legacy, work_directory
from hstu_preserve.legacy.verification import verify_legacy
from hstu_preserve.library.sources import find_here
from hstu_preserve.library.standard_input import choose_list
from hstu_preserve.library.upgrading import is_earlier, upgrade
from hstu_preserve.primitives.archive_names import name_migrated
from hstu_preserve.primitives.given_paths import as_path
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.contents import describe_findings
from hstu_preserve.records.results import MigrationResult, UpgradeResult


def migrate(
    legacy: str | Path, *, md5_list: str | Path | None = None, output: str | Path | None = None, voice: Voice = SILENT
) -> MigrationResult | UpgradeResult:
    """Verify a legacy archive and write a native bundle of its files and of the facts that they state.

    The same archive under the same name, with the same list, gives the same bundle. The archive is only read.
    A bundle of an earlier schema version becomes one of the present version, which names the earlier one.

    Args:
        legacy: An archive as any `tar czf` writes it, or a bundle of an earlier schema version.
        md5_list: What vouches for it: Markdown, JSON or lines of checksum tools; None takes a `MANIFEST.md` beside it.
        output: The bundle; None takes the archive's name with `.migrated.tar.gz`, in the current directory.
        voice: Shows the progress of each of the three passes over the files, in bytes.

    Raises:
        UsageError: It is a native bundle of the present version already, or a directory, or the output exists; or a
            list was named for a bundle, which needs none.
        VerificationError: The archive is damaged, holds a forbidden entry, or differs from a list; nothing is written.
        ContentError: It cannot become a bundle, or changed meanwhile; nothing is written.
        UnavailableError: It cannot be read, or the output cannot be written; nothing is left behind.
    """
    md5_list, output = as_path(md5_list), as_path(output)
    source = find_here(str(legacy), voice=voice)
    path = source.path
    if is_earlier(source):
        if md5_list is not None:
            raise UsageError(f"--md5-list: {path} is a bundle, whose own manifest has every digest; leave the list out")
        return upgrade(source, output=output, voice=voice)
    require_legacy(path)
    destination = output or Path(name_migrated(path.name))
    require_new(destination, option="--output")
    verification = verify_legacy(path, md5_list=choose_list(md5_list), voice=voice)
    if verification.findings:
        headline = f"{path}: not migrated, the archive is refused (tolerant profile)"
        raise VerificationError(describe_findings(headline, verification.findings), findings=verification.findings)
    files = place_files(verification.files, source=path)
    # The archive is read twice: it is verified whole before the first byte of it is written, and the second pass must
    # give the same digests. So a damaged archive leaves nothing, and one that changes meanwhile is noticed.
    with work_directory(destination) as folder:
        tree = folder / "tree"
        size = extract(path, files, destination=tree, verification=verification, voice=voice)
        manifest = describe_archive(path, files, tree=tree, size=size, verification=verification)
        seal(tree, manifest=manifest)
        packed = archive.pack(tree, output=destination, voice=voice)
    return MigrationResult(
        bundle=packed,
        source=manifest.source,
        statements=manifest.statements,
        unknown=tuple(binding for chain in manifest.chains for binding in chain.unknown),
        problems=manifest.problems,
    )
