"""Say whether every byte of a bundle is the packed byte."""

import sys
from collections.abc import Sequence
from pathlib import Path

from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.errors import PreserveError, UsageError, VerificationError
from hstu_preserve.records.results import DeepCheck, VerificationReport, VerifiedTarget
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


def verify_all(targets: Sequence[str], *, deep: bool = False) -> VerificationReport:
    """Verify several targets, each in any case; what stopped one is its result.

    Args:
        targets: As `verify` takes them.
        deep: Hold the parts of each bundle against each other, too; needs PyTorch.
    """
    return VerificationReport(targets=tuple(verify_one(target, deep=deep) for target in targets))


def verify_one(target: str, *, deep: bool) -> VerifiedTarget:
    """Return the verification of one target, or the reason why there is none."""
    checks: tuple[DeepCheck, ...] = ()
    try:
        verification = verify(target)
        if deep and verification.ok:
            checks = check_deeply(target, verification)
    except PreserveError as error:
        return VerifiedTarget(target=target, verification=None, deep=(), error=str(error), exit_code=error.exit_code)
    passed = verification.ok and all(check.passed for check in checks)
    exit_code = 0 if passed else VerificationError.exit_code
    return VerifiedTarget(target=target, verification=verification, deep=checks, error=None, exit_code=exit_code)


def check_deeply(target: str, verification: Verification) -> tuple[DeepCheck, ...]:
    """Return the deep checks of a target whose bytes are as packed.

    Raises:
        UsageError: Standard input, which can be read only once.
    """
    from hstu_preserve.workflows.deep_verification import verify_deeply

    if target == STANDARD_INPUT:
        raise UsageError("verify --deep reads a bundle more than once; name a file")
    return verify_deeply(require_local(target).path, identity=verification.identity)
