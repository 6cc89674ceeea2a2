"""Tiny input compressions with random weights, and histories for them to read."""

from collections.abc import Callable

import torch
from torch import Tensor

from hstu_preserve.model.histories import Histories, Tokens
from hstu_preserve.model.input_compression import InputCompression
from hstu_preserve.model.items import Items
from hstu_preserve.model.time_decay import AgeWeight
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.settings.components import InputCompressionSettings, TimeDecaySettings
from tests.factories import COMPONENTS

WIDTH = 6
RAW_LENGTH = 12
OUTPUT_LENGTH = 3
RECENT = 4
NUM_ITEMS = 30
NUM_GENRES = 5
START = 1_700_000_000
LENGTHS = (12, 3, 9, 4, 5, 1)
DAY = 86_400

POOLINGS = ("chunk", "category", "learned")


def make_settings(pooling: str, **changes: Json) -> InputCompressionSettings:
    value = COMPONENTS["input_compression"] | {"pooling": pooling, "recent_len": RECENT} | changes
    return InputCompressionSettings.model_validate(value)


def make_age_weight(**changes: Json) -> AgeWeight:
    weight = AgeWeight(TimeDecaySettings.model_validate(COMPONENTS["time_decay"] | {"where": "pool"} | changes))
    for parameter in weight.parameters():
        torch.nn.init.constant_(parameter, 0.7)
    return weight


def choose_age_weight(pooling: str, *, is_by_age: bool) -> AgeWeight | None:
    """Return the weight by age where it is asked for; learned tokens are no means and take none."""
    return make_age_weight() if is_by_age and pooling != "learned" else None


def make_items(genres_of: Callable[[int], set[int]] | None = None) -> Items:
    """Return items whose genres are the bits of their id, unless `genres_of` says otherwise; item 0 has none."""
    genres_of = genres_of or (lambda item: {genre for genre in range(NUM_GENRES) if item >> genre & 1})
    rows = [[float(genre in genres_of(item)) for genre in range(NUM_GENRES)] for item in range(NUM_ITEMS + 1)]
    empty_J = torch.zeros(NUM_ITEMS + 1, dtype=torch.int64)
    candidate_I = torch.arange(1, NUM_ITEMS + 1)
    return Items(candidate_I=candidate_I, genre_JG=torch.tensor(rows), decade_J=empty_J, count_J=empty_J)


def make_compression(
    settings: InputCompressionSettings,
    *,
    items: Items | None = None,
    age_weight: AgeWeight | None = None,
    raw_length: int = RAW_LENGTH,
) -> InputCompression:
    encoded = settings.num_tokens + (raw_length if settings.pooling == "learned" else settings.recent_len)
    compression = InputCompression(
        settings,
        items or make_items(),
        width=WIDTH,
        padded_length=encoded + OUTPUT_LENGTH,
        age_weight=age_weight,
    )
    generator = torch.Generator().manual_seed(5)
    for name, parameter in compression.named_parameters():
        if "age_weight" not in name:
            torch.nn.init.normal_(parameter, generator=generator)
    return compression


def make_histories(
    lengths: tuple[int, ...] = LENGTHS, *, raw_length: int = RAW_LENGTH, with_target: bool = True, seed: int = 0
) -> Histories:
    """Return random histories with a target after each, and clean padding; some events share their second."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), raw_length + OUTPUT_LENGTH)
    length_B, position_L = torch.tensor(lengths), torch.arange(shape[1])
    is_known_BL = position_L <= length_B[:, None]
    is_past_BL = position_L < length_B[:, None]
    return Histories(
        length_B=length_B,
        item_BN=torch.randint(1, NUM_ITEMS + 1, shape, generator=generator)
        * (is_known_BL if with_target else is_past_BL),
        time_BN=(START + (torch.randint(0, 3, shape, generator=generator) * DAY).cumsum(1)) * is_known_BL,
        half_star_BN=torch.randint(1, 11, shape, generator=generator) * is_past_BL,
    )


def embed(histories: Histories, *, seed: int = 1) -> Tensor:
    """Return an embedding of its own for every position, padding included."""
    return torch.randn(*histories.item_BN.shape, WIDTH, generator=torch.Generator().manual_seed(seed))


def count_unsupervised(tokens: Tokens) -> list[int]:
    assert tokens.num_unsupervised_B is not None
    return [int(count) for count in tokens.num_unsupervised_B]


def tokens_are_equal(one: Tokens, other: Tokens) -> bool:
    assert (one.visible_BNM is None) == (other.visible_BNM is None)
    pairs = [(getattr(one, name), getattr(other, name)) for name in Tokens.__dataclass_fields__]
    return all(torch.equal(a, b) for a, b in pairs if a is not None)
