"""PRISM computes its formulas, starts as the identity, and treats what is unknown as nothing."""

from collections.abc import Iterator
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from hstu_preserve.model.items import NUM_DECADES, NUM_POPULARITY_LEVELS, Items, items_of_shape
from hstu_preserve.model.prism import Experts, Film, Prism, find_popularity_levels, keep_largest, load_balance
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.components import PrismSettings
from tests.factories import make_recipe

WIDTH = 6
BARE = 4  # an item without genres and of unknown year
GENRES_OF = ((), (0,), (2, 1), (0, 1, 3), (), (3,), (1, 0), (2,))
DECADES = (0, 3, 12, 1, 0, 17, 12, 0)
COUNTS = (0, 0, 1, 2, 0, 6, 7, 1000)
LEVELS = (0, 0, 1, 1, 0, 2, 3, 9)
EVERY_FEATURE: dict[str, Json] = {"features": ["rating", "genres", "popularity", "year"]}

VARIANTS: list[dict[str, Json]] = [
    {"variant": "additive"},
    {"variant": "film"},
    {"variant": "film", "film_scale": 0.3},
    {"variant": "moe"},
    {"variant": "moe", "top_k": 2, "router_temperature": 0.7},
]
STARTING_AT_ZERO = {
    "additive": {"fusion.shift.weight", "fusion.shift.bias"},
    "film": {"fusion.modulation.weight", "fusion.modulation.bias"},
    "moe": {"fusion.contract"},
}

each_variant = pytest.mark.parametrize("changes", VARIANTS, ids=lambda changes: "-".join(map(str, changes.values())))


def make_items() -> Items:
    genre_JG = torch.tensor([[float(genre in genres) for genre in range(4)] for genres in GENRES_OF])
    return Items(
        candidate_I=torch.arange(1, len(GENRES_OF)),
        genre_JG=genre_JG,
        decade_J=torch.tensor(DECADES),
        count_J=torch.tensor(COUNTS),
    )


def make_settings(changes: dict[str, Json]) -> PrismSettings:
    settings = make_recipe(prism=EVERY_FEATURE | changes).prism
    assert settings is not None
    return settings


def make_prism(changes: dict[str, Json], *, items: Items | None = None) -> Prism:
    """Return a double-precision module in which every weight shows."""
    prism = Prism(make_settings(changes), items or make_items(), width=WIDTH).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in prism.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5)
    return prism


def make_fresh_prism(changes: dict[str, Json]) -> Prism:
    """Return a module as it starts: what is named in `STARTING_AT_ZERO` is zero, the rest is not."""
    prism = make_prism(changes)
    with torch.no_grad():
        for name in STARTING_AT_ZERO[prism.settings.variant]:
            prism.get_parameter(name).zero_()
    return prism


def make_embedding(*shape: int, seed: int = 5) -> Tensor:
    return torch.randn(*shape, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def restate(prism: Prism, e: Tensor, *, item: int, half_star: int) -> Tensor:
    """Return e' of one item, one value and one expert at a time."""
    settings, weights = prism.settings, dict(prism.named_parameters())
    values_of = {
        "genres": GENRES_OF[item],
        "year": (DECADES[item] - 1,) if DECADES[item] else (),
        "popularity": (LEVELS[item],) if item else (),
        "rating": (half_star - 1,) if half_star and item else (),
    }
    c = []
    for feature in settings.features:
        rows = [weights[f"features.{feature}.weight"][value] for value in values_of[feature]]
        c.append(torch.stack(rows).mean(0) if rows else torch.zeros(settings.side_dim, dtype=e.dtype))
    h = silu(weights["encoder.weight"] @ torch.cat(c) + weights["encoder.bias"])
    match settings.variant:
        case "additive":
            return e + weights["fusion.shift.weight"] @ h + weights["fusion.shift.bias"]
        case "film":
            both = weights["fusion.modulation.weight"] @ h + weights["fusion.modulation.bias"]
            delta, beta = both[:WIDTH], both[WIDTH:]
            if settings.film_scale is not None:
                delta = settings.film_scale * torch.tanh(delta / settings.film_scale)
            return (1 + delta) * e + beta
        case "moe":
            read = torch.cat([e, h])
            logits = (weights["fusion.router.weight"] @ read / settings.router_temperature).tolist()
            kept = sorted(range(settings.num_experts), key=lambda k: -logits[k])[: settings.top_k or None]
            exponentials = {k: torch.tensor(logits[k], dtype=torch.float64).exp() for k in kept}
            result = e
            for k, exponential in exponentials.items():
                share = exponential / torch.stack(list(exponentials.values())).sum()
                u, v = weights["fusion.expand"][k].T, weights["fusion.contract"][k].T
                result = result + share * (v @ silu(u @ read))
            return result


@each_variant
@torch.no_grad()
def test_each_variant_is_its_formula(changes: dict[str, Json]) -> None:
    prism = make_prism(changes)
    cases = list(product(range(len(GENRES_OF)), (0, 1, 7, 10)))
    item, half_star = torch.tensor(cases).T
    embedding = make_embedding(len(cases))
    expected = torch.stack([restate(prism, e, item=i, half_star=s) for e, (i, s) in zip(embedding, cases, strict=True)])
    found = prism(embedding, item=item, half_star=half_star)
    torch.testing.assert_close(found.embedding, expected, atol=1e-13, rtol=0)
    assert not torch.allclose(found.embedding, embedding)
    assert (found.router_weight is None) == (prism.settings.variant != "moe")


@each_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_fresh_module_changes_no_bit_of_an_embedding(changes: dict[str, Json], dtype: torch.dtype) -> None:
    prism = make_fresh_prism(changes).to(dtype)
    embedding = torch.cat([make_embedding(len(GENRES_OF)) * 10.0**power for power in (-38, -12, 0, 12)]).to(dtype)
    item = torch.arange(len(GENRES_OF)).repeat(4)
    found = prism(embedding, item=item, half_star=item).embedding
    assert embedding.all()
    assert torch.equal(found.view(torch.uint8), embedding.view(torch.uint8))
    zeros = torch.tensor([0.0, -0.0], dtype=dtype).repeat(WIDTH // 2)
    assert torch.equal(prism(zeros, item=torch.tensor(2), half_star=torch.tensor(3)).embedding, zeros)


@each_variant
def test_the_zero_start_is_left_at_the_first_step_and_everything_learns_from_the_second(
    changes: dict[str, Json],
) -> None:
    prism = make_fresh_prism(changes)
    item = torch.arange(len(GENRES_OF))
    embedding, direction = make_embedding(len(GENRES_OF)), make_embedding(len(GENRES_OF), seed=6)
    learns: list[set[str]] = []
    names, parameters = zip(*prism.named_parameters(), strict=True)
    for _ in range(2):
        found = prism(embedding, item=item, half_star=item + 1).embedding
        gradients = torch.autograd.grad((found * direction).sum(), parameters)
        learns.append({name for name, gradient in zip(names, gradients, strict=True) if gradient.any()})
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(0.1 * gradient)
    assert learns[0] == STARTING_AT_ZERO[prism.settings.variant]
    assert learns[1] == set(names)


@each_variant
def test_the_weights_are_named_after_what_they_are_and_hold_no_data(changes: dict[str, Json]) -> None:
    prism = make_prism(changes)
    fusion = {
        "additive": {"shift.weight": (WIDTH, 5), "shift.bias": (WIDTH,)},
        "film": {"modulation.weight": (2 * WIDTH, 5), "modulation.bias": (2 * WIDTH,)},
        "moe": {"router.weight": (3, WIDTH + 5), "expand": (3, WIDTH + 5, 4), "contract": (3, 4, WIDTH)},
    }[prism.settings.variant]
    expected = {
        "features.genres.weight": (4, 3),
        "features.year.weight": (NUM_DECADES - 1, 3),
        "features.popularity.weight": (NUM_POPULARITY_LEVELS, 3),
        "features.rating.weight": (10, 3),
        "encoder.weight": (5, 12),
        "encoder.bias": (5,),
    } | {f"fusion.{name}": shape for name, shape in fusion.items()}
    assert {name: tuple(value.shape) for name, value in prism.state_dict().items()} == expected


def test_the_order_of_the_genre_vocabulary_does_not_matter() -> None:
    prism, items = make_prism({"features": ["genres"]}), make_items()
    order = torch.tensor([2, 0, 3, 1])
    other = make_prism(
        {"features": ["genres"]},
        items=Items(
            candidate_I=items.candidate_I,
            genre_JG=items.genre_JG[:, order],
            decade_J=items.decade_J,
            count_J=items.count_J,
        ),
    )
    weight = prism.get_parameter("features.genres.weight").detach()
    other.load_state_dict(prism.state_dict() | {"features.genres.weight": weight[order]})
    item, embedding = torch.arange(len(GENRES_OF)), make_embedding(len(GENRES_OF))
    torch.testing.assert_close(
        other(embedding, item=item, half_star=None).embedding,
        prism(embedding, item=item, half_star=None).embedding,
        atol=1e-14,
        rtol=0,
    )


@each_variant
def test_an_item_of_which_nothing_is_known_is_conditioned_as_padding_is(changes: dict[str, Json]) -> None:
    prism = make_prism(changes | {"features": ["genres", "year", "rating"]})
    e = make_embedding()
    bare, padding, known = (
        prism(e, item=torch.tensor(item), half_star=torch.tensor(0)).embedding for item in (BARE, 0, 1)
    )
    assert torch.equal(bare, padding)
    assert torch.isfinite(bare).all()
    assert not torch.allclose(bare, known)


@each_variant
def test_items_of_which_nothing_is_known_at_all_leave_it_finite(changes: dict[str, Json]) -> None:
    prism = make_prism(changes, items=items_of_shape(max_item_id=7, num_genres=4))
    item = torch.arange(8)
    assert torch.isfinite(prism(make_embedding(8), item=item, half_star=item).embedding).all()


def test_padding_has_no_values_whatever_stands_in_its_row_or_beside_it() -> None:
    items = make_items()
    items.genre_JG[0], items.decade_J[0], items.count_J[0] = 1.0, 5, 9
    dirty, clean = make_prism({}, items=items), make_prism({})
    e, padding = make_embedding(), torch.tensor(0)
    expected = clean(e, item=padding, half_star=torch.tensor(0)).embedding
    assert torch.equal(dirty(e, item=padding, half_star=torch.tensor(9)).embedding, expected)
    assert items.genre_JG[0].all()


def test_a_popularity_of_zero_is_a_value() -> None:
    prism, e = make_prism({"features": ["popularity"]}), make_embedding()
    unseen, padding = (prism(e, item=torch.tensor(item), half_star=None).embedding for item in (BARE, 0))
    assert not torch.allclose(unseen, padding)


@pytest.mark.parametrize("feature", ["genres", "year", "popularity"])
def test_features_of_items_read_no_rating(feature: str) -> None:
    prism, item = make_prism({"features": [feature]}), torch.arange(len(GENRES_OF))
    embedding = make_embedding(len(GENRES_OF))
    without = prism(embedding, item=item, half_star=None).embedding
    assert torch.equal(prism(embedding, item=item, half_star=item + 1).embedding, without)


def test_the_rating_of_an_event_is_asked_for() -> None:
    prism = make_prism({"features": ["rating"]})
    with pytest.raises(ValueError, match="'rating' needs half_star"):
        prism(make_embedding(3), item=torch.arange(3), half_star=None)


def test_each_half_star_counts_for_itself() -> None:
    prism = make_prism({"features": ["rating"]})
    item, half_star = torch.ones(11, dtype=torch.int64), torch.arange(11)
    found = prism(make_embedding(1).expand(11, -1), item=item, half_star=half_star).embedding
    assert len(found.unique(dim=0)) == 11


@each_variant
def test_the_leading_shape_is_the_callers(changes: dict[str, Json]) -> None:
    prism = make_prism(changes)
    item, half_star = torch.arange(6).view(3, 1, 2), torch.arange(5, 11).view(3, 1, 2)
    embedding = make_embedding(3, 1, 2)
    found = prism(embedding, item=item, half_star=half_star)
    flat = prism(embedding.flatten(0, 2), item=item.flatten(), half_star=half_star.flatten())
    assert found.embedding.shape == (3, 1, 2, WIDTH)
    torch.testing.assert_close(found.embedding.flatten(0, 2), flat.embedding, atol=1e-14, rtol=0)
    if found.router_weight is not None:
        assert found.router_weight.shape == (3, 1, 2, 3)


@each_variant
def test_bfloat16_computes_what_double_does_up_to_its_rounding(changes: dict[str, Json]) -> None:
    prism = make_prism(changes)
    item, embedding = torch.arange(len(GENRES_OF)), make_embedding(len(GENRES_OF)).bfloat16()
    # A router that does not read the embedding's rounding: which experts are kept must not hang on it.
    if isinstance(prism.fusion, Experts):
        nn.init.zeros_(prism.fusion.router.weight)
    expected = prism(embedding.double(), item=item, half_star=item).embedding
    found = prism.bfloat16()(embedding, item=item, half_star=item).embedding
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), expected, atol=0.1, rtol=0)
    gradients = torch.autograd.grad(found.sum(), [value for _, value in prism.named_parameters() if value.any()])
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("film_scale", [0.1, 0.5, 2.0])
@torch.no_grad()
def test_the_film_scale_bounds_the_scale(film_scale: float) -> None:
    film = Film(make_settings({"variant": "film", "film_scale": film_scale}), width=WIDTH).double()
    nn.init.zeros_(film.modulation.bias)
    nn.init.normal_(film.modulation.weight, std=100.0, generator=torch.Generator().manual_seed(1))
    side = torch.randn(50, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ones, zeros = torch.ones(50, WIDTH, dtype=torch.float64), torch.zeros(50, WIDTH, dtype=torch.float64)
    scale = film(ones, side).embedding - film(zeros, side).embedding
    assert (scale - 1).abs().max().item() == pytest.approx(film_scale)
    assert (scale - 1).abs().max() <= film_scale + 1e-12


@pytest.mark.parametrize("top_k", [0, 1, 2])
def test_identical_experts_are_one_expert_whatever_the_router_says(top_k: int) -> None:
    many = make_prism({"variant": "moe", "top_k": top_k, "num_experts": 4})
    one = make_prism({"variant": "moe", "num_experts": 1})
    assert isinstance(many.fusion, Experts)
    assert isinstance(one.fusion, Experts)
    state = many.state_dict()
    for name in ("fusion.expand", "fusion.contract"):
        state[name] = state[name][:1].expand_as(state[name]).clone()
    many.load_state_dict(state)
    single = {name: value[:1] if name.startswith("fusion.") else value for name, value in state.items()}
    one.load_state_dict(single)
    item, embedding = torch.arange(len(GENRES_OF)), make_embedding(len(GENRES_OF))
    torch.testing.assert_close(
        many(embedding, item=item, half_star=item).embedding,
        one(embedding, item=item, half_star=item).embedding,
        atol=2e-14,
        rtol=0,
    )


@pytest.mark.parametrize("top_k", [0, 1, 2, 3, 4])
def test_the_router_shares_one_out_among_the_experts_that_it_keeps(top_k: int) -> None:
    prism = make_prism({"variant": "moe", "num_experts": 4, "top_k": top_k})
    item = torch.arange(len(GENRES_OF))
    weight = prism(make_embedding(len(GENRES_OF)), item=item, half_star=item).router_weight
    torch.testing.assert_close(weight.sum(-1), torch.ones(len(GENRES_OF), dtype=torch.float64))
    assert ((weight > 0).sum(-1) == (top_k or 4)).all()


def test_keeping_every_expert_is_keeping_none_out() -> None:
    dense, full = (make_prism({"variant": "moe", "top_k": top_k}) for top_k in (0, 3))
    item, embedding = torch.arange(len(GENRES_OF)), make_embedding(len(GENRES_OF))
    found = [prism(embedding, item=item, half_star=item).embedding for prism in (dense, full)]
    assert torch.equal(*found)


@pytest.mark.parametrize("num_kept", [1, 2, 3, 33])
def test_of_equal_experts_the_first_are_kept(num_kept: int) -> None:
    logit = torch.zeros(5, 64)
    logit[:, 40] = 1.0
    kept = [40, *range(num_kept - 1)]
    for row in keep_largest(logit, num_kept=num_kept):
        assert sorted(row.isfinite().nonzero().flatten().tolist()) == sorted(kept[:num_kept])


@pytest.mark.parametrize(
    ("router_weight", "expected"),
    [
        ([[0.25] * 4] * 3, 1.0),
        ([[1.0, 0.0, 0.0, 0.0]] * 3, 4.0),
        ([[1.0, 0.0], [0.0, 1.0]], 1.0),
        ([[0.75, 0.25]], 1.25),
    ],
)
def test_the_load_is_balanced_at_one(router_weight: list[list[float]], expected: float) -> None:
    assert load_balance(torch.tensor(router_weight)).item() == pytest.approx(expected)


def test_the_balance_of_the_load_teaches_the_router_from_the_first_step() -> None:
    prism = make_fresh_prism({"variant": "moe"})
    item = torch.arange(len(GENRES_OF))
    found = prism(make_embedding(len(GENRES_OF)), item=item, half_star=item)
    (gradient,) = torch.autograd.grad(load_balance(found.router_weight), [prism.get_parameter("fusion.router.weight")])
    assert gradient.any()


def test_popularity_levels_are_exact_at_every_power_of_two() -> None:
    powers = 2 ** torch.arange(1, NUM_POPULARITY_LEVELS)
    assert find_popularity_levels(torch.tensor(COUNTS)).tolist() == list(LEVELS)
    assert find_popularity_levels(powers - 1).tolist() == list(range(1, NUM_POPULARITY_LEVELS))
    assert find_popularity_levels(powers - 2).tolist() == list(range(NUM_POPULARITY_LEVELS - 1))


@pytest.fixture(params=[2, 4])
def several_threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("several_threads")
@each_variant
def test_every_gradient_is_the_same_the_second_time(changes: dict[str, Json]) -> None:
    prism = make_prism(changes).float()
    item = torch.randint(len(GENRES_OF), (64, 100), generator=torch.Generator().manual_seed(1))
    embedding = make_embedding(64, 100).float()

    def differentiate() -> list[Tensor]:
        found = prism(embedding, item=item, half_star=item).embedding
        return list(torch.autograd.grad(found.square().sum(), list(prism.parameters())))

    first = differentiate()
    assert all(torch.equal(one, other) for _ in range(3) for one, other in zip(first, differentiate(), strict=True))
