"""Facts about the machine that a figure was measured on."""

import os

from hstu_preserve.compute.machine import describe_this_machine
from hstu_preserve.primitives.environment import processor_name
from hstu_preserve.primitives.json_values import Json


def machine_facts() -> Json:
    """Return processor, cores, memory and software."""
    facts: dict[str, Json] = {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "environment": describe_this_machine().to_json_value(),
    }
    return facts
