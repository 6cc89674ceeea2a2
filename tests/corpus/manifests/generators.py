"""The manifests of the corpus: the honest one, changed as `cases.json` says, with every digest made to fit."""

import json
from collections.abc import Callable
from typing import Any

from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.digests import sha256_of_bytes
from tests.corpus.archives.generators import Arguments, to_bytes


def untouched(honest: bytes) -> bytes:
    return honest


def raw(honest: bytes, *, content: Arguments) -> bytes:
    """These bytes instead."""
    return to_bytes(content)


def wrap(honest: bytes, *, before: Arguments = "", after: Arguments = "") -> bytes:
    """The honest bytes with something around them."""
    return to_bytes(before) + honest + to_bytes(after)


def replace_text(honest: bytes, *, old: str, new: Arguments) -> bytes:
    """The first occurrence of a text, changed in the bytes: for what no JSON writer would write."""
    assert old.encode() in honest, old
    return honest.replace(old.encode(), to_bytes(new), 1)


def encode(honest: bytes, *, encoding: str) -> bytes:
    return honest.decode().encode(encoding)


def spell(honest: bytes, *, indent: int | None, sort_keys: bool, ascii_only: bool) -> bytes:
    """The same value as another JSON writer spells it."""
    value = json.loads(honest)
    value["run"]["bundle"]["title"] = "Tiny é"
    if not sort_keys:
        value = dict(reversed(value.items()))
    return json.dumps(value, indent=indent, sort_keys=sort_keys, ensure_ascii=ascii_only).encode()


def set_value(honest: bytes, *, path: list[str | int], value: Any) -> bytes:
    """The value at a place is another, or new; the run's own digests are made to fit."""
    tree = json.loads(honest)
    place = tree
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return finish(tree)


def remove(honest: bytes, *, path: list[str | int]) -> bytes:
    """A field or an element is gone."""
    tree = json.loads(honest)
    place = tree
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return finish(tree)


def set_policy(honest: bytes, *, changes: dict[str, Any], without: list[str] | None = None) -> bytes:
    """The claim's policy and the one fixed before the run, both changed."""
    tree = json.loads(honest)
    for policy in (tree["claims"][0]["policy"], tree["run"]["policies"][0]):
        policy.update(changes)
        for field in without or []:
            del policy[field]
    return finish(tree)


def list_file(honest: bytes, *, file: dict[str, Any], in_order: bool = True) -> bytes:
    """A further file is listed, which the bundle does not hold; what is not given is taken from `run.json`."""
    tree = json.loads(honest)
    files = tree["contents"]["files"]
    files.append(next(each for each in files if each["path"] == "run.json") | file)
    if in_order:
        files.sort(key=lambda each: each["path"])
    return finish(tree)


def set_file(honest: bytes, *, path: str, changes: dict[str, Any], without: list[str] | None = None) -> bytes:
    """What is said of a file is something else."""
    tree = json.loads(honest)
    file = next(each for each in tree["contents"]["files"] if each["path"] == path)
    file |= changes
    for field in without or []:
        del file[field]
    return finish(tree)


def drop_file(honest: bytes, *, path: str) -> bytes:
    """A file that the bundle holds is not listed."""
    tree = json.loads(honest)
    tree["contents"]["files"] = [file for file in tree["contents"]["files"] if file["path"] != path]
    return finish(tree)


def reverse_files(honest: bytes) -> bytes:
    tree = json.loads(honest)
    tree["contents"]["files"].reverse()
    return finish(tree)


def finish(tree: Any) -> bytes:
    """Return the canonical bytes, with the recipe's digest made to fit unless a case sets it."""
    run = tree.get("run") if isinstance(tree, dict) else None
    if isinstance(run, dict) and isinstance(run.get("recipe"), dict) and run.get("recipe_sha256") is not None:
        fits = sha256_of_bytes(canonical_dumps(run["recipe"]))
        run["recipe_sha256"] = fits if run["recipe_sha256"] != "0" * 64 else run["recipe_sha256"]
    return canonical_dumps(tree)


GENERATORS: dict[str, Callable[..., bytes]] = {
    generator.__name__: generator
    for generator in (
        untouched,
        raw,
        wrap,
        replace_text,
        encode,
        spell,
        set_value,
        remove,
        set_policy,
        list_file,
        set_file,
        drop_file,
        reverse_files,
    )
}
