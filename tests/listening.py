"""A voice that keeps the progress it is told, for tests of verbs that work for long."""

from dataclasses import dataclass, field

from hstu_preserve.primitives.voice import Progress, Voice


@dataclass
class Listener:
    """Keeps every sign of progress."""

    heard: list[Progress] = field(default_factory=list)

    @property
    def voice(self) -> Voice:
        return Voice(show=self.heard.append)

    def list_activities(self) -> list[str]:
        return list(dict.fromkeys(one.activity for one in self.heard))

    def require_complete(self) -> None:
        """Each activity begins with nothing, never goes back, and ends at its total."""
        for activity in self.list_activities():
            steps = [one for one in self.heard if one.activity == activity]
            done = [one.completed for one in steps]
            assert len({one.total for one in steps}) == 1
            assert done == sorted(set(done))
            assert (done[0], done[-1]) == (0, steps[-1].total)
