"""Describe downloads as lines of text."""

import shlex
from collections.abc import Iterator

from hstu_preserve.primitives.archive_names import is_archive, is_code
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.certificate import CERTIFICATE_SUFFIX, CERTIFIED
from hstu_preserve.records.downloads import SIGNED, DownloadedFile, DownloadReport
from hstu_preserve.records.signature import SIGNATURE_SUFFIX, UNSIGNED
from hstu_preserve.report.lines import Line


def list_download(report: DownloadReport) -> Iterator[Line]:
    """Yield one line per file, who vouched for it below it, and the commit that all of them come from."""
    fetched = {file.path: file for file in report.files if file.error is None}
    for file in report.files:
        yield from list_file(
            file, signature=fetched.get(f"{file.path}{SIGNATURE_SUFFIX}"), is_dry_run=report.is_dry_run
        )
    yield Line(
        text=f"{report.repository} at commit {report.commit}; {describe_size(report.missing_bytes)} were missing"
    )
    for note in filter(None, (report.notice, *report.notes)):
        yield Line(mark="note ", style="yellow", text=printable(note))
    yield from advise(report)


def advise(report: DownloadReport) -> Iterator[Line]:
    """Yield what to type next, if a bundle was fetched; the code of an archive is read first, not run."""
    bundles = [file.place for file in report.files if file.place and file.error is None and is_bundle(file.path)]
    if report.is_dry_run or not bundles:
        return
    name = shlex.quote(bundles[0]) if len(bundles) == 1 else "FILE"
    text = f"'hstu-preserve verify {name}' looks into it, 'hstu-preserve reproduce {name}' judges its numbers"
    if len(bundles) > 1:
        text += ", 'hstu-preserve report FILE…' those of several in one table"
    yield Line(mark="next ", style="bold", text=text)


def is_bundle(path: str) -> bool:
    """Whether a file of a repository is a bundle by its name."""
    return is_archive(path) and not is_code(path)


def list_file(file: DownloadedFile, *, signature: DownloadedFile | None, is_dry_run: bool) -> Iterator[Line]:
    """Yield the outcome for one file, and for the signature that came with it."""
    if file.error is not None:
        yield Line(mark="error ", style="bold red", text=file.error)
    elif file.note is not None:
        yield Line(mark="note ", style="yellow", text=printable(file.note))
    elif is_dry_run or file.receipt is None:
        yield Line(
            mark="would fetch ", style="yellow", text=f"{printable(file.path)} ({describe_size(file.size or 0)})"
        )
    else:
        came = f"{describe_size(file.received)} received" if file.received else "was here already"
        yield Line(mark="ok ", style="green", text=f"{file.place} ({describe_size(file.size or 0)}, {came})")
        for one in file.receipt.vouched:
            yield Line(text=f"  {one.kind} {one.hex}, as {printable(one.source)} says")
        yield from describe_signer(file, signature=signature)


def describe_signer(file: DownloadedFile, *, signature: DownloadedFile | None) -> Iterator[Line]:
    """Yield who vouches for more than the bytes: nobody, or the signer of the file beside it, which was not checked."""
    if file.path.endswith(CERTIFICATE_SUFFIX):
        check = f"hstu-preserve verify {shlex.quote(file.place or file.path)} --public-key KEY"
        yield Line(mark=f"  {CERTIFIED}", style="dim", text=f"; '{check}' checks it")
    elif signature is not None:
        check = f"hstu-preserve verify {shlex.quote(file.place or file.path)} --public-key KEY"
        yield Line(mark=f"  {SIGNED}", style="dim", text=f" ({signature.place or signature.path}); '{check}' checks it")
    elif not file.path.endswith(SIGNATURE_SUFFIX):
        yield Line(mark=f"  {UNSIGNED}", style="dim", text="")


def describe_size(num_bytes: int) -> str:
    """Return a size in the units that disks are sold in."""
    size, units = float(num_bytes), ["kB", "MB", "GB", "TB", "PB", "EB"]
    if num_bytes < 1000:
        return f"{num_bytes} bytes"
    while size >= 1000 and units:
        size, unit = size / 1000, units.pop(0)
    return f"{size:.1f} {unit}"
