"""The small runs of the run room's tests, to be packed and run again."""

from tests.runs.conftest import crashed, finished, store, undisturbed

__all__ = ["crashed", "finished", "store", "undisturbed"]
