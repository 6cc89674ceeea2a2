"""What each forked program would import and build for itself: all modules, and the validators of records."""

import gc
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import hstu_preserve
from hstu_preserve.records.record import Record

NOT_IMPORTED = ("__main__", "archived.shim", "_triton")
"""How the names end of what is run when it is imported, and of what only the machine of a GPU imports."""
OF_THE_CLIENT = ("huggingface_hub.hf_api", "huggingface_hub.repocard_data", "httpcore2", "anyio", "socket", "ssl")
"""What the Hub's client imports once it is used."""

for name in (module.name for module in walk_packages(hstu_preserve.__path__, "hstu_preserve.")):
    if not name.endswith(NOT_IMPORTED):
        import_module(name)
for name in OF_THE_CLIENT:
    import_module(name)


def list_records(parent: type[Record]) -> Iterator[type[Record]]:
    """Yield every kind of record that is known by now."""
    for record in parent.__subclasses__():
        yield record
        yield from list_records(record)


for record in list_records(Record):
    record.model_rebuild()

gc.collect()
gc.freeze()  # what is here stays: a search for garbage would copy each page of it into every process that is forked
