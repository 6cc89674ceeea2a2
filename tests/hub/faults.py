"""What the local hub can do wrong on demand."""

import re
import threading
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Fault:
    """One way of answering wrongly, for the next requests that match.

    Attributes:
        pattern: Of `METHOD /path`; searched for.
        times: How many requests it spoils.
        skip: How many matching requests pass before.
        status: Answer with it instead.
        headers: Sent beside that status, or instead of the true ones.
        cut_at: The connection ends before this byte of the file.
        flip_at: One bit of this byte of the file is another.
        is_dropped: The connection ends without an answer.
        until: Waited for, at `cut_at` or else before the answer; nobody need ever set it.
        is_range_ignored: A whole file for a part.
        is_condition_ignored: `If-Range` is not looked at.
        range_status: The status of an answer to a range.
        body: Instead of the content.
        bytes_per_second: Slowly.
    """

    pattern: str
    times: int = 1
    skip: int = 0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    flip_at: int | None = None
    is_dropped: bool = False
    until: threading.Event | None = None
    is_range_ignored: bool = False
    is_condition_ignored: bool = False
    range_status: int = 206
    body: bytes | None = None
    bytes_per_second: float | None = None

    def takes(self, request: str) -> bool:
        """Whether this request is spoiled; counts."""
        if not re.search(self.pattern, request) or not self.times:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True


ALWAYS = 10**9
HONEST = Fault(pattern="", times=0)
