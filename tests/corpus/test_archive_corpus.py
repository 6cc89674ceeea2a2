"""Every archive of the corpus: the expected verdict, in bounded time and memory, and not a byte written elsewhere."""

import os
import resource
import signal
import stat
import time
import tracemalloc
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hstu_preserve.bundle.extraction import unpack
from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.errors import PreserveError, UnavailableError, UsageError, VerificationError
from tests.bundle.archives import Piece, compress, join, read_pieces, verify_tar
from tests.corpus.archives.generators import GENERATORS
from tests.corpus.cases import Case, read_cases
from tests.factories import make_sealed_run
from tests.forked import run_program

CASES = read_cases("archives")
MAX_SECONDS = 20.0
MAX_BYTES = 150 * 2**20
ESCAPES = (Path("/hstu-preserve-escaped"), Path("/tmp/escaped"))


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> list[Piece]:
    root = tmp_path_factory.mktemp("honest") / "run"
    make_sealed_run(root)
    return read_pieces(root)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder with something to overwrite beside the folder that is unpacked into."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/precious.txt").write_text("mine")
    (tmp_path / "inside").mkdir()
    return tmp_path


def generate(case: Case, honest: list[Piece], scratch: Path) -> bytes:
    return GENERATORS[case.generator](list(honest), str(scratch), **case.arguments)


def snapshot(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return type, mode, links and content of everything below, links not followed."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            status = path.lstat()
            content = b""
            if stat.S_ISREG(status.st_mode):
                content = path.read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                content = os.fsencode(path.readlink())
            links = 0 if stat.S_ISDIR(status.st_mode) else status.st_nlink
            found[str(path.relative_to(root))] = (status.st_mode, links, content)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_archive_gets_its_verdict_and_writes_nothing_elsewhere(
    case: Case, honest: list[Piece], scratch: Path
) -> None:
    bundle = scratch / "bundle.tar.gz"
    bundle.write_bytes(generate(case, honest, scratch))
    before = snapshot(scratch)
    begin = time.process_time()
    verification = verify_bundle(bundle)
    assert time.process_time() - begin < MAX_SECONDS
    assert verification.ok == (case.verdict == "accepted"), verification.describe()
    assert case.matches({finding.finding_class.value for finding in verification.findings}), verification.describe()
    assert snapshot(scratch) == before
    destination = scratch / "inside/out"
    if verification.ok:
        assert unpack(bundle, destination=destination).identity == verification.identity
        assert verify_bundle(destination).ok
    else:
        with pytest.raises(VerificationError) as caught:
            unpack(bundle, destination=destination)
        assert "\x1b" not in str(caught.value)
        assert snapshot(scratch) == before
    assert not any(path.exists() for path in ESCAPES)


HEAVY = ("bomb", "8-megabytes", "of-a-megabyte", "quadratic", "huge", "deep-paths", "20000", "2-to-63")


SLOW = ("pax-quadratic-many-times",)
"""More of what another case does once."""


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.id, marks=[pytest.mark.slow] if case.id in SLOW else [])
        for case in CASES
        if any(word in case.id for word in HEAVY)
    ],
)
def test_a_heavy_archive_takes_little_memory(case: Case, honest: list[Piece], scratch: Path) -> None:
    stream = BytesIO(generate(case, honest, scratch))
    tracemalloc.start()
    try:
        verify_bundle(stream)
        assert tracemalloc.get_traced_memory()[1] < MAX_BYTES
    finally:
        tracemalloc.stop()


def test_a_stream_gets_the_verdict_of_the_file(honest: list[Piece], scratch: Path) -> None:
    for case in CASES[::10]:
        content = generate(case, honest, scratch)
        assert verify_bundle(BytesIO(content)).ok == (case.verdict == "accepted"), case.id


class ActingStream(BytesIO):
    """A bundle that does something at its first read, as a process beside this one could."""

    def __init__(self, content: bytes, *, act: Callable[[], object]) -> None:
        super().__init__(content)
        self.act: Callable[[], object] | None = act

    def read(self, size: int | None = -1, /) -> bytes:
        if self.act:
            self.act()
            self.act = None
        return super().read(size)


@pytest.mark.parametrize("kind", ["file", "folder", "link to a folder", "dangling link", "link to itself"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_destination_that_is_there_or_comes_is_left_alone(
    kind: str, when: str, honest: list[Piece], scratch: Path
) -> None:
    destination = scratch / "inside/out"

    def appear() -> None:
        match kind:
            case "file":
                destination.write_text("mine")
            case "folder":
                destination.mkdir()
            case "link to a folder":
                destination.symlink_to(scratch / "outside")
            case "dangling link":
                destination.symlink_to(scratch / "nowhere")
            case _:
                destination.symlink_to("out")

    stream = ActingStream(compress(join(honest)), act=appear if when == "meanwhile" else lambda: None)
    before = snapshot(scratch)
    if when == "before":
        appear()
    with pytest.raises(UsageError, match=r"exists|came into being"):
        unpack(stream, destination=destination)
    after = snapshot(scratch)
    assert after.keys() - before.keys() == {"inside/out"}
    assert {path: after[path] for path in before} == before


def test_a_folder_swapped_for_a_link_neither_catches_the_files_nor_becomes_the_result(
    honest: list[Piece], scratch: Path
) -> None:
    def swap() -> None:
        (temporary,) = (scratch / "inside").iterdir()
        temporary.rename(scratch / "moved")
        temporary.symlink_to(scratch / "outside")

    outside = snapshot(scratch / "outside")
    with pytest.raises(UnavailableError, match="replaced meanwhile"):
        unpack(ActingStream(compress(join(honest)), act=swap), destination=scratch / "inside/out")
    assert snapshot(scratch / "outside") == outside
    assert not os.path.lexists(scratch / "inside/out")


def test_a_full_disk_leaves_nothing(honest: list[Piece], scratch: Path) -> None:
    before = snapshot(scratch)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    content = compress(join(honest))
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))  # Python ignores the signal, and the write fails
    try:
        with pytest.raises(UnavailableError, match="cannot be written"):
            unpack(BytesIO(content), destination=scratch / "inside/out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert snapshot(scratch) == before


def test_a_place_that_cannot_be_written_is_an_error(honest: list[Piece]) -> None:
    content = compress(join(honest))
    for parent in ("/proc", "/proc/self", "/dev/null"):
        with pytest.raises(PreserveError, match=r"cannot be written|no such directory"):
            unpack(BytesIO(content), destination=Path(parent) / "out")


def first_of_each_finding() -> list[Case]:
    """One case for each expected word: every class of failure once."""
    chosen: dict[str, Case] = {}
    for case in CASES:
        if case.verdict == "refused":
            chosen.setdefault(case.finding[0], case)
    return list(chosen.values())


@pytest.mark.parametrize("case", first_of_each_finding(), ids=lambda case: case.finding[0])
def test_each_class_of_failure_exits_3_without_a_traceback(case: Case, honest: list[Piece], scratch: Path) -> None:
    (scratch / "bundle.tar.gz").write_bytes(generate(case, honest, scratch))
    before = snapshot(scratch)
    for verb in ("verify", "unpack"):
        result = run_program(verb, "bundle.tar.gz", cwd=scratch)
        assert result.returncode == 3, result.stderr
        assert b"Traceback" not in result.stderr
        assert any(word.encode() in result.stdout + result.stderr for word in case.finding[0].split("|"))
        assert snapshot(scratch) == before


INTERRUPTED_MIDWAY = """
import os, signal, sys
from pathlib import Path

opened = 0

def interrupt(event, arguments):
    global opened
    if event == "open" and arguments[2] & os.O_CREAT:
        opened += 1
        if opened == 4:
            print(sum(path.is_file() for path in Path().rglob("*")), "files", flush=True)
            os.kill(os.getpid(), signal.SIGINT)

# Where the tests run in the background, children inherit an ignored SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
from hstu_preserve.cli.main import main
sys.addaudithook(interrupt)
sys.exit(main(sys.argv[1:]))
"""


def test_an_interrupt_midway_leaves_nothing(honest: list[Piece], scratch: Path) -> None:
    (scratch / "bundle.tar.gz").write_bytes(compress(join(honest)))
    before = snapshot(scratch)
    arguments = ("unpack", "bundle.tar.gz", "--output", "out")
    result = run_program(*arguments, program=INTERRUPTED_MIDWAY, cwd=scratch)
    assert result.stdout in {b"3 files\n", b"4 files\n"}  # the bundle and some of its members
    assert result.returncode in {130, -signal.SIGINT}
    assert b"Traceback" not in result.stderr
    assert snapshot(scratch) == before


@given(data=st.data())
@settings(max_examples=120)
def test_a_mutated_tar_is_refused_or_the_same_and_never_raises(honest: list[Piece], data: st.DataObject) -> None:
    original = join(honest)
    tar = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(tar)))
        end = min(len(tar), start + data.draw(st.integers(0, 1200)))
        tar[start:end] = data.draw(st.one_of(st.binary(max_size=40), st.sampled_from([bytes(512), original[:512]])))
    verification = verify_tar(bytes(tar))
    assert verification.ok == (tar == original)


@given(content=st.binary(max_size=3000))
@settings(max_examples=100)
def test_any_bytes_as_tar_give_findings(content: bytes) -> None:
    assert not verify_tar(content).ok
    assert not verify_bundle(BytesIO(content)).ok
