"""What the shell completes: ids, rungs, datasets and formats; for anything else it goes on to complete file names."""

from collections.abc import Callable, Iterable

Completion = Callable[[str], list[str]]


def begin_with(incomplete: str, words: Iterable[str]) -> list[str]:
    """Return the words that begin so."""
    return [word for word in words if word.startswith(incomplete)]


def complete_words(*words: str) -> Completion:
    """Return a completion for an option that takes one of these words."""

    def complete(incomplete: str) -> list[str]:
        return begin_with(incomplete, words)

    return complete


def complete_ids(incomplete: str) -> list[str]:
    """Return the ids of the catalog that begin so, and `sample`."""
    from hstu_preserve.library.catalog import read_catalog
    from hstu_preserve.library.targets import SAMPLE

    return begin_with(incomplete, (SAMPLE, *read_catalog()))


def complete_recipes(incomplete: str) -> list[str]:
    """Return the ids of the shipped gin chains that begin so."""
    from hstu_preserve.library.catalog import list_chains

    return begin_with(incomplete, sorted(list_chains()))


def complete_either(incomplete: str) -> list[str]:
    """Return the ids of the catalog and of the shipped gin chains that begin so, and `sample`."""
    return sorted({*complete_ids(incomplete), *complete_recipes(incomplete)})


def complete_rungs(incomplete: str) -> list[str]:
    """Return the rungs that re-run something."""
    from hstu_preserve.verdict.integrity import RERUN_RUNGS

    return begin_with(incomplete, RERUN_RUNGS)


def complete_datasets(incomplete: str) -> list[str]:
    """Return the datasets that `data prepare` knows."""
    from hstu_preserve.data.known_datasets import PUBLISHED_NAMES

    return begin_with(incomplete, PUBLISHED_NAMES)


def complete_policies(incomplete: str) -> list[str]:
    """Return the tie policies that `data prepare` knows."""
    from hstu_preserve.records.store import PREPARED_POLICIES

    return begin_with(incomplete, PREPARED_POLICIES)


def complete_kinds(incomplete: str) -> list[str]:
    """Return the kinds of evaluation that begin so, and `all`."""
    from hstu_preserve.records.evaluation_kind import EvaluationKind

    return begin_with(incomplete, ("all", *EvaluationKind))


def complete_metrics(incomplete: str) -> list[str]:
    """Return the metrics that every run records."""
    from hstu_preserve.primitives.metric_names import METRIC_NAMES

    return begin_with(incomplete, METRIC_NAMES)
