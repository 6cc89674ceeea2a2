"""Record one run of somebody else's code: what was run, on what, in which environment, and how it ended."""

from hstu_preserve.primitives.digests import Sha256
from hstu_preserve.records.record import Record, SchemaVersion
from hstu_preserve.records.verdict import Fact


class ArchivedRunRecord(Record):
    """A run of the code that came with a bundle."""

    schema_version: SchemaVersion
    rung: str
    command: tuple[str, ...]
    environment: dict[str, str]
    """All of it: nothing else was handed to the code."""
    code: str
    """Where the code was, as it was named."""
    code_sha256: Sha256
    entry: str
    chain_sha256: Sha256
    """Of the bundle's gin chain, written as one file."""
    overlay: tuple[str, ...]
    """The bindings that followed it in this run."""
    gin_sha256: Sha256
    """Of the chain and the overlay: what the code read."""
    differing_files: tuple[str, ...]
    """Gin files of the bundle whose namesake in the code is another one."""
    shim_sha256: Sha256
    device: str
    versions: dict[str, str]
    gpus: tuple[str, ...]
    staged: tuple[Fact, ...]
    """Digests of the files that the code found in its folder."""
    return_code: int | None
    """None if the run was interrupted."""
    seconds: float | None
    ended: str
    """How it ended, in a sentence."""

    def list_evidence(self) -> tuple[Fact, ...]:
        """Return what a verdict on this run rests on, a fact each."""
        facts = {
            "code_sha256": self.code_sha256,
            "entry": self.entry,
            "chain_sha256": self.chain_sha256,
            "gin_sha256": self.gin_sha256,
            "overlay": "; ".join(self.overlay),
            "shim_sha256": self.shim_sha256,
            "device": self.device,
            "gpu": ", ".join(self.gpus) if self.device == "cuda" else None,
            **{f"version {name}": version for name, version in self.versions.items()},
            "seconds": None if self.seconds is None else round(self.seconds, 1),
        }
        differing = {"gin files that differ from the code's": ", ".join(self.differing_files)}
        named = {**facts, **(differing if self.differing_files else {})}
        return (*(Fact(name=name, value=value) for name, value in named.items() if value is not None), *self.staged)
