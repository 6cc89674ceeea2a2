"""Certificates as `reproduce` writes them, without the minute that a re-run takes."""

from datetime import datetime
from pathlib import Path

from hstu_preserve.certificates.checking import certificate_path
from hstu_preserve.certificates.writing import Certifier
from hstu_preserve.compute.machine import find_running_code
from hstu_preserve.library.sources import find_here
from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.verdict import Outcome, Rung, Verdict
from hstu_preserve.signing.signature import read_private_key

STARTED = "2026-11-27T10:00:00Z"


def make_verdict(rung: Rung, outcome: Outcome, *, claim: str | None = None, is_required: bool = True) -> Verdict:
    return Verdict(rung=rung, outcome=outcome, claim=claim, reason="so", evidence=(), is_required=is_required)


PASSED = (
    make_verdict(Rung.BYTES, Outcome.REPRODUCED_BITWISE),
    make_verdict(Rung.EVALUATION_NUMERIC, Outcome.REPRODUCED_NUMERIC, claim="ndcg@10"),
)
FAILED = (
    make_verdict(Rung.BYTES, Outcome.REPRODUCED_BITWISE),
    make_verdict(Rung.EVALUATION_NUMERIC, Outcome.NOT_REPRODUCED, claim="ndcg@10"),
)


def certify(bundle: Path, key: Path, *, exit_code: int = 0, verdicts: tuple[Verdict, ...] = PASSED) -> Path:
    """Add the statements of one reproduction to the bundle's certificate, and return where it lies."""
    stored = find_here(str(bundle)).require_manifest()
    path = certificate_path(bundle)
    reproduction = Reproduction(
        target=str(bundle),
        path=bundle,
        identity=stored.identity,
        title="x",
        verdicts=verdicts,
        evaluation=None,
        environment=None,
        exit_code=exit_code,
    )
    certifier = Certifier(
        key=read_private_key(key, passphrase=None),
        path=path,
        manifest=stored.record,
        started_at=datetime.fromisoformat(STARTED),
    )
    certifier.certify(reproduction, code=find_running_code())
    return path
