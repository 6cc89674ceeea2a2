"""Write what is generated from the code: JSON Schemas and two pages of the reference (`make generated`)."""

import json
import re
import sys
from pathlib import Path

from tools.command_reference import command_pages
from tools.gin_reference import gin_page
from tools.schemas import PUBLISHED_RECORDS, generate_schema

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
GENERATED = re.compile(r"(<!-- generated: begin -->\n).*(<!-- generated: end -->)", re.DOTALL)
"""The part of a page that is written here; what stands around it is written by hand."""


def generated_files() -> dict[Path, str]:
    """Return the text of every generated file."""
    files = {
        ROOT / "manifests" / "schema" / f"{name}.schema.json": json.dumps(generate_schema(name), indent=2) + "\n"
        for name in PUBLISHED_RECORDS
    }
    for page, text in ((REFERENCE / "commands.md", command_pages()), (REFERENCE / "gin.md", gin_page())):
        files[page] = replace_generated(page, text)
    return files


def replace_generated(page: Path, text: str) -> str:
    """Return a page with its generated part anew.

    Raises:
        ValueError: The page has no place for it.
    """
    before = page.read_text(encoding="utf-8")
    if not GENERATED.search(before):
        raise ValueError(f"{page}: no '<!-- generated: begin -->' and end")
    return GENERATED.sub(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", before)


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
