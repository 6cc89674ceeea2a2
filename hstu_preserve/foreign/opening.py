"""Open an archive that somebody else made, or the bundle that it became, for its weights to be evaluated."""

from collections.abc import Iterator
from contextlib import contextmanager

from hstu_preserve.bundle.opening import open_verified
from hstu_preserve.errors import VerificationError
from hstu_preserve.legacy.consistency import read_migrated_tree
from hstu_preserve.legacy.foreign_archive import ForeignArchive, take_legacy, take_migrated
from hstu_preserve.legacy.verification import inspect_legacy
from hstu_preserve.library.catalog import find_by_file_name
from hstu_preserve.library.sources import Form, Source
from hstu_preserve.library.verification import complete
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.contents import describe_findings


@contextmanager
def open_foreign(source: Source, *, voice: Voice) -> Iterator[ForeignArchive]:
    """Yield a legacy archive or a migrated bundle whose bytes agree with every digest that exists.

    Raises:
        VerificationError: They do not; every finding is named.
    """
    if source.form is Form.LEGACY:
        yield inspect(source, voice=voice)
        return
    with open_verified(source.path, known=source.stored, voice=voice) as tree:
        verification = complete(tree.verification, source, trusted=None)
        if not verification.ok:
            raise VerificationError(verification.describe(), findings=verification.findings)
        migrated = read_migrated_tree(tree)
        entry = source.entry or find_by_file_name(migrated.manifest.source.name)
        yield take_migrated(migrated, target=source.text, entry=entry)


def inspect(source: Source, *, voice: Voice) -> ForeignArchive:
    """Return a legacy archive that was read whole.

    Raises:
        VerificationError: It differs from a digest, or is damaged.
    """
    path = source.path
    entry = source.entry or find_by_file_name(path.name)
    inspected = inspect_legacy(path, entry=entry, voice=voice)
    verification = inspected.verification
    if verification.findings:
        headline = f"{path}: damaged, or not what its lists say; nothing of it is evaluated"
        raise VerificationError(describe_findings(headline, verification.findings), findings=verification.findings)
    return take_legacy(inspected, path, target=source.text, entry=entry, voice=voice)
