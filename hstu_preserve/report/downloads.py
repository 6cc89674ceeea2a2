"""Downloads as lines of text."""

from collections.abc import Iterator

from hstu_preserve.records.downloads import NOT_SIGNED, DownloadedFile, DownloadReport
from hstu_preserve.report.lines import Line


def list_download(report: DownloadReport) -> Iterator[Line]:
    """Yield one line per file, who vouched for it below it, and the commit that all of them come from."""
    for file in report.files:
        yield from list_file(file, is_dry_run=report.is_dry_run)
    yield Line(
        text=f"{report.repository} at commit {report.commit}; {describe_size(report.missing_bytes)} were missing"
    )
    if report.notice is not None:
        yield Line(mark="note ", style="yellow", text=report.notice)


def list_file(file: DownloadedFile, *, is_dry_run: bool) -> Iterator[Line]:
    """Yield what became of one file."""
    if file.error is not None:
        yield Line(mark="error ", style="bold red", text=file.error)
    elif is_dry_run or file.receipt is None:
        yield Line(mark="would fetch ", style="yellow", text=f"{file.path} ({describe_size(file.size or 0)})")
    else:
        came = f"{describe_size(file.received)} received" if file.received else "was here already"
        yield Line(mark="ok ", style="green", text=f"{file.place} ({describe_size(file.size or 0)}, {came})")
        for one in file.receipt.vouched:
            yield Line(text=f"  {one.kind} {one.hex}, as {one.source} says")
        yield Line(mark=f"  {NOT_SIGNED}", style="dim", text="")


def describe_size(num_bytes: int) -> str:
    """Return a size in the units that disks are sold in."""
    size, units = float(num_bytes), ["kB", "MB", "GB", "TB", "PB", "EB"]
    if num_bytes < 1000:
        return f"{num_bytes} bytes"
    while size >= 1000 and units:
        size, unit = size / 1000, units.pop(0)
    return f"{size:.1f} {unit}"
