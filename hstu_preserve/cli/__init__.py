"""The command line: parse, call one verb, print its record."""

import os

# Before pydantic is imported: no third-party plugin takes part in reading records, and none is looked for among all
# installed packages, which took longer than the rest of many a command.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
