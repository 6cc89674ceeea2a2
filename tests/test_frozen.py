"""What a released schema version froze is only added to; what is newer is refused, and the message says what to do."""

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from hstu_preserve.cli.main import main
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.records.record import SCHEMA_VERSION
from hstu_preserve.records.retraining.plan import Plan
from tests.bundle.archives import compress, join, read_pieces
from tests.factories import make_run_record, make_sealed_run
from tools.frozen import FROZEN_RECORDS, Frozen, describe_frozen, list_breaks, list_own_breaks, read_frozen

Capture = pytest.CaptureFixture[str]
NEWER = SCHEMA_VERSION + 1
UPDATE = "install a newer hstu-preserve"


def test_no_change_since_the_release_breaks_a_record_or_a_name() -> None:
    assert list_own_breaks() == [], "see docs/reference/versions.md"


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    found = read_frozen()
    assert found is not None
    return found


def test_no_record_changes_between_two_looks(frozen: Frozen) -> None:
    assert list_breaks(frozen, deepcopy(frozen)) == []


def field(frozen: Any, record: str, name: str) -> Any:
    """Return the schema of a field, of which the tests make another."""
    return frozen["$defs"][record]["properties"][name]


def require_new_field(frozen: Any) -> None:
    frozen["$defs"]["ClaimPolicy"]["properties"]["unit"] = {"type": "string"}
    frozen["$defs"]["ClaimPolicy"]["required"].append("unit")


def remove_field(frozen: Any) -> None:
    del frozen["$defs"]["ArrayRecord"]["properties"]["dtype"]


def change_type(frozen: Any) -> None:
    field(frozen, "StoreCounts", "num_users")["type"] = "string"


def require_optional(frozen: Any) -> None:
    frozen["$defs"]["Claim"]["required"].append("references")


def change_default(frozen: Any) -> None:
    field(frozen, "Reproduction", "is_exploratory")["default"] = True


def drop_name(frozen: Any) -> None:
    frozen["$defs"]["TiePolicy"]["enum"].remove("item_id")


def narrow(frozen: Any) -> None:
    field(frozen, "Plan", "seeds")["maxItems"] = 9


def drop_kind_of_model(frozen: Any) -> None:
    model = field(frozen, "Recipe", "model")
    model["oneOf"] = model["oneOf"][:2]


def forget_null(frozen: Any) -> None:
    field(frozen, "Recipe", "prism")["anyOf"] = [{"$ref": "#/$defs/PrismSettings"}]


def print_null(frozen: Any) -> None:
    field(frozen, "PackResult", "members").clear()
    field(frozen, "PackResult", "members")["anyOf"] = [{"type": "integer"}, {"type": "null"}]


def print_less(frozen: Any) -> None:
    frozen["$defs"]["PackResult"]["required"].remove("members")


def remove_record(frozen: Any) -> None:
    del frozen["records"]["plan"]


def change_exit_code(frozen: Any) -> None:
    frozen["names"]["exit codes"]["InconclusiveError"] = 0


def change_gin_default(frozen: Any) -> None:
    frozen["names"]["gin names"]["train_fn.dropout_rate"] = {"always": 0.5}


def drop_predicate(frozen: Any) -> None:
    del frozen["names"]["types"]["urn:hstu-preserve:reproduction:v1"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (require_new_field, "manifest: run.policies.items.unit: required, and new"),
        (remove_field, "store: arrays.items.dtype: removed"),
        (change_type, "store: counts.num_users: string, was integer"),
        (require_optional, "manifest: claims.items.references: required, was optional"),
        (change_default, "reproduction: is_exploratory: another default, True for False"),
        (drop_name, "store: provenance.tie_policy: no longer takes item_id"),
        (narrow, "plan: seeds: maxItems 9, was 99"),
        (drop_kind_of_model, "run: recipe.model"),
        (forget_null, "run: recipe.prism: object, was null"),
        (print_null, "pack-result: members: may be null"),
        (print_less, "pack-result: members: no longer always there"),
        (remove_record, "plan: removed"),
        (change_exit_code, "exit codes: InconclusiveError is 0, was 6"),
        (change_gin_default, "gin names: train_fn.dropout_rate is {'always': 0.5}, was {'always': 0.2}"),
        (drop_predicate, "types: urn:hstu-preserve:reproduction:v1 is gone"),
    ],
)
def test_a_change_that_breaks_something_is_named(change: Callable[[Any], None], says: str, frozen: Frozen) -> None:
    changed = deepcopy(frozen)
    change(changed)
    assert any(one.startswith(says) for one in list_breaks(frozen, changed))


def add_optional(frozen: Any) -> None:
    frozen["$defs"]["ClaimPolicy"]["properties"]["unit"] = {"type": "string", "default": "share"}


def add_name(frozen: Any) -> None:
    frozen["$defs"]["Rung"]["enum"].append("another")


def widen(frozen: Any) -> None:
    field(frozen, "Plan", "seeds")["maxItems"] = 999


def add_metric(frozen: Any) -> None:
    metric = field(frozen, "ClaimPolicy", "metric")
    metric["pattern"] = metric["pattern"].replace("(hr@1|", "(hr@1|hr@5|")


def add_record(frozen: Any) -> None:
    frozen["records"]["another"] = frozen["records"]["plan"]


def add_gin_name(frozen: Any) -> None:
    frozen["names"]["gin names"]["another.name"] = None


@pytest.mark.parametrize("change", [add_optional, add_name, widen, add_metric, add_record, add_gin_name])
def test_what_is_only_added_breaks_nothing(change: Callable[[Any], None], frozen: Frozen) -> None:
    changed = deepcopy(frozen)
    change(changed)
    assert changed != frozen
    assert list_breaks(frozen, changed) == []


def test_the_description_is_the_same_at_every_call() -> None:
    assert describe_frozen() == describe_frozen()


@pytest.mark.parametrize("name", FROZEN_RECORDS)
def test_a_newer_record_of_any_kind_is_refused_and_says_what_to_do(name: str) -> None:
    content = canonical_dumps({"schema_version": NEWER, "entirely": "different"})
    with pytest.raises(ContentError, match=rf"^x: schema_version {NEWER} is newer than {SCHEMA_VERSION}.*{UPDATE}$"):
        FROZEN_RECORDS[name].from_json(content, source="x")


@pytest.mark.parametrize("value", [{"entirely": "different"}, {"entirely": "x" * 70_000}])
def test_an_unknown_field_says_that_a_newer_release_may_have_written_it(value: dict[str, str]) -> None:
    with pytest.raises(ContentError, match=f"entirely.*if a newer release wrote it, {UPDATE}$"):
        Plan.from_json(canonical_dumps(dict(value)), source="x")


def test_a_missing_field_says_nothing_of_newer_releases() -> None:
    with pytest.raises(ContentError) as caught:
        Plan.from_json(b"{}", source="x")
    assert UPDATE not in str(caught.value)


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that a newer release may have written."""
    folder = tmp_path_factory.mktemp("newer")
    make_sealed_run(folder / "tree")
    pieces = read_pieces(folder / "tree")
    manifest = json.loads(pieces[0].content) | {"schema_version": NEWER, "surprise": []}
    pieces[0] = pieces[0].with_content(canonical_dumps(manifest))
    (folder / "bundle.tar.gz").write_bytes(compress(join(pieces)))
    (folder / "tree" / "MANIFEST.json").write_bytes(pieces[0].content)
    record = canonical_dumps({"schema_version": NEWER, "surprise": []})
    for name in ("store/store.json", "plan.json", "reproduction.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(record)
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "bundle.tar.gz"],
        ["verify", "tree"],
        ["show", "bundle.tar.gz"],
        ["show", "tree"],
        ["unpack", "bundle.tar.gz", "--output", "out"],
        ["pack", "tree", "--output", "out"],
        ["diff", "bundle.tar.gz", "tree"],
        ["migrate", "bundle.tar.gz", "--output", "out"],
        ["reproduce", "bundle.tar.gz"],
        ["evaluate", "bundle.tar.gz"],
        ["export", "bundle.tar.gz", "--format", "model-card", "--output", "out"],
        ["compare", "bundle.tar.gz", "tree"],
        ["data", "show", "store"],
        ["train", "--plan", "plan.json", "--seed", "43", "--data", "store", "--output", "out"],
        ["report", "reproduction.json", "--markdown", "out"],
    ],
    ids=" ".join,
)
def test_every_command_says_that_what_it_was_given_is_newer(
    arguments: list[str], newer: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(newer)
    assert main(arguments) == ContentError.exit_code
    captured = capsys.readouterr()
    assert f"schema_version {NEWER} is newer than {SCHEMA_VERSION}" in captured.out + captured.err
    assert UPDATE in captured.out + captured.err
    assert not Path("out").exists()


def test_a_run_record_says_its_version_and_those_of_before_keep_their_digest() -> None:
    draft = make_run_record()
    assert "schema_version" not in json.loads(draft.to_json())
    assert json.loads(draft.model_copy(update={"schema_version": SCHEMA_VERSION}).to_json())["schema_version"] == 1
