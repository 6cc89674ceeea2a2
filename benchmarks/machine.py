"""Facts about the machine that a figure was measured on."""

import os
import platform
from pathlib import Path

from hstu_preserve.primitives.strict_json import Json
from hstu_preserve.workflows.doctor import describe_this_machine


def machine_facts() -> Json:
    """Return processor, cores, memory and software."""
    facts: dict[str, Json] = {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "environment": describe_this_machine().to_json_value(),
    }
    return facts


def processor_name() -> str:
    """Return the processor's own name where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
