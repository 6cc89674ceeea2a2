"""The stack, marks and memo of an unpickler, whatever descriptions lie on it."""

from typing import ClassVar, Generic, TypeVar

from hstu_preserve.checkpoint_files.values import refuse

T = TypeVar("T")


class PickleStack(Generic[T]):
    """What an unpickler moves values about with.

    Attributes:
        max_marks: How many groups may be begun within each other.
        stack: The values above the last mark.
        marked: The values below each mark.
        memo: The values that were put aside, by number.
    """

    max_marks: ClassVar[int]

    def __init__(self) -> None:
        self.stack: list[T] = []
        self.marked: list[list[T]] = []
        self.memo: dict[int, T] = {}

    def pop(self) -> T:
        """Take the topmost value."""
        return self.stack.pop() if self.stack else refuse("the stack is empty")

    def top(self) -> T:
        """Return the topmost value, which stays."""
        return self.stack[-1] if self.stack else refuse("the stack is empty")

    def pop_to_mark(self) -> list[T]:
        """Take everything above the last mark."""
        items, self.stack = self.stack, (self.marked.pop() if self.marked else refuse("there is no mark"))
        return items

    def push_mark(self) -> None:
        """Begin a group of values."""
        if len(self.marked) >= self.max_marks:
            refuse(f"more than {self.max_marks} marks")
        self.marked.append(self.stack)
        self.stack = []
