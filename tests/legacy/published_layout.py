"""Archives of the published layout, made as their authors make them: `tar czf`, with a number printed and recorded."""

import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from hstu_preserve.event_files.writer import EventWriter

GIN = b"train_fn.num_epochs = 101\n"
FULL = "eval_epoch_full/ndcg@10"
EACH = "eval_epoch/ndcg@10"
Point = tuple[str, int, float]


@dataclass(kw_only=True)
class Layout:
    """What goes into an archive; `events` are the points of each event file, by the second at which it was begun."""

    manifest: str | None = '{"ndcg@10": 0.1948, "epoch": 100}'
    events: Mapping[int, Sequence[Point]] = field(default_factory=lambda: {1_700_000_000: rising_curve()})
    checkpoints: Mapping[str, bytes] = field(default_factory=lambda: {"HSTU-b8_ep100": b"weights"})
    gin: Mapping[str, bytes] = field(default_factory=lambda: {"config/exp.gin": GIN})
    other: Mapping[str, bytes] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """Write the archive, and a list of md5 digests beside it that has it as it is."""
        path.parent.mkdir(parents=True, exist_ok=True)
        files = {**self.gin, **{f"ckpts/{name}": content for name, content in self.checkpoints.items()}, **self.other}
        for begun, points in self.events.items():
            files[f"tb/HSTU-b8/events.out.tfevents.{begun}.host"] = make_events(points, begun=begun, folder=path.parent)
        if self.manifest is not None:
            files["MANIFEST.json"] = self.manifest.encode()
        with tarfile.open(path, "w:gz") as archive:
            for name, content in files.items():
                header = tarfile.TarInfo(name)
                header.size = len(content)
                archive.addfile(header, BytesIO(content))
        list_digest(path)
        return path


def list_digest(path: Path) -> None:
    """Add an archive to the list of its folder."""
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    with (path.parent / "MANIFEST.md").open("a") as stream:
        stream.write(f"{digest}  {path.name}\n")


def rising_curve(*, tag: str = EACH, end: float = 0.194812, epochs: int = 101) -> list[Point]:
    """Return a curve that rises to its end."""
    return [(tag, epoch, end - 0.001 * (epochs - 1 - epoch)) for epoch in range(epochs)]


def make_events(points: Sequence[Point], *, begun: int, folder: Path) -> bytes:
    with EventWriter.create(folder, wall_time=float(begun), suffix="made") as writer:
        for position, (tag, step, value) in enumerate(points):
            writer.scalar(tag, value=value, step=step, wall_time=begun + position)
    content = writer.path.read_bytes()
    writer.path.unlink()
    return content


def report_as(text: str, *, key: str = "ndcg@10", epoch: int | None = 100) -> str:
    """Return a manifest that prints a number exactly so."""
    said = "" if epoch is None else f', "epoch": {epoch}'
    return f'{{"experiment": "exp", "results": {{{json.dumps(key)}: {text}{said}}}}}'
