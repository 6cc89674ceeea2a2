"""Write what is generated (`make generated`): schemas and reference from code, the preservation report from records.

What is frozen is only added to: a change that breaks a record of a released schema version is refused.
"""

import json
import re
import sys
from pathlib import Path

from tools.command_reference import command_pages
from tools.frozen import FROZEN, describe_frozen, list_own_breaks
from tools.gin_reference import gin_page
from tools.preservation_report import compose_preservation_report
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
    files[FROZEN] = json.dumps(describe_frozen(), indent=1) + "\n"
    files[ROOT / "PRESERVATION_REPORT.md"] = compose_preservation_report()
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
    """Write the files that differ, and name them; write nothing if a frozen record would break."""
    breaks = list_own_breaks()
    if breaks:
        sys.stderr.write(
            f"{len(breaks)} breaks of {FROZEN.relative_to(ROOT)}; keep the old form, or raise SCHEMA_VERSION and go on "
            "reading the old one (docs/reference/versions.md):\n" + "".join(f"  {one}\n" for one in breaks)
        )
        return 1
    for path, text in generated_files().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
