"""The filter of users and items with few events: counted once over the whole source, not until nothing changes."""

from dataclasses import dataclass
from typing import Protocol

from hstu_preserve.errors import UsageError
from hstu_preserve.primitives.wording import count


class Filtered(Protocol):
    """What says how its data was filtered: a recipe's dataset, or the provenance of a store."""

    @property
    def min_user_events(self) -> int | None: ...  # noqa: D102  # the names say it

    @property
    def min_item_events(self) -> int | None: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class EventFilter:
    """How many events a user and an item must have in the source; an event stays if both have."""

    min_user_events: int = 1
    min_item_events: int = 1

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is left out."""
        return self.min_user_events == self.min_item_events == 1

    @property
    def words(self) -> str:
        """The data that is left, for a sentence."""
        if self.keeps_all:
            return "of all users and items"
        users, items = count(self.min_user_events, "event"), count(self.min_item_events, "event")
        return f"of users with at least {users} and items with at least {items} (counted once)"

    @property
    def options(self) -> str:
        """The options that ask for the filter, each with a blank before it; none if it keeps all."""
        wanted = {"--min-user-events": self.min_user_events, "--min-item-events": self.min_item_events}
        return "".join(f" {option} {least}" for option, least in wanted.items() if least > 1)


KEEP_ALL = EventFilter()


def filter_of(filtered: Filtered) -> EventFilter:
    """Return the filter that a record tells."""
    return EventFilter(min_user_events=filtered.min_user_events or 1, min_item_events=filtered.min_item_events or 1)


def tell_least(least: int) -> int | None:
    """Return how a record tells the least number of events: not at all if it leaves nothing out."""
    return least if least > 1 else None


def ask_filter(*, min_user_events: int, min_item_events: int) -> EventFilter:
    """Return the filter that a caller asks for.

    Raises:
        UsageError: A number below 1.
    """
    for option, least in (("--min-user-events", min_user_events), ("--min-item-events", min_item_events)):
        if least < 1:
            raise UsageError(f"{option} {least}: must be at least 1, which leaves nothing out")
    return EventFilter(min_user_events=min_user_events, min_item_events=min_item_events)
