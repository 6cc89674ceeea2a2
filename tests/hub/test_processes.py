"""What only a process of its own can show: kills, interrupts, timeouts, full disks, a machine without network."""

import hashlib
import random
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.forked import PROGRAM
from tests.hub.conftest import REPOSITORY, TOKEN, Program
from tests.hub.faults import ALWAYS, Fault
from tests.hub.local_hub import LocalHub, User

BUNDLE = hashlib.shake_128(b"a longer bundle").digest(4_000_000)
NAME = "iter8-exp4-SOTA.tar.gz"
ID = "iter8-exp4-SOTA"
STORAGE = "GET /lfs"
UNREACHABLE = "http://127.0.0.1:9"
IN_FLIGHT_BYTES = 1_500_000
"""What one connection holds: buffers of both ends, and pieces that wait to be hashed."""


@pytest.fixture
def published(hub: LocalHub) -> LocalHub:
    hub.add(REPOSITORY, {NAME: BUNDLE})
    return hub


def find_part(program: Program) -> Path | None:
    return next(iter((program.home / "hstu-preserve" / "parts").glob("*.part")), None)


def wait_for_part(program: Program, num_bytes: int) -> int:
    """Wait until so many bytes are on disk."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        part = find_part(program)
        if part is not None and part.stat().st_size >= num_bytes:
            return part.stat().st_size
        time.sleep(0.01)
    raise AssertionError("nothing arrives")


def kill_somewhere(program: Program, *, num_bytes: int) -> int:
    """Kill a download once so many bytes are on disk, one of its own among them; return how many there are then."""
    before = find_part(program)
    num_before = 0 if before is None else before.stat().st_size
    process = program.start("download", ID)
    # On a busy machine the one before was killed late, and has left more than that.
    wait_for_part(program, max(num_bytes, num_before + 1))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    part = find_part(program)
    assert part is not None
    return part.stat().st_size


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 40))])
def test_after_each_kill_the_next_run_continues_from_the_last_byte(
    seed: int, published: LocalHub, program: Program
) -> None:
    points = sorted(random.Random(seed).sample(range(1, 3_000_000), 2))
    for point in points:  # bytes keep coming while it is killed, but never the last ones
        never = threading.Event()
        published.spoil(Fault(pattern=STORAGE, bytes_per_second=1.5e6, cut_at=point + 900_000, until=never))
    kept = [kill_somewhere(program, num_bytes=point) for point in points]
    assert program.run("download", ID).returncode == 0
    assert program.files == {NAME: BUNDLE}
    requests = [one for one in published.requests if one.origin == "storage"]
    assert [one.headers.get("Range") for one in requests] == [None, *(f"bytes={size}-" for size in kept)], points
    assert requests[-1].bytes_sent == len(BUNDLE) - kept[-1]
    # All that is served twice was sent, but not yet taken, when a process died.
    in_flight = sum(one.bytes_sent for one in requests) - len(BUNDLE)
    assert 0 <= in_flight <= len(points) * IN_FLIGHT_BYTES, points
    assert find_part(program) is None


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_at_once_and_keeps_what_arrived(
    number: signal.Signals, exit_code: int, published: LocalHub, program: Program
) -> None:
    published.spoil(Fault(pattern=STORAGE, bytes_per_second=2e5))
    process = program.start("download", ID)
    wait_for_part(program, 200_000)
    process.send_signal(number)
    _, err = process.communicate(timeout=600)
    assert process.returncode == exit_code
    assert "Traceback" not in err
    assert program.files == {}
    assert program.run("download", ID).returncode == 0


def test_a_stalled_connection_is_taken_up_again(published: LocalHub, program: Program) -> None:
    published.spoil(Fault(pattern=STORAGE, cut_at=1_000_000, until=threading.Event()))
    assert program.run("download", ID, HF_HUB_DOWNLOAD_TIMEOUT="3").returncode == 0
    assert program.files == {NAME: BUNDLE}
    assert published.count_sent(STORAGE) <= len(BUNDLE) + 1_000_000


FILE_LIMIT = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
"""


def test_a_full_disk_is_told_and_what_arrived_is_kept(published: LocalHub, program: Program) -> None:
    result = replace(program, text=FILE_LIMIT + PROGRAM).run("download", ID)
    assert result.returncode == 4
    assert "cannot be written" in result.stdout
    assert program.files == {}
    before = published.count_sent(STORAGE)
    assert program.run("download", ID).returncode == 0
    assert published.count_sent(STORAGE) - before == len(BUNDLE) - 1_000_000


def test_a_disk_without_room_is_noticed_before_anything_is_fetched(
    published: LocalHub, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.hub.repositories.StoredFile.size", property(lambda file: 10**15))
    result = program.run("download", ID)
    assert result.returncode == 4
    assert "make room" in result.stderr
    assert published.count_sent(STORAGE) == 0


FAILURES = {
    "one bit always flipped": (Fault(pattern=STORAGE, flip_at=5, times=ALWAYS), 3, "sha256 differs"),
    "gated": (Fault(pattern="HEAD", status=403, headers={"X-Error-Code": "GatedRepo"}), 4, "gated"),
    "403": (Fault(pattern="HEAD", status=403), 4, "access denied"),
    "missing file": (Fault(pattern="HEAD", status=404, headers={"X-Error-Code": "EntryNotFound"}), 4, "no such file"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_has_its_exit_code_and_leaves_nothing(failure: str, published: LocalHub, program: Program) -> None:
    fault, exit_code, says = FAILURES[failure]
    published.spoil(fault)
    result = program.run("download", ID)
    assert (result.returncode, program.files) == (exit_code, {})
    assert says in result.stdout


def test_a_token_opens_a_private_repository_and_is_shown_to_nobody_else(published: LocalHub, program: Program) -> None:
    published.users[TOKEN] = User(name="tzchen07")
    published.repositories[REPOSITORY].is_private = True
    refused = program.run("download", ID)
    assert refused.returncode == 4
    assert "private" in refused.stderr
    assert program.run("download", ID, HF_TOKEN=TOKEN).returncode == 0
    assert published.leaks == []
    everything = [path.read_bytes() for path in program.home.rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in content or b"signature=" in content for content in everything)


def test_a_token_in_the_home_is_used_too(published: LocalHub, program: Program) -> None:
    published.users[TOKEN] = User(name="tzchen07")
    published.repositories[REPOSITORY].is_private = True
    program.home.mkdir()
    (program.home / "token").write_text(TOKEN)
    assert program.run("download", ID).returncode == 0


def test_without_network_what_is_here_can_be_worked_on(published: LocalHub, program: Program) -> None:
    asked = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": UNREACHABLE}
    result = program.run("download", ID, **asked)
    assert result.returncode == 4
    assert "HF_HUB_OFFLINE" in result.stderr
    program.run("download", ID)
    (program.folder / NAME).unlink()
    assert program.run("download", ID, **asked).returncode == 0
    assert program.files == {NAME: BUNDLE}


def test_a_hub_that_does_not_answer_does_not_keep_from_what_is_here(published: LocalHub, program: Program) -> None:
    unreachable = {"HF_ENDPOINT": UNREACHABLE}
    program.run("download", ID)
    (program.folder / NAME).unlink()
    waits = program.note_waits()
    result = program.run("download", ID, **unreachable)
    assert (result.returncode, program.files) == (0, {NAME: BUNDLE}), result.stdout + result.stderr
    assert "cannot be reached" in result.stdout
    assert "used what is on this machine" in result.stdout
    missing = program.run("download", "another.tar.gz", **unreachable)
    assert missing.returncode == 2
    assert "unknown" in missing.stderr
    assert waits.read_text() == "", "it waited for a hub that is not there"


def test_what_was_listed_but_not_fetched_needs_the_hub(published: LocalHub, program: Program) -> None:
    stumble = Fault(pattern=STORAGE, status=418)
    published.spoil(stumble)
    assert program.run("download", ID).returncode == 4
    waits = program.note_waits()
    result = program.run("download", ID, HF_ENDPOINT=UNREACHABLE)
    assert (result.returncode, program.files) == (4, {})
    assert "cannot be reached" in result.stdout
    assert waits.read_text() == "", "it waited for a hub that is not there"


def test_nothing_is_fetched_twice(published: LocalHub, program: Program) -> None:
    program.run("download", ID)
    again = program.run("download", ID, "--output-dir", "elsewhere")
    assert "was here already" in again.stdout
    assert published.count_sent(STORAGE) == len(BUNDLE)


def test_several_at_once_share_the_list_of_the_repository(published: LocalHub, program: Program) -> None:
    others = {f"{n}.tar.gz": BUNDLE[:1000] + bytes([n]) for n in range(4)}
    rows = "".join(f"| `{n}` | `{hashlib.md5(c, usedforsecurity=False).hexdigest()}` |\n" for n, c in others.items())
    published.add(REPOSITORY, {**others, "MANIFEST.md": f"| file | md5 |\n|---|---|\n{rows}".encode()})
    reading, have_all_asked, is_waited_for = "GET .*/resolve/.*MANIFEST", threading.Event(), threading.Event()
    published.spoil(Fault(pattern=reading, until=have_all_asked, times=len(others)))  # what it says
    published.spoil(Fault(pattern=reading, until=is_waited_for, times=ALWAYS))  # then a copy of it, fetched by one
    processes = [program.start("download", name, "--output-dir", name.partition(".")[0]) for name in others]
    while published.count(reading) < len(others):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    have_all_asked.set()
    while not any(b"waiting for it" in process.read()[1] for process in processes):
        assert any(process.poll() is None for process in processes)
        time.sleep(0.01)
    is_waited_for.set()
    said = [process.communicate(timeout=600) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert {f"{n[0]}/{n}": others[n] for n in others}.items() <= program.files.items()


def test_a_file_of_the_user_is_never_overwritten(published: LocalHub, program: Program) -> None:
    (program.folder / NAME).write_bytes(b"mine")
    result = program.run("download", ID)
    assert result.returncode == 2
    assert "another file" in result.stdout
    assert program.files == {NAME: b"mine"}


def test_a_file_that_cannot_be_read_stands_in_the_way(published: LocalHub, program: Program) -> None:
    (program.folder / NAME).symlink_to("/proc/self/mem")  # nobody, not even root, reads its first byte
    result = program.run("download", ID)
    assert result.returncode == 4
    assert f"{NAME}: cannot be read" in result.stdout


def test_a_link_that_leads_nowhere_is_not_replaced(published: LocalHub, program: Program) -> None:
    (program.folder / NAME).symlink_to("nowhere")
    assert program.run("download", ID).returncode == 2
    assert (program.folder / NAME).is_symlink()


@pytest.mark.parametrize("output", ["file", "file/below/it"])
def test_an_output_that_is_no_folder_is_refused_before_anything_is_fetched(
    output: str, published: LocalHub, program: Program
) -> None:
    (program.folder / "file").write_bytes(b"mine")
    result = program.run("download", ID, "--output-dir", output)
    assert result.returncode == 2
    assert "not a folder" in result.stderr
    assert (published.requests, program.files) == ([], {"file": b"mine"})


def test_a_dry_run_writes_nothing(published: LocalHub, program: Program) -> None:
    published.add(REPOSITORY, {"MANIFEST.md": b"| file | md5 |\n"})
    for home in (program.home, Path("/proc/nowhere")):
        result = program.run("download", ID, "--dry-run", HF_HOME=str(home))
        assert result.returncode == 0, result.stderr
        assert "4.0 MB were missing" in result.stdout
    assert not program.home.exists()
    assert program.files == {}


def test_a_dry_run_fetches_no_bundle(published: LocalHub, program: Program) -> None:
    report = program.run_json("download", ID, "--dry-run")
    assert report["missing_bytes"] == len(BUNDLE)
    assert [file["path"] for file in report["files"]] == [NAME]
    assert (program.files, published.count_sent(STORAGE)) == ({}, 0)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        ([], 2, "nothing to fetch"),
        (["iter8-exp4-SOTTA"], 2, "did you mean"),
        (["paper-hstu-ml-20m"], 2, "without a bundle"),
        (["iter8-exp0-PopDebias"], 2, "unknown id or file"),
        (["--code"], 2, "no one code archive"),
        ([ID, "--revision", "v9"], 4, "no such revision"),
        ([ID, "--repo", "nobody/nothing"], 4, "no such repository"),
        (["hf://nonsense"], 2, "hf://owner/repo"),
    ],
)
def test_a_wrong_request_is_refused(
    arguments: list[str], exit_code: int, says: str, published: LocalHub, program: Program
) -> None:
    result = program.run("download", *arguments)
    assert result.returncode == exit_code
    assert says in result.stderr
    assert program.files == {}


@pytest.mark.parametrize("name", ["nonsense", "iter8-exp4-SOTTA"])
def test_a_name_that_nobody_can_know_is_refused_without_asking(
    name: str, published: LocalHub, program: Program
) -> None:
    result = program.run("download", name, HF_ENDPOINT=UNREACHABLE)
    assert result.returncode == 2
    assert f"{name}: unknown catalog id" in result.stderr
    assert published.requests == []


def test_another_repository_and_revision_may_be_named(published: LocalHub, program: Program) -> None:
    first = published.add("somebody/mirror", {NAME: BUNDLE})
    published.add("somebody/mirror", {NAME: b"changed since"})
    report = program.run_json("download", ID, "--repo", "somebody/mirror", "--revision", first)
    assert report["commit"] == first
    assert program.files == {NAME: BUNDLE}
