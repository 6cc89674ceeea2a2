"""Run the prepared code once, and keep what it wrote together with how it ended."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hstu_preserve.archived import shim
from hstu_preserve.archived.code import list_folder
from hstu_preserve.archived.inlining import inline_chain
from hstu_preserve.archived.interpreter import make_environment
from hstu_preserve.archived.preparation import Prepared, read_shim
from hstu_preserve.archived.process_groups import Ended, find_free_port, run_group
from hstu_preserve.archived.run_record import ArchivedRunRecord
from hstu_preserve.archived.settings import ArchivedBundle, StageData
from hstu_preserve.archived.workspace import describe_staged, list_staged, make_work_folder, stage
from hstu_preserve.errors import NotRunnableError
from hstu_preserve.primitives.digests import sha256_of_bytes
from hstu_preserve.primitives.files import refuse_unwritable, write_new
from hstu_preserve.primitives.paths import GIN_SUFFIX
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.primitives.wording import describe_duration, list_some, printable
from hstu_preserve.records.record import SCHEMA_VERSION
from hstu_preserve.records.verdict import Fact

WORK_FOLDER, SHIM_FOLDER = "work", "shim"
GIN_NAME, WEIGHTS_NAME, NOTES_NAME, RECORD_NAME = "chain.gin", "weights.pt", "notes.txt", "run.json"
STDOUT_NAME, STDERR_NAME = "stdout.txt", "stderr.txt"
INTERRUPTED = "interrupted before it ended; every process of it was ended"
MAX_QUOTED_BYTES = 4096
MAX_QUOTED_CHARACTERS = 200
MAX_NOTES_BYTES = 2**16
MAX_NAMED = 4
SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One run that is asked for.

    Attributes:
        rung: `evaluation`, `resume` or `training`, or one of several evaluations; also the name of its folder.
        overlay: The bindings that follow the bundle's.
        weights: A file of tensors that are put into the model; None for a run that has its own.
        skips_training: Whether data loaders yield nothing while the model trains.
    """

    rung: str
    overlay: tuple[str, ...]
    weights: Path | None
    skips_training: bool


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run that ended with 0.

    Attributes:
        written: The files that it made below its folder; those that it found there are none of its own.
        record: What was run, and how it ended.
    """

    written: tuple[Path, ...]
    record: ArchivedRunRecord


def hide_secret(name: str, value: str) -> str:
    """Return a variable's value for the record, unless its name says that it is a secret."""
    return "(not recorded)" if SECRET.search(name) else value


class Running:
    """One run of the code: its folder is laid out, the code runs, and the record says how it ended."""

    def __init__(self, prepared: Prepared, request: Request, *, bundle: ArchivedBundle) -> None:
        self.prepared = prepared
        self.request = request
        self.folder = prepared.settings.output / request.rung
        self.work = self.folder / WORK_FOLDER
        self.bundle = bundle
        self.chain = inline_chain(bundle.gins, entry=bundle.entry, root=bundle.root, overlay=request.overlay)
        self.ended: Ended | None = None

    def run(self, *, stage_data: StageData | None, voice: Voice) -> Finished:
        """Run the code to its end.

        Raises:
            NotRunnableError: It did not end with 0, or not in time, or changed its own code.
            UsageError: What is staged stands in the code's way.
            UnavailableError: The folder cannot be written, or the interpreter does not start.
        """
        self.lay_out(stage_data)
        found = frozenset(list_staged(self.work))
        staged = describe_staged(self.work)
        command, environment = self.make_command(), self.make_environment()
        voice.say(f"running {self.prepared.entry} for {self.request.rung}; it prints to {self.folder / STDOUT_NAME}")
        sentence = INTERRUPTED
        try:
            self.ended = run_group(
                command,
                folder=self.work,
                environment=environment,
                stdout=self.folder / STDOUT_NAME,
                stderr=self.folder / STDERR_NAME,
                timeout_seconds=self.prepared.settings.timeout_seconds,
                voice=voice,
            )
            problem = self.find_problem(self.ended)
            sentence = problem or f"ended with 0 after {describe_duration(self.ended.seconds)}"
        finally:
            record = self.describe(command, environment, staged=staged, sentence=sentence)
            write_new(self.folder / RECORD_NAME, record.to_json())
        if problem is not None:
            raise NotRunnableError(f"{problem}; its output is in {self.folder}")
        written = tuple(path for path in list_staged(self.work) if path not in found)
        return Finished(written=written, record=record)

    def lay_out(self, stage_data: StageData | None) -> None:
        """Write everything that the run reads."""
        with refuse_unwritable(self.folder):
            self.folder.mkdir()
            (self.folder / SHIM_FOLDER).mkdir()
        make_work_folder(self.work, code=self.prepared.root)
        stage(self.prepared.settings.stages, self.work)
        if stage_data is not None:
            stage_data(self.work)
        write_new(self.folder / GIN_NAME, self.chain.text.encode())
        write_new(self.folder / SHIM_FOLDER / "sitecustomize.py", read_shim())

    def make_command(self) -> tuple[str, ...]:
        """Return the command line, as upstream documents it."""
        return (
            str(self.prepared.interpreter.path),
            str((self.prepared.root / self.prepared.entry).absolute()),
            f"--gin_config_file={(self.folder / GIN_NAME).absolute()}",
            f"--master_port={find_free_port()}",
        )

    def make_environment(self) -> dict[str, str]:
        """Return all variables that the code is given."""
        weights = self.request.weights
        settings = {
            "weights": None if weights is None else str(weights.absolute()),
            "skips_training": self.request.skips_training,
            "is_on_cpu": self.prepared.device == "cpu",
            "notes": str((self.folder / NOTES_NAME).absolute()),
        }
        top = (self.prepared.root / PurePosixPath(self.prepared.entry).parts[0]).absolute()
        folders = [(self.folder / SHIM_FOLDER).absolute(), top if top.is_dir() else self.prepared.root.absolute()]
        user = self.prepared.settings.environment
        own = {
            "PYTHONPATH": ":".join([*map(str, folders), *([user["PYTHONPATH"]] if "PYTHONPATH" in user else [])]),
            shim.VARIABLE: json.dumps(settings),
        }
        inherited = make_environment({})
        return {**inherited, **self.choose_gpus(inherited), **user, **own}

    def choose_gpus(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return which GPUs the code may see: as many as the bundle's run had, since it starts a worker on each."""
        if self.prepared.device == "cpu":
            return {"CUDA_VISIBLE_DEVICES": ""}
        named = inherited.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(len(self.prepared.interpreter.gpus))))
        return {"CUDA_VISIBLE_DEVICES": ",".join(named.split(",")[: self.bundle.world_size])}

    def find_problem(self, ended: Ended) -> str | None:
        """Return why the run is no evidence, None if its output may be read."""
        if ended.has_timed_out:
            return f"the code did not end within {describe_duration(ended.seconds)}; all of its processes were ended"
        if ended.return_code:
            notes = self.read_notes()
            refusals = [note for note in notes if "does not take" in note]
            return refusals[0] if refusals else f"the code ended with {ended.return_code}{self.quote_last_words()}"
        if changed := self.list_changed_code():
            return f"the run changed its own code: {list_some(map(printable, changed), at_most=MAX_NAMED)}"
        return None

    def read_notes(self) -> list[str]:
        """Return what the shim noted in the code's processes."""
        try:
            with (self.folder / NOTES_NAME).open("rb") as stream:
                return [printable(one) for one in stream.read(MAX_NOTES_BYTES).decode(errors="replace").splitlines()]
        except OSError:
            return []

    def quote_last_words(self) -> str:
        """Return the last line of what the code complained of: for a reader; nothing is concluded from it."""
        with (self.folder / STDERR_NAME).open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - MAX_QUOTED_BYTES))
            lines = stream.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        return f" (its last words: {printable(last.strip())[:MAX_QUOTED_CHARACTERS]})" if last else ""

    def list_changed_code(self) -> list[str]:
        """Return the files of the code that are no longer what they were."""
        now = {file.path: file.sha256 for file in list_folder(self.prepared.root)}
        return [file.path for file in self.prepared.code.files if now.get(file.path, "") != file.sha256]

    def list_differing_files(self) -> Iterator[str]:
        """Yield the chain's files of which the code has a namesake with other bytes, and none with the same."""
        own: dict[str, set[str]] = {}
        for file in self.prepared.code.files:
            if file.path.endswith(GIN_SUFFIX):
                own.setdefault(PurePosixPath(file.path).name, set()).add(file.sha256)
        for path in self.chain.files:
            theirs = own.get(PurePosixPath(path).name)
            if theirs is not None and sha256_of_bytes(self.bundle.gins[path]) not in theirs:
                yield printable(path)

    def describe(
        self, command: Sequence[str], environment: Mapping[str, str], *, staged: tuple[Fact, ...], sentence: str
    ) -> ArchivedRunRecord:
        """Return the record of the run."""
        ended = self.ended
        return ArchivedRunRecord(
            schema_version=SCHEMA_VERSION,
            rung=self.request.rung,
            command=tuple(command),
            environment={name: hide_secret(name, value) for name, value in environment.items()},
            code=str(self.prepared.code.place),
            code_sha256=self.prepared.code.digest,
            entry=self.prepared.entry,
            chain_sha256=self.chain.chain_sha256,
            overlay=self.chain.overlay,
            gin_sha256=self.chain.sha256,
            differing_files=tuple(self.list_differing_files()),
            shim_sha256=sha256_of_bytes(read_shim()),
            device=self.prepared.device,
            versions=dict(self.prepared.interpreter.versions),
            gpus=self.prepared.interpreter.gpus,
            staged=staged,
            return_code=None if ended is None else ended.return_code,
            seconds=None if ended is None else ended.seconds,
            ended=sentence,
        )
