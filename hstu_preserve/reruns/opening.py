"""Open a run's bundle for re-runs, and refuse other targets before anything is unpacked."""

from collections.abc import Iterator
from contextlib import contextmanager

from hstu_preserve.bundle.opening import open_tree
from hstu_preserve.errors import UsageError
from hstu_preserve.library.sources import Form, Source
from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.manifest import NO_RUN
from hstu_preserve.reruns.opened_bundle import OpenedBundle


@contextmanager
def open_run(source: Source, *, voice: Voice = SILENT) -> Iterator[OpenedBundle]:
    """Yield the files of a run's bundle: a directory where it is, an archive unpacked into a temporary directory.

    Raises:
        UsageError: It is no run but a legacy archive, migrated or not, which is not even unpacked.
        VerificationError: It is not what its manifest says.
        ContentError: It changed since it was looked at.
    """
    if source.form is Form.LEGACY:
        raise UsageError(f"{source.path}: a legacy archive, {NO_RUN}")
    manifest = source.require_manifest().manifest  # what is no run is refused before gigabytes are unpacked
    with open_tree(source.path, known=source.stored, voice=voice) as root:
        yield OpenedBundle(root=root, manifest=manifest, entry=source.entry)
