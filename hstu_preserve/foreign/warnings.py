"""Say what the figures of weights that others trained may be without."""

from collections.abc import Iterable, Iterator

from hstu_preserve.data.store import Store
from hstu_preserve.gin_recipes.bindings import is_reconstructed
from hstu_preserve.primitives.wording import list_some
from hstu_preserve.records.legacy.shown import ShownChain


def describe_names(chain: ShownChain) -> Iterator[str]:
    """Yield which gin names the figures may be without, or are with by our reading alone."""
    if chain.unknown:
        names = list_some((one.name for one in chain.unknown), at_most=6)
        yield f"gin names that nothing here reads, and that may act in the evaluation: {names}"
    guessed = [one.name for one in chain.known if is_reconstructed(one.name)]
    if guessed:
        names = list_some(guessed, at_most=6)
        yield f"our reading of gin names whose code was never published: {names}"


def describe_not_built(not_built: Iterable[str]) -> tuple[str, ...]:
    """Return what a checkpoint holds beside its weights."""
    return tuple(f"not built, since only tensors are read: {said}" for said in not_built)


def warn_of_borrowed_name(name: str, store: Store) -> tuple[str, ...]:
    """Return a warning if a gin file names another dataset than the store.

    Upstream's code knows few names, so that its users borrowed one for other data.
    """
    if name == store.name:
        return ()
    return (f"the gin file is for {name}, the store holds {store.name}: the figures are of {store.name}",)
