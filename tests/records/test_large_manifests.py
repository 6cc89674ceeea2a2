"""A manifest of a few KiB, once it is inflated, asks for no more memory or words than an honest one."""

import subprocess
import sys

import pytest

from hstu_preserve.errors import ContentError
from hstu_preserve.records.manifest import MAX_VALUES, read_manifest

SMALL = b'{"a":0},'
RUN = b'{"checkpoint":"x","claims":[],"contents":{"files":[%b0]},"run":{%b},"schema_version":0}'
NUM = 80_000
MANIFESTS = {
    "zeros": RUN % (b"0," * 2 * NUM, b""),
    "too many zeros": RUN % (b"0," * 4_000_000, b""),
    "objects": RUN % (SMALL * NUM, b""),
    "empty objects": b'{"contents":{"files":[' + b"{}," * NUM + b'0]},"schema_version":0}',
    "unknown fields": b"{" + b"".join(b'"a%06d":0,' % n for n in range(NUM)) + b'"schema_version":0}',
    "one large field": RUN % (b"", b'"x":[' + SMALL * NUM + b"0]"),
    "one large item": RUN % (b'{"x":[' + SMALL * NUM + b"0]},", b""),
    "one long name": RUN % (b"", b'"' + b"x" * 1_000_000 + b'":0'),
    "statements": b'{"kind":"migrated","schema_version":0,"statements":[' + b"{}," * NUM + b"0]}",
}
MEASURE = """
import resource, sys
from tests.records.test_large_manifests import MANIFESTS
from hstu_preserve.errors import ContentError
from hstu_preserve.records.manifest import read_manifest
content = MANIFESTS[sys.argv[1]]
MANIFESTS.clear()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_manifest(content, source="MANIFEST.json")
except ContentError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_hostile_manifest_is_refused_in_few_words(case: str) -> None:
    with pytest.raises(ContentError) as caught:
        read_manifest(MANIFESTS[case], source="MANIFEST.json")
    assert len(str(caught.value)) < 20_000


@pytest.mark.parametrize("case", ["objects", "one large field"])
def test_its_memory_is_bounded(case: str) -> None:
    result = subprocess.run([sys.executable, "-c", MEASURE, case], capture_output=True, text=True, check=True)
    assert int(result.stdout) < 100_000  # KiB


def test_as_many_values_as_an_honest_manifest_of_the_largest_size_has_are_read() -> None:
    record = b'{"path":"config/abcdefgh/%06d.gin","role":"config","sha256":"' + b"0" * 64 + b'","size":123},'
    assert 8 * 2**20 // len(record % 0) * 5 < 2 * MAX_VALUES
    content = RUN % (b"".join(record % n for n in range(40_000))[:-1].replace(b"%", b""), b"")
    with pytest.raises(ContentError, match="run"):  # its fields are missing; the files are not too many
        read_manifest(content.replace(b"}0]", b"}]"), source="MANIFEST.json")
