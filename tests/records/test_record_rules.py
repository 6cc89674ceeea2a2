"""Records are strict, frozen, and have one text."""

import importlib
import json
import math
import pkgutil
from typing import Any

import pytest
from hypothesis import assume, given
from pydantic import ValidationError

from hstu_preserve import records
from hstu_preserve.errors import ContentError
from hstu_preserve.primitives.canonical_json import canonical_dumps, require_canonical
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.strict_json import MAX_INTEGER, strict_loads
from hstu_preserve.records.recipe import (
    DatasetSettings,
    Recipe,
    SampledSoftmaxSettings,
    TrainingSettings,
)
from hstu_preserve.records.record import Record
from hstu_preserve.records.settings.encoders import SasrecSettings
from hstu_preserve.records.verdict import Fact
from tests.factories import make_recipe
from tests.gin_recipes.strategies import recipes
from tests.model.tiny_models import SASREC


def list_record_classes() -> list[type[Record]]:
    """Return every record class of the package."""
    for module in pkgutil.iter_modules(records.__path__):
        importlib.import_module(f"{records.__name__}.{module.name}")
    found, waiting = [], [Record]
    while waiting:
        subclasses = waiting.pop().__subclasses__()
        found += [subclass for subclass in subclasses if subclass.__module__.startswith(records.__name__)]
        waiting += subclasses
    return found


def list_floats(value: Json) -> list[float]:
    """Return every float of a JSON value."""
    match value:
        case float():
            return [value]
        case dict():
            return [number for item in value.values() for number in list_floats(item)]
        case _:
            return []


def change(path: str, value: Json) -> bytes:
    """Return the text of a tiny recipe with one value changed or added."""
    recipe: Any = make_recipe().to_json_value()
    *groups, name = path.split(".")
    place = recipe
    for group in groups:
        place = place[group]
    place[name] = value
    return json.dumps(recipe).encode()


def remove(group: str, name: str) -> bytes:
    recipe: Any = make_recipe().to_json_value()
    del recipe[group][name]
    return json.dumps(recipe).encode()


@given(recipes())
def test_a_recipe_read_back_from_its_text_is_the_recipe(recipe: Recipe) -> None:
    # RFC 8785 writes such a float with the digits of an integer that I-JSON readers do not keep.
    assume(not any(MAX_INTEGER < abs(number) < 1e21 for number in list_floats(recipe.to_json_value())))
    text = recipe.to_json()
    found = Recipe.from_json(text, source="test")
    assert found == recipe
    assert found.to_json() == text
    assert found.digest() == recipe.digest()
    require_canonical(text, strict_loads(text, source="test"), source="test")


def test_the_digest_of_a_recipe_is_pinned() -> None:
    assert make_recipe().digest() == "5bbd39ee2da3836cdcb39c32526997e271a78e15d8c71787dce47e32dba5c225"


def test_the_spelling_of_a_record_does_not_change_its_digest() -> None:
    recipe = make_recipe()
    spelled = json.dumps(json.loads(recipe.to_json()), indent=4).encode()
    assert Recipe.from_json(spelled, source="test").digest() == recipe.digest()


def test_a_recipe_of_either_encoder_is_read_by_its_kind() -> None:
    recipe = make_recipe().model_copy(update={"model": SasrecSettings.model_validate(SASREC)})
    assert Recipe.from_json(recipe.to_json(), source="test") == recipe


@pytest.mark.parametrize("kind", list_record_classes(), ids=lambda kind: kind.__name__)
def test_every_record_is_frozen_strict_and_closed(kind: type[Record]) -> None:
    config = kind.model_config
    assert (config["frozen"], config["strict"], config["extra"]) == (True, True, "forbid")


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make_recipe().training.num_epochs = 3  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (change("surprise", 1), r"surprise: Extra inputs are not permitted \(found 1\)"),
        (change("training.surprise", 1), r"training\.surprise: Extra inputs"),
        (change("model.ffn_hidden_dim", 8), r"model\.HSTU\.ffn_hidden_dim: Extra inputs"),
        (remove("training", "num_epochs"), r"training\.num_epochs: Field required"),
        (remove("model", "kind"), r"model: Unable to extract tag"),
        (change("model.kind", "GRU4Rec"), r"model: .*'HSTU', 'SASRec'"),
        (change("training.num_epochs", "2"), r"training\.num_epochs: Input should be a valid integer \(found '2'\)"),
        (change("training.num_epochs", 2.0), r"training\.num_epochs: Input should be a valid integer"),
        (change("training.num_epochs", True), r"training\.num_epochs: Input should be a valid integer"),
        (change("training.num_epochs", None), r"training\.num_epochs: "),
        (change("training.num_epochs", 0), r"training\.num_epochs: .*greater than or equal to 1"),
        (change("training.learning_rate", "0.1"), r"training\.learning_rate: "),
        (change("training.learning_rate", 0.0), r"training\.learning_rate: .*greater than 0"),
        (change("training.enable_tf32", 1), r"training\.enable_tf32: "),
        (change("dataset.protocol", "holdout"), r"dataset\.protocol: .*'upstream' or 'validated'"),
        (change("dataset.fingerprint", "0" * 63), r"dataset\.fingerprint: "),
        (change("dataset.fingerprint", "0" * 64 + "\n"), r"dataset\.fingerprint: "),
        (change("dataset.fingerprint", "A" * 64), r"dataset\.fingerprint: "),
        (change("model.dropout_rate", 1.0), r"model\.HSTU\.dropout_rate: .*less than 1"),
        (change("loss.weights", {"a": "1"}), r"loss\.SampledSoftmaxLoss\.weights\.a: "),
        (b"[]", "the whole: "),
        (b"null", "the whole: "),
        (change("training.learning_rate", math.nan), "NaN is not a JSON number"),
        (change("training.learning_rate", math.inf), "Infinity is not a JSON number"),
        (b'{"dataset": 1, "dataset": 2}', "duplicate key 'dataset'"),
    ],
)
def test_a_text_that_is_not_exactly_the_record_is_refused_with_place_and_reason(content: bytes, problem: str) -> None:
    with pytest.raises(ContentError, match=f"^some/where: .*{problem}"):
        Recipe.from_json(content, source="some/where")


def test_every_wrong_field_is_named_at_once() -> None:
    value: Any = make_recipe().to_json_value()
    value["training"]["num_epochs"], value["loss"]["temperature"] = 0, -1.0
    with pytest.raises(ContentError, match=r"loss\.SampledSoftmaxLoss\.temperature: .*; training\.num_epochs: "):
        Recipe.from_json(canonical_dumps(value), source="test")


def test_a_whole_number_is_a_float_but_not_the_other_way_round() -> None:
    recipe = Recipe.from_json(change("training.weight_decay", 1), source="test")
    assert recipe.training.weight_decay == 1.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("kind", "group", "name"),
    [
        (TrainingSettings, "training", "learning_rate"),
        (TrainingSettings, "training", "weight_decay"),
        (SampledSoftmaxSettings, "loss", "temperature"),
        (DatasetSettings, "dataset", "positional_sampling_ratio"),
    ],
)
def test_no_setting_is_infinite_or_not_a_number(kind: type[Record], group: str, name: str, value: float) -> None:
    settings = getattr(make_recipe(), group).model_dump()
    with pytest.raises(ValidationError):
        kind.model_validate(settings | {name: value})


def test_attention_heads_share_the_width_evenly() -> None:
    with pytest.raises(ValidationError, match="item_embedding_dim 8 is not divisible by num_heads 3"):
        SasrecSettings.model_validate(SASREC | {"num_heads": 3})


@pytest.mark.parametrize("value", [True, 1, 1.0, "1", None])
def test_a_fact_keeps_the_type_of_its_value(value: str | float | bool | None) -> None:
    found = Fact.from_json(json.dumps({"name": "x", "value": value}).encode(), source="test")
    assert type(found.value) is type(value)


def test_the_padded_length_has_room_for_the_target() -> None:
    assert make_recipe(dataset={"max_sequence_length": 200}, model={"gr_output_length": 10}).padded_length == 211
