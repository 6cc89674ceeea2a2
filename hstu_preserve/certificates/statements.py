"""Make and read in-toto statements about a bundle: our own kind, and the kind for the results of any test.

Statement: https://github.com/in-toto/attestation/blob/v1.1.2/spec/v1/statement.md
Results of tests: https://github.com/in-toto/attestation/blob/v1.1.2/spec/predicates/test-result.md
As that specification asks, a reader passes over fields that it does not know.
"""

import re
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue

from hstu_preserve.certificates.lenient import LenientRecord
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.digests import Sha256, sha256_of_bytes
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.strict_json import strict_loads
from hstu_preserve.records.manifest import MANIFEST_NAME, AnyManifest, CodeReference, Manifest
from hstu_preserve.records.record import Record
from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.verdict import Outcome, Verdict

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
REPRODUCTION_TYPE = "urn:hstu-preserve:reproduction:v1"
"""The kind of our own statements. A name, not an address: this program owns no domain that could describe it."""
RESULTS_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
HEX_DIGEST = re.compile("[0-9a-f]{64}")
MAX_VALUES = 100_000
"""Of one statement's JSON."""
PASSED_OUTCOMES = frozenset({Outcome.REPRODUCED_BITWISE, Outcome.REPRODUCED_NUMERIC, Outcome.REPRODUCED_STATISTICAL})


class Descriptor(LenientRecord):
    """A thing that a statement names, by digest."""

    name: str = ""
    digests: dict[str, str] = Field(alias="digest", min_length=1)


class Statement(LenientRecord):
    """An in-toto statement."""

    statement_type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: Annotated[tuple[Descriptor, ...], Field(min_length=1)]
    predicateType: Annotated[str, Field(min_length=1)]  # in-toto's spelling
    predicate: dict[str, JsonValue]

    @property
    def identity(self) -> str | None:
        """The identity of the bundle that it is about; None if it is about no bundle, or about several."""
        found = {one.digests.get("sha256", "") for one in self.subject if one.name == MANIFEST_NAME}
        return found.pop() if len(found) == 1 and all(map(HEX_DIGEST.fullmatch, found)) else None


class Result(StrEnum):
    """What came out of all tests together."""

    PASSED = "PASSED"
    WARNED = "WARNED"
    FAILED = "FAILED"


class ResultsPredicate(LenientRecord):
    """The results of tests, as in-toto spells them."""

    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: tuple[Descriptor, ...]
    passedTests: tuple[str, ...] = ()
    warnedTests: tuple[str, ...] = ()
    failedTests: tuple[str, ...] = ()


class ReproductionPredicate(Record):
    """The whole record of a reproduction, the program that made it, and when."""

    reproduction: Reproduction
    code: CodeReference
    started_at: str
    """Coordinated universal time, as RFC 3339 writes it."""
    finished_at: str


class AttestedVerdict(LenientRecord):
    """What is read of a verdict, whichever release wrote it."""

    rung: str
    outcome: str
    claim: str | None
    is_required: bool


class AttestedReproduction(LenientRecord):
    """What is read of a reproduction's record."""

    verdicts: tuple[AttestedVerdict, ...]
    exit_code: int


class AttestedPredicate(LenientRecord):
    """What is read of our own predicate."""

    reproduction: AttestedReproduction
    finished_at: str


def make_statements(predicate: ReproductionPredicate, *, manifest: AnyManifest, program_sha256: str) -> list[bytes]:
    """Return the two statements about a reproduction, as canonical JSON.

    Args:
        predicate: Of a reproduction with an identity.
        manifest: Of the bundle.
        program_sha256: The digest of the program's own files.
    """
    program = describe_program(predicate.code, sha256=program_sha256)
    results = ResultsPredicate(
        result=choose_result(predicate.reproduction.exit_code).value,
        configuration=(*list_configuration(manifest), program),
        **sort_tests(predicate.reproduction.verdicts),
    )
    identity = predicate.reproduction.identity
    assert identity is not None
    parts = {REPRODUCTION_TYPE: predicate, RESULTS_TYPE: results}
    return [make_statement(one, identity=identity, predicate_type=kind) for kind, one in parts.items()]


def make_statement(predicate: Record, *, identity: str, predicate_type: str) -> bytes:
    """Return a statement about the bundle with this identity, as canonical JSON."""
    value = predicate.to_json_value()
    assert isinstance(value, dict)
    return Statement(
        statement_type=STATEMENT_TYPE,
        subject=(Descriptor(name=MANIFEST_NAME, digests={"sha256": identity}),),
        predicateType=predicate_type,
        predicate=value,
    ).to_json()


def list_configuration(manifest: AnyManifest) -> list[Descriptor]:
    """Return policy, recipe and data of a run, or the archive that a migrated bundle was made from, by digest."""
    if not isinstance(manifest, Manifest):
        return [Descriptor(name="archive", digests={"sha256": manifest.source.sha256})]
    run = manifest.run
    policies: list[Json] = [policy.to_json_value() for policy in run.policies]
    digests = {
        "policy": sha256_of_bytes(canonical_dumps(policies)),
        "recipe": run.recipe_sha256,
        "data": run.data.fingerprint,
    }
    return [Descriptor(name=name, digests={"sha256": digest}) for name, digest in digests.items()]


def describe_program(code: CodeReference, *, sha256: Sha256) -> Descriptor:
    """Return the program by release, the digest of its files and, in a checkout, its commit."""
    commit = {} if code.commit is None else {"gitCommit": code.commit}
    return Descriptor(name=f"hstu-preserve {code.version}", digests={"sha256": sha256, **commit})


def choose_result(exit_code: int) -> Result:
    """Return the result that an exit code stands for: 0 passed, 6 warned, all others failed."""
    return {0: Result.PASSED, 6: Result.WARNED}.get(exit_code, Result.FAILED)


def sort_tests(verdicts: tuple[Verdict, ...] | tuple[AttestedVerdict, ...]) -> dict[str, tuple[str, ...]]:
    """Return the rungs with their claims, by what came out.

    A rung that was not required warns if it does not hold, and is left out if it was not run.
    """
    tests: dict[str, list[str]] = {"passedTests": [], "warnedTests": [], "failedTests": []}
    for verdict in verdicts:
        name = verdict.rung if verdict.claim is None else f"{verdict.rung} {verdict.claim}"
        if verdict.outcome in PASSED_OUTCOMES:
            tests["passedTests"].append(name)
        elif verdict.outcome == Outcome.NOT_REPRODUCED and verdict.is_required:
            tests["failedTests"].append(name)
        elif verdict.outcome != Outcome.NOT_RUN or verdict.is_required:
            tests["warnedTests"].append(name)
    return {field: tuple(names) for field, names in tests.items()}


def read_statement(content: bytes, *, source: str) -> Statement:
    """Read a statement.

    Raises:
        ContentError: Not strict JSON, or no statement.
    """
    return Statement.from_value(strict_loads(content, source=source, max_values=MAX_VALUES), source=source)


def read_predicate(statement: Statement, *, source: str) -> tuple[ResultsPredicate, str | None] | None:
    """Return the results that a statement gives, and when they were found if it says so; None of another kind.

    Raises:
        ContentError: The predicate is not of the form that its type names.
    """
    if statement.predicateType == RESULTS_TYPE:
        return ResultsPredicate.from_value(statement.predicate, source=source), None
    if statement.predicateType != REPRODUCTION_TYPE:
        return None
    own = AttestedPredicate.from_value(statement.predicate, source=source)
    results = ResultsPredicate(
        result=choose_result(own.reproduction.exit_code).value,
        configuration=(),
        **sort_tests(own.reproduction.verdicts),
    )
    return results, own.finished_at
