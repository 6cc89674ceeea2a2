"""Read file digests from a JSON manifest of unknown schema.

Nobody has published the schema of the archives' own `MANIFEST.json`, so that every spelling below is read. A spelling
that were missing here would turn a refusal into "nothing vouches for it".
"""

import re
from collections.abc import Sequence

from hstu_preserve.digest_lists.digest_list import MAX_NAME_CHARACTERS, DigestList, merge
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.archive_names import ARCHIVE_SUFFIXES
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.strict_json import strict_loads
from hstu_preserve.records.legacy.outcomes import ListedFile

PATH_KEYS = ("path", "file", "filename", "file_path", "name", "relpath", "relative_path")
MD5_KEYS = ("md5", "md5sum", "md5_hash", "md5_hex")
SHA256_KEYS = ("sha256", "sha256sum", "sha256_hash", "sha256_hex", "sha-256")
ANY_DIGEST_KEYS = ("digest", "checksum", "hash")
SIZE_KEYS = ("size", "size_bytes", "bytes", "num_bytes", "length")
DIGEST_KEYS = frozenset({*MD5_KEYS, *SHA256_KEYS, *ANY_DIGEST_KEYS})
CONTAINERS = frozenset(
    {"files", "checkpoints", "ckpts", "configs", "config", "events", "tb", "tensorboard", "artifacts", "contents"}
    | {"members", "checksums", "digests", "hashes", "md5s", "md5sums", "sha256s", "sha256sums", *MD5_KEYS, *SHA256_KEYS}
)
"""Keys below which a mapping's own keys are file names."""
SUFFIX = re.compile(r"\w\.[A-Za-z][A-Za-z0-9]{0,9}\Z")
DIGEST_TEXT = re.compile(r"(?:(?P<kind>md5|sha256)[:=-])?(?P<hex>[0-9a-fA-F]{64}|[0-9a-fA-F]{32})", re.IGNORECASE)


def parse_json_list(content: bytes, *, source: str) -> tuple[Json, DigestList]:
    """Read a JSON manifest of unknown schema strictly; return it whole, and the file digests in it.

    Raises:
        ContentError: Not strict JSON, or it gives one name two digests, or a digest of no known form.
    """
    value = strict_loads(content, source=source)
    search = JsonSearch(source)
    search.visit(value, place="$", key="")
    return value, DigestList(files=merge(search.found.files, source=source), unattributed=search.found.unattributed)


class JsonSearch:
    """Looks through a JSON value for file digests, in the shapes that such manifests have."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found = DigestList()

    def visit(self, value: Json, *, place: str, key: str) -> None:
        """Take in one value; `key` is the nearest key above it."""
        match value:
            case list():
                for position, item in enumerate(value):
                    self.visit(item, place=f"{place}[{position}]", key=key)
            case dict() if (name := find_text(value, PATH_KEYS)) and DIGEST_KEYS & value.keys():
                self.add(name, fields=value, place=place)
            case dict():
                for name, item in value.items():
                    self.visit_entry(name, item, place=f"{place}.{name}", container=key)
            case str() if DIGEST_TEXT.fullmatch(value):
                self.found.unattributed.append(place)
            case _:
                pass

    def visit_entry(self, name: str, item: Json, *, place: str, container: str) -> None:
        """Take in a key and its value, where the key may be a file's name."""
        is_name = container.casefold() in CONTAINERS or looks_like_file_name(name)
        if is_name and isinstance(item, str) and DIGEST_TEXT.fullmatch(item):
            self.add(name, fields={"digest": item}, place=place)
        elif is_name and isinstance(item, dict) and DIGEST_KEYS & item.keys() and not find_text(item, PATH_KEYS):
            self.add(name, fields=item, place=place)
        else:
            self.visit(item, place=place, key=name)

    def add(self, name: str, *, fields: dict[str, Json], place: str) -> None:
        """Note a file; digests of no known form are refused, since they might be meant to protect it."""
        digests: dict[str, str] = {}
        for key in sorted(DIGEST_KEYS & fields.keys()):
            if fields[key] is None:
                continue
            kind, digest = parse_digest(key, fields[key], place=f"{self.source}: {place}")
            if digests.setdefault(kind, digest) != digest:
                raise ContentError(f"{self.source}: {place}: two {kind} digests for {name!r}")
        size = next((fields[key] for key in SIZE_KEYS if key in fields), None)
        self.found.files.append(
            ListedFile(
                name=name.removeprefix("./"),
                md5=digests.get("md5"),
                sha256=digests.get("sha256"),
                size=size if isinstance(size, int) and not isinstance(size, bool) else None,
                place=place,
            )
        )


def parse_digest(key: str, value: Json, *, place: str) -> tuple[str, str]:
    """Return algorithm and digest in lower case; key, prefix and length must agree on the algorithm.

    Raises:
        ContentError: Not a digest of a known form.
    """
    matched = DIGEST_TEXT.fullmatch(value) if isinstance(value, str) else None
    if matched is not None:
        kinds = {"md5" if len(matched["hex"]) == 32 else "sha256"}
        kinds |= {matched["kind"].lower()} if matched["kind"] else set()
        kinds |= {"md5"} if key in MD5_KEYS else {"sha256"} if key in SHA256_KEYS else set()
        if len(kinds) == 1:
            return kinds.pop(), matched["hex"].lower()
    raise ContentError(f"{place}.{key}: not a digest of a known form (found {str(value)[:80]!r})")


def looks_like_file_name(name: str) -> bool:
    """Whether a key of a JSON object can only be meant as a file's name."""
    if len(name) > MAX_NAME_CHARACTERS:
        return False
    is_word = not any(character.isspace() for character in name)  # with blanks, it may be a sentence
    has_form = "/" in name.strip("/") or SUFFIX.search(name) is not None
    return name.endswith(ARCHIVE_SUFFIXES) or (is_word and has_form)


def find_text(value: dict[str, Json], keys: Sequence[str]) -> str | None:
    """Return the first of the keys' values that is a text."""
    return next((item for key in keys if isinstance(item := value.get(key), str) and item), None)
