"""What each forked program would build for itself: the validators of records.

Not the verbs: what they import reads the environment of the Hub's client.
"""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import hstu_preserve.records
from hstu_preserve.records.record import Record

for module in walk_packages(hstu_preserve.records.__path__, "hstu_preserve.records."):
    import_module(module.name)


def list_records(parent: type[Record]) -> Iterator[type[Record]]:
    """Yield every kind of record that is known by now."""
    for record in parent.__subclasses__():
        yield record
        yield from list_records(record)


for record in list_records(Record):
    record.model_rebuild()
