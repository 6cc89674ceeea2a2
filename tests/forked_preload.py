"""What each forked program would import and build for itself: the verbs, and the validators of records.

Not the verbs that import the Hub's client, which reads the environment when it is imported.
"""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

import hstu_preserve.verbs
from hstu_preserve.records.record import Record

WITH_THE_CLIENT = {"data", "download", "report", "reproduce"}

for module in iter_modules(hstu_preserve.verbs.__path__):
    if module.name not in WITH_THE_CLIENT:
        import_module(f"hstu_preserve.verbs.{module.name}")


def list_records(parent: type[Record]) -> Iterator[type[Record]]:
    """Yield every kind of record that is known by now."""
    for record in parent.__subclasses__():
        yield record
        yield from list_records(record)


for record in list_records(Record):
    record.model_rebuild()
