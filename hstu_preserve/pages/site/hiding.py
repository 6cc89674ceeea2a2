"""Cut places of this machine out of what is published: where its writer keeps files is nobody's business."""

from dataclasses import replace
from pathlib import Path

from hstu_preserve.pages.judged import Judged


def hide_places(judged: Judged) -> Judged:
    """Return what is known of a judged bundle with names for the paths in it."""
    reproduction = judged.reproduction
    folders = {reproduction.path.parent, *(() if judged.record_path is None else (judged.record_path.parent,))}
    is_path = Path(reproduction.target) == reproduction.path
    shown = {"path": Path(reproduction.path.name), "target": reproduction.path.name if is_path else reproduction.target}
    return replace(
        judged,
        reproduction=reproduction.model_copy(update=shown),
        record_path=None if judged.record_path is None else Path(judged.record_path.name),
        certificates=[
            one.model_copy(
                update={
                    "path": Path(one.path).name,
                    "problem": None if one.problem is None else hide_folders(one.problem, folders),
                }
            )
            for one in judged.certificates
        ],
        gaps=[hide_folders(gap, folders) for gap in judged.gaps],
    )


def hide_folders(text: str, folders: set[Path]) -> str:
    """Return a sentence with the names of files instead of their paths."""
    for folder in sorted(folders, key=lambda one: -len(str(one))):
        text = text.replace(f"{folder}/", "") if folder != Path() else text
    return text
