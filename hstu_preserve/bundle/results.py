"""The recorded results in a bundle, read without unpacking it."""

from pathlib import Path

from hstu_preserve.bundle.layout import METRICS
from hstu_preserve.bundle.verification import read_member
from hstu_preserve.primitives.byte_sources import ByteSource
from hstu_preserve.records.evaluation import ResultsRecord
from hstu_preserve.records.manifest import Manifest

MAX_RESULTS_BYTES = 64 * 2**20


def read_results(path: Path | ByteSource, manifest: Manifest) -> ResultsRecord | None:
    """Return the recorded results, or None if the bundle has none."""
    if not any(file.path == METRICS for file in manifest.contents.files):
        return None
    content = read_member(path, member=METRICS, max_bytes=MAX_RESULTS_BYTES)
    return ResultsRecord.from_json(content, source=f"{path}: {METRICS}")
