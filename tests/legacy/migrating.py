"""`migrate` of archives that are no bundles."""

from pathlib import Path

from hstu_preserve.primitives.voice import SILENT, Voice
from hstu_preserve.records.results import MigrationResult
from hstu_preserve.verbs.migrate import migrate


def migrate_archive(
    legacy: str | Path, *, md5_list: Path | None = None, output: Path | None = None, voice: Voice = SILENT
) -> MigrationResult:
    """Return the result of migrating a legacy archive."""
    result = migrate(legacy, md5_list=md5_list, output=output, voice=voice)
    assert isinstance(result, MigrationResult)
    return result
