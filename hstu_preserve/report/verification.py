"""Describe verifications as lines of text; they need no table, and so none of the time that loading rich takes."""

import shlex
from collections.abc import Iterator

from hstu_preserve.primitives.wording import count, cut_lines, list_some, printable
from hstu_preserve.records.certificate import Attestation, CertificateCheck, SignatureOutcome
from hstu_preserve.records.legacy.outcomes import LegacyOutcome
from hstu_preserve.records.legacy.verification import LegacyVerification
from hstu_preserve.records.manifest import Manifest
from hstu_preserve.records.verdict import Outcome, Verdict
from hstu_preserve.records.verification import DeepCheck, Verification, VerificationReport, VerifiedTarget
from hstu_preserve.report.lines import Line
from hstu_preserve.verdict.limits import AUTHORS_WORD

LEGACY_MARKS = {
    LegacyOutcome.MATCHES: ("ok ", "green"),
    LegacyOutcome.REFUSED: ("FAILED ", "bold red"),
    LegacyOutcome.UNVOUCHED: ("INCONCLUSIVE ", "yellow"),
}

OUTCOME_MARKS = {
    Outcome.REPRODUCED_NUMERIC: ("  ok ", "green"),
    Outcome.NOT_REPRODUCED: ("  FAILED ", "bold red"),
}


def list_report(report: VerificationReport) -> Iterator[Line]:
    """Yield the lines of every target."""
    for target in report.targets:
        yield from list_target(target)


SIGNATURES = {
    SignatureOutcome.SIGNED: "signed by key {keys}",
    SignatureOutcome.UNCHECKED: "signed by keyid {keys}, not checked: name the key with --public-key",
    SignatureOutcome.OTHER_KEY: "by another key, {keys}, not checked",
    SignatureOutcome.DAMAGED: "not made by key {keys}, which it names",
}
MAX_SHOWN = 20
"""Statements of a certificate, and rungs of one."""


def list_certificate(check: CertificateCheck, *, indent: str = "") -> Iterator[Line]:
    """Yield whether a certificate holds, and what each of its statements attests."""
    if check.problem is not None:
        yield Line(mark=f"{indent}FAILED ", style="bold red", text=f"certificate: {printable(check.problem)}")
        return
    subjects = sorted(
        {"something else" if one.subject is None else f"sha256:{one.subject}" for one in check.attestations}
    )
    about = f"{count(len(check.attestations), 'statement')} about {list_some(subjects, at_most=MAX_SHOWN)}"
    is_signed = any(one.signature is SignatureOutcome.SIGNED for one in check.attestations)
    mark, style = ("ok ", "green") if is_signed else ("unchecked ", "yellow")
    unsigned = "" if is_signed else "; nobody that you named signed it"
    yield Line(mark=f"{indent}{mark}", style=style, text=f"certificate {printable(check.path)}: {about}{unsigned}")
    shown = [describe_attestation(one) for one in check.attestations]
    yield from (Line(text=f"{indent}  {text}") for text in cut_lines(shown, at_most=MAX_SHOWN, noun="statements"))


def describe_attestation(one: Attestation) -> str:
    """Return who attests what, on one line, whatever text the statement holds."""
    signer = SIGNATURES[one.signature].format(keys=", ".join(one.keyids))
    return f"{describe_attested(one)}; {printable(signer)}"


def describe_attested(one: Attestation) -> str:
    """Return what a statement attests."""
    named = {"passed": one.passed, "warned": one.warned, "failed": one.failed}
    if one.result is None:
        what = f"{one.predicate_type}: of a kind that is not read here"
    elif one.finished_at is None:
        counts = ", ".join(f"{len(names)} {word}" for word, names in named.items() if names)
        what = f"test result {one.result} ({counts or 'nothing was tested'})"
    else:
        rungs = "; ".join(f"{word}: {list_some(names, at_most=MAX_SHOWN)}" for word, names in named.items() if names)
        what = f"reproduction of {one.finished_at} {one.result}; {rungs}"
    return printable(what)


def list_target(target: VerifiedTarget) -> Iterator[Line]:
    """Yield one target's verification and certificate, or why there is none."""
    if target.verification is not None:
        yield describe_verification(target.verification)
        yield from map(describe_check, target.deep)
        if target.deep and isinstance(target.verification.manifest, Manifest):
            yield Line(mark=f"  limit: {AUTHORS_WORD}", style="dim", text="")
        if target.certificate is not None:
            yield from list_certificate(target.certificate, indent="  ")
    elif target.legacy is not None:
        yield from list_legacy(target.legacy)
    elif target.certificate is not None:
        yield from list_certificate(target.certificate)
    else:
        yield Line(mark="error ", style="bold red", text=target.error or "")


def describe_verification(record: Verification) -> Line:
    """Return the guarantees that hold, or else every finding."""
    if not record.ok:
        return Line(mark="FAILED ", style="bold red", text=record.describe())
    return Line(
        mark="ok ",
        style="green",
        text=f"{record.source}: all {record.members_checked} members are the packed bytes "
        f"(identity sha256:{record.identity}); {printable(record.vouched)}",
    )


def describe_check(check: DeepCheck) -> Line:
    """Return one deep check."""
    mark, style = ("  ok ", "green") if check.passed else ("  FAILED ", "bold red")
    return Line(mark=mark, style=style, text=f"{check.name}: {check.detail}")


def describe_recorded(verdict: Verdict) -> Line:
    """Return whether a reported number is the one that its run wrote down."""
    mark, style = OUTCOME_MARKS.get(verdict.outcome, (f"  {verdict.outcome.value} ", "yellow"))
    claim = "" if verdict.claim is None else f" {verdict.claim}"
    return Line(mark=mark, style=style, text=f"recorded{claim}: {printable(verdict.reason)}")


def list_legacy(record: LegacyVerification) -> Iterator[Line]:
    """Yield the outcome of a legacy archive, the findings, and the guarantees that are missing."""
    mark, style = LEGACY_MARKS[record.outcome]
    yield Line(mark=mark, style=style, text=f"{record.source}: legacy archive, read in the tolerant profile")
    for finding in record.findings:
        yield Line(text=f"  {finding.describe()}")
    if record.md5 and record.sha256:
        yield Line(text=f"  {len(record.files)} files; md5 {record.md5}; sha256 {record.sha256}")
    if record.listed is not None and record.outcome is LegacyOutcome.MATCHES:
        yield Line(text=f"  as {record.md5_list} lists it ({printable(record.listed.place)})")
    if record.num_vouched:
        yield Line(text=f"  {record.num_vouched} members are as {record.manifest} says")
    yield from map(describe_recorded, record.recorded)
    for note in record.notes:
        yield Line(text=f"  note: {printable(note)}")
    for one in record.missing_guarantees:
        yield Line(mark=f"  not guaranteed: {one}", style="dim", text="")
    if record.outcome is not LegacyOutcome.REFUSED:
        command = f"hstu-preserve reproduce {shlex.quote(str(record.source))}"
        yield Line(mark="  next ", style="bold", text=f"'{command}' evaluates its weights")
