"""Write what is generated from the code: JSON Schemas and the README's command table (`make generated`)."""

import json
import re
import sys
from pathlib import Path

from hstu_preserve.cli.reference import command_table
from hstu_preserve.records.schemas import PUBLISHED_RECORDS, generate_schema

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = re.compile(r"(<!-- commands -->\n).*?(<!-- /commands -->)", re.DOTALL)


def generated_files() -> dict[Path, str]:
    """Return the text of every generated file."""
    files = {
        ROOT / "manifests" / "schema" / f"{name}.schema.json": json.dumps(generate_schema(name), indent=2) + "\n"
        for name in PUBLISHED_RECORDS
    }
    readme = ROOT / "README.md"
    files[readme] = COMMANDS.sub(
        lambda match: f"{match[1]}{command_table()}\n{match[2]}", readme.read_text(encoding="utf-8")
    )
    return files


def main() -> int:
    """Write the files that differ, and name them."""
    for path, text in generated_files().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
