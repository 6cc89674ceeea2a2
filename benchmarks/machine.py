"""Facts about the machine that a figure was measured on."""

import os
from datetime import UTC, datetime

from hstu_preserve.compute.machine import describe_this_machine
from hstu_preserve.primitives.environment import processor_name
from hstu_preserve.primitives.json_values import Json


def machine_facts() -> Json:
    """Return processor, cores, memory, software, and the day."""
    facts: dict[str, Json] = {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "measured_on": today(),
        "environment": describe_this_machine().to_json_value(),
    }
    return facts


def today() -> str:
    """Return the day on which a figure is measured."""
    return datetime.now(UTC).date().isoformat()
