"""The reference page of gin names, from the tables and records that resolve them: `docs/reference/gin.md`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from hstu_preserve.gin_recipes.bindings import (
    ANY,
    BUNDLE_ARGUMENTS,
    CLAIM_ARGUMENTS,
    DEFAULT_LOSS_TOLERANCE,
    DEFAULT_METRIC,
    FIXED_BINDINGS,
    INERT_BINDINGS,
    LEARNED_SIMILARITY,
    RECIPE_BINDINGS,
    SWITCHES_BY_SECTION,
    UNREAD_BINDINGS,
    Condition,
    RecipeBinding,
)
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.metric_names import METRIC_NAMES
from hstu_preserve.records.claim import ClaimPolicy
from hstu_preserve.records.manifest import BundleSettings
from hstu_preserve.records.recipe import Recipe
from hstu_preserve.records.record import Record
from tools.schemas import read_field_texts

Schema = Any  # a JSON Schema, as pydantic writes it
FieldType = Any  # an annotation

CLAIM_DEFAULTS: Mapping[str, str] = {
    "name": "the scope, else the metric",
    "metric": f"`{DEFAULT_METRIC}`",
    "direction": "`maximize`",
    "evaluation": "the recipe's kind, `eval.kind`",
    "selection_rule": "`final-epoch`; `best-on-validation` under `data.protocol = 'validated'`",
    "margin": "`None`",
    "margin_derivation": "`None`",
    "spread": "`None`",
    "spread_degrees": "`None`",
    "spread_derivation": "`None`",
    "loss_tolerance": f"`{DEFAULT_LOSS_TOLERANCE}`",
    "seeds": "`train_fn.random_seed` alone",
}
BUNDLE_DEFAULTS: Mapping[str, str] = {
    "id": "the gin file's name",
    "title": "the id",
    "licence": "`unspecified`",
    "citation": "empty",
    "include_data": "`False`",
}
SETS = {"claim": "claims[].policy", "bundle": "run.bundle"}
"""Where in a manifest a selector's values are."""
PATTERNS = {
    f"^({'|'.join(METRIC_NAMES)})$".replace(".", "\\."): "a metric, listed below",
    "^[0-9a-f]{64}$": "sha256, 64 hexadecimal digits",
    "^[A-Za-z0-9][A-Za-z0-9._-]*$": "letters, digits, `.`, `_` and `-`",
}
PLAIN_TYPES = {"integer": "integer", "number": "number", "boolean": "boolean", "string": "text", "null": "`None`"}


def gin_page() -> str:
    """Return every gin name that a chain may bind, by selector, as Markdown."""
    rows_of: dict[str, list[RecipeBinding]] = {}
    for row in RECIPE_BINDINGS:
        rows_of.setdefault(row.name.split(".")[0], []).append(row)
    sections = [recipe_section(selector, rows) for selector, rows in rows_of.items()]
    sections.append(policy_section("claim", ClaimPolicy, CLAIM_ARGUMENTS, defaults=CLAIM_DEFAULTS))
    sections.append(policy_section("bundle", BundleSettings, BUNDLE_ARGUMENTS, defaults=BUNDLE_DEFAULTS))
    sections.append(without_effect())
    return "\n\n".join(sections)


def recipe_section(selector: str, rows: Sequence[RecipeBinding]) -> str:
    """Return the names of one selector, below what is true of all its names."""
    shared = {row.read_if for row in rows}
    common = shared.pop() if len(shared) == 1 else None
    switch = SWITCHES_BY_SECTION.get(rows[0].path.split(".")[0])
    is_component = switch is not None and switch.name.split(".")[0] == selector
    intro = [describe_condition(common, "These names are read")] if common else []
    if switch is not None and is_component:
        intro = [f"`{switch.name} = {switch.off!r}` leaves the component out; its other names are then not read."]
    lines = [recipe_entry(row, is_common=common is not None) for row in rows]
    return "\n".join([f"## {selector}", "", *(f"{line}\n" for line in intro), *lines])


def recipe_entry(row: RecipeBinding, *, is_common: bool) -> str:
    """Return one name of the recipe as an entry; `is_common` leaves out when it is read."""
    field, text = find_field(row)
    kind = describe_type(field)
    switch = SWITCHES_BY_SECTION.get(row.path.split(".")[0])
    if switch is not None and switch.name == row.name:
        kind = f"{show(switch.off)}, {kind}"
    remarks = [text, "" if is_common or row.read_if is None else describe_condition(row.read_if, "Read")]
    if row.idle_if:
        remarks.append(f"Without effect if {' or if '.join(map(describe_values, row.idle_if))}.")
    meaning = " ".join(filter(None, remarks))
    default = "none: it must be bound" if row.note else show(row.default)
    return list_entry(row.name, kind=kind, default=default, sets=row.path, meaning=meaning)


def list_entry(name: str, *, kind: str, default: str, sets: str, meaning: str) -> str:
    """Return one name as an entry of a list: it fits a narrow screen, as a table of five columns does not."""
    return f"* `{name}`: {kind}. Default {default}, sets `{sets}`. {meaning}".rstrip()


def describe_condition(condition: Condition, beginning: str) -> str:
    """Return when a name is read."""
    return f"{beginning} if {describe_values(condition)}."


def describe_values(condition: Condition) -> str:
    """Return that a setting has one of some values."""
    return f"`{condition.name}` is {' or '.join(map(show, condition.values))}"


def find_field(row: RecipeBinding) -> tuple[FieldType, str]:
    """Return the type of the field that a name sets, and the text below the field in its record."""
    section, name = row.path.split(".")
    records = [record for record in list_records(Recipe.model_fields[section]) if name in record.model_fields]
    chosen = [record for record in records if fits(record, row.read_if)] or records
    types = [annotation_of(record.model_fields[name]) for record in chosen]
    texts = [text for record in chosen for text in find_texts(record, name)]
    return Union[tuple(types)], texts[0] if texts else ""  # noqa: UP007  of types that are known at run time only


def fits(record: type[Record], condition: Condition | None) -> bool:
    """Return whether the condition's value is what tells this record of a union from the others."""
    if condition is None:
        return True
    tags = {value for field in record.model_fields.values() for value in literals_of(field.annotation)}
    return not tags.isdisjoint({value for value in condition.values if isinstance(value, str)})


def literals_of(annotation: FieldType) -> tuple[str, ...]:
    """Return the one text of a literal, nothing for other types."""
    values = get_args(annotation)
    return values if len(values) == 1 and isinstance(values[0], str) else ()


def list_records(field: FieldInfo) -> Iterator[type[Record]]:
    """Yield the records that a field may hold."""
    yield from list_members(field.annotation)


def list_members(annotation: FieldType) -> Iterator[type[Record]]:
    """Yield the records in an annotation, unions resolved."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        yield annotation
    elif get_origin(annotation) in {Union, UnionType, Annotated}:
        for member in get_args(annotation):
            yield from list_members(member)


def annotation_of(field: FieldInfo) -> FieldType:
    """Return a field's type with its limits."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def find_texts(record: type[Record], name: str) -> list[str]:
    """Return the text below a field, of the record or of one it extends."""
    parents = [parent for parent in record.__mro__ if issubclass(parent, Record) and parent is not Record]
    return [text for parent in parents for field, text in read_field_texts(parent) if field == name]


def describe_type(annotation: FieldType) -> str:
    """Return a type in words."""
    if annotation is ANY:
        return "a module, by name"
    schema = TypeAdapter(annotation).json_schema()
    return describe_schema(schema, definitions=schema.get("$defs", {}))


def describe_schema(schema: Schema, *, definitions: Mapping[str, Schema]) -> str:
    """Return a JSON Schema in words."""
    match schema:
        case {"$ref": str(place)}:
            words = describe_schema(definitions[place.rsplit("/", 1)[-1]], definitions=definitions)
        case {"anyOf": list(members)}:
            words = ", ".join(dict.fromkeys(describe_schema(one, definitions=definitions) for one in members))
        case {"const": value}:
            words = show(value)
        case {"enum": list(values)}:
            words = ", ".join(map(show, values))
        case {"type": "array", "items": items}:
            words = f"list of {describe_schema(items, definitions=definitions)}"
        case {"type": "object"}:
            words = "dictionary of names and numbers"
        case {"pattern": pattern} if pattern in PATTERNS:
            words = PATTERNS[pattern]
        case _:
            words = f"{PLAIN_TYPES[schema['type']]} {' and '.join(describe_limits(schema))}".rstrip()
    return words


def describe_limits(schema: Schema) -> Iterator[str]:
    """Yield the limits of a number in words; the largest float is no limit that anybody meets."""
    if "minimum" in schema:
        yield f"≥ {schema['minimum']:g}"
    if "exclusiveMinimum" in schema:
        yield f"> {schema['exclusiveMinimum']:g}"
    if schema.get("maximum", 1e16) < 1e15:
        yield f"≤ {schema['maximum']:g}"
    if schema.get("exclusiveMaximum", 1e16) < 1e15:
        yield f"< {schema['exclusiveMaximum']:g}"


def show(value: Json) -> str:
    """Return a value as gin spells it."""
    return f"`{value!r}`"


def policy_section(
    selector: str, record: type[Record], arguments: Iterable[str], *, defaults: Mapping[str, str]
) -> str:
    """Return the names that no recipe holds: of a claim's policy, or of the bundle."""
    lines = []
    for argument in arguments:
        texts = find_texts(record, argument)
        kind = describe_type(annotation_of(record.model_fields[argument]))
        lines.append(
            list_entry(
                f"{selector}.{argument}",
                kind=kind,
                default=defaults[argument],
                sets=f"{SETS[selector]}.{argument}",
                meaning=texts[0] if texts else "",
            )
        )
    section = [f"## {selector}", "", *lines]
    if selector == "claim":
        section += ["", f"Metrics: {', '.join(f'`{name}`' for name in METRIC_NAMES)}."]
    return "\n".join(section)


def without_effect() -> str:
    """Return the names that upstream's files may bind and that set nothing here."""
    groups = (
        ("Accepted with one value only", FIXED_BINDINGS),
        ("Accepted, since Meta's code reads them; they decide no result here", INERT_BINDINGS),
        (
            "Accepted with a warning: Meta's own code passes these arguments, so a binding is never read",
            UNREAD_BINDINGS,
        ),
    )
    lines = [
        f"* {group}: {', '.join(f'`{name}` ({describe_type(kind)})' for name, kind in sorted(names.items()))}."
        for group, names in groups
    ]
    learned = ", ".join(f"`{name}.*`" for name in sorted(LEARNED_SIMILARITY))
    lines.append(f"* Accepted with a warning: {learned}. Only learned similarities (MoL) read them.")
    return "\n".join(["## Names that set nothing", "", *lines])
