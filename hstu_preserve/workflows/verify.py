"""Say whether every byte of a bundle is the packed byte."""

import sys
from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.errors import PreserveError, VerificationError
from hstu_preserve.records.results import VerificationReport, VerifiedTarget
from hstu_preserve.records.verification import Verification
from hstu_preserve.workflows.targets import require_local

STANDARD_INPUT = "-"


def verify(target: str | Path) -> Verification:
    """Compare a bundle, run directory or standard input with its own manifest.

    Args:
        target: A path, `sample`, a catalog id, or `-` for a bundle on standard input.

    Returns:
        Every difference; `ok` where there is none. Differences raise nothing.

    Raises:
        MissingPathError: There is nothing at the path.
        UnavailableError: It cannot be read, or the bundle of a catalog id is not on this machine.
    """
    if str(target) == STANDARD_INPUT:
        return verify_bundle(sys.stdin.buffer)
    return verify_bundle(require_local(str(target)).path)


def verify_all(targets: Sequence[str]) -> VerificationReport:
    """Verify several targets, each in any case; what stopped one is its result."""
    return VerificationReport(targets=tuple(verify_one(target) for target in targets))


def verify_one(target: str) -> VerifiedTarget:
    """Return the verification of one target, or the reason why there is none."""
    try:
        verification = verify(target)
    except PreserveError as error:
        return VerifiedTarget(target=target, verification=None, error=str(error), exit_code=error.exit_code)
    exit_code = 0 if verification.ok else VerificationError.exit_code
    return VerifiedTarget(target=target, verification=verification, error=None, exit_code=exit_code)
