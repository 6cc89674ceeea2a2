"""Dropout: where each mask stands and how what is kept is scaled, so that an output's mean is that without dropout.

Shape suffixes: B batch, N position, T rows, D model width.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hstu_preserve.model.embeddings import InputEmbedding
from hstu_preserve.model.hstu import HstuLayer, bucket_time_gaps
from hstu_preserve.model.jagged import PLAIN_OPERATORS
from hstu_preserve.model.sasrec import FeedForward
from hstu_preserve.model.windowed.hstu_tf import HstuTfEncoder, HstuTfLayer, bucket_next_gaps
from hstu_preserve.records.settings.encoders import HstuSettings, SasrecSettings
from tests.factories import make_recipe
from tests.model.tf_golden import make_settings
from tests.model.tiny_models import NEXT_YEAR_SECONDS, SASREC

WIDTH = 8
LENGTH = 5
COPIES = 20_000
ALL = 1 - 1e-12
"""A rate at which nothing of a tiny tensor is kept."""

LAYERS = ("HSTU", "HSTU-TF")
each_layer = pytest.mark.parametrize("kind", LAYERS)


class Layer:
    """One layer with random weights on copies of one user: its output, and what of it passes by the projection."""

    def __init__(self, kind: str, rate: float, *, copies: int) -> None:
        generator = torch.Generator().manual_seed(3)
        self.kind, self.copies = kind, copies
        self.module = make_hstu(rate) if kind == "HSTU" else make_hstu_tf(rate)
        with torch.no_grad():
            for parameter in self.module.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
        self.x_ND = torch.randn(LENGTH, WIDTH, generator=generator)
        self.time_N = NEXT_YEAR_SECONDS + torch.tensor([0, 10, 3000, 3001, 90_000])

    @torch.no_grad()
    def run(self) -> Tensor:
        """Return output_BND."""
        x_BND, time_BN = self.x_ND.expand(self.copies, -1, -1), self.time_N.expand(self.copies, -1)
        causal_NM = torch.ones(LENGTH, LENGTH).tril()
        if isinstance(self.module, HstuTfLayer):
            is_event_BN = torch.ones(self.copies, LENGTH, dtype=torch.bool)
            bucket_BNM = bucket_next_gaps(time_BN, time_BN[:, -1])
            tf_output_BND: Tensor = self.module(x_BND, is_event_BN, bucket_BNM, causal_NM)
            return tf_output_BND
        offsets = torch.arange(self.copies + 1) * LENGTH
        output_TD: Tensor = self.module(
            x_BND.flatten(0, 1), offsets, bucket_time_gaps(time_BN), key_weight=causal_NM, divisor=LENGTH
        )
        return output_TD.view(self.copies, LENGTH, WIDTH)

    @torch.no_grad()
    def residual(self) -> Tensor:
        """Return what of the output, as output_ND, is no product with the projection's weight."""
        by_ND = self.module.input_norm(self.x_ND) if isinstance(self.module, HstuTfLayer) else self.x_ND
        return by_ND + self.module.output.bias

    @torch.no_grad()
    def find_projected(self, output_BND: Tensor) -> Tensor:
        """Return what the projection must have read, feature by feature, for this output."""
        projected_BND: Tensor = torch.linalg.solve(self.module.output.weight, (output_BND - self.residual()).mT).mT
        return projected_BND


def make_hstu(rate: float) -> HstuLayer:
    settings = make_recipe(model={"linear_dropout_rate": rate, "dropout_rate": 0.0}).model
    assert isinstance(settings, HstuSettings)
    return HstuLayer(settings, padded_length=LENGTH, operators=PLAIN_OPERATORS)


def make_hstu_tf(rate: float) -> HstuTfLayer:
    return HstuTfLayer(make_settings(width=WIDTH, dropout_rate=rate), length=LENGTH)


def assert_same_mean(drawn: Tensor, expected: Tensor) -> None:
    """Fail where the mean of the draws (first dimension) is further from `expected` than five standard errors."""
    error = drawn.std(0) / math.sqrt(len(drawn))
    assert ((drawn.mean(0) - expected).abs() <= 5 * error + 1e-6).all()


def assert_kept_or_dropped(drawn: Tensor, whole: Tensor, *, rate: float) -> None:
    """Fail unless each value is 0 or `whole` by 1 - rate, each on its own, and as many are 0 as the rate says."""
    kept = (whole / (1 - rate)).expand_as(drawn)
    is_dropped = drawn.abs() < (drawn - kept).abs()
    torch.testing.assert_close(drawn, torch.where(is_dropped, 0.0, kept), atol=1e-4, rtol=1e-4)
    assert is_dropped.float().mean().item() == pytest.approx(rate, abs=0.02)
    assert all(is_dropped.all(dim).float().mean() < rate / 2 for dim in range(drawn.dim()))


@each_layer
@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_the_mean_output_of_a_layer_is_that_without_dropout(kind: str, rate: float) -> None:
    layer = Layer(kind, rate, copies=COPIES)
    torch.manual_seed(0)
    drawn_BND = layer.run()
    layer.module.eval()
    expected_ND = layer.run()[0]
    assert drawn_BND.std(0).mean() > 0.1
    assert_same_mean(drawn_BND, expected_ND)


@each_layer
@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_whole_features_of_what_a_layer_projects_are_dropped(kind: str, rate: float) -> None:
    layer = Layer(kind, rate, copies=500)
    torch.manual_seed(0)
    drawn_BND = layer.find_projected(layer.run())
    layer.module.eval()
    assert_kept_or_dropped(drawn_BND, layer.find_projected(layer.run())[0], rate=rate)


@each_layer
def test_of_a_layer_whose_every_feature_is_dropped_residual_and_bias_are_left_exactly(kind: str) -> None:
    layer = Layer(kind, ALL, copies=3)
    torch.manual_seed(0)
    output_BND, bias_D = layer.run(), layer.module.output.bias.detach()
    assert bias_D.all()
    assert torch.equal(output_BND, layer.residual().expand_as(output_BND))


@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_items_and_positions_are_dropped_together_before_any_encoder(rate: float) -> None:
    module = InputEmbedding(padded_length=LENGTH, width=WIDTH, dropout_rate=rate)
    embedding_BND = torch.randn(LENGTH, WIDTH, generator=torch.Generator().manual_seed(1)).expand(500, -1, -1)
    is_filled_BN = torch.ones(500, LENGTH, dtype=torch.bool)
    torch.nn.init.normal_(module.position.weight, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    drawn_BND = module(is_filled_BN, embedding_BND).detach()
    whole_ND = embedding_BND[0] * math.sqrt(WIDTH) + module.position.weight.detach()
    assert_kept_or_dropped(drawn_BND, whole_ND, rate=rate)


@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_hstu_tf_drops_items_and_positions_together_before_its_first_layer(rate: float) -> None:
    encoder = HstuTfEncoder(make_settings(width=WIDTH, dropout_rate=rate), max_sequence_length=LENGTH)
    generator = torch.Generator().manual_seed(1)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    read: list[Tensor] = []
    encoder.layers[0].register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].detach()))
    embedding_BND = torch.randn(LENGTH + 3, WIDTH, generator=generator).expand(500, -1, -1)
    item_BN = torch.ones(500, LENGTH + 3, dtype=torch.int64)
    torch.manual_seed(0)
    encoder(embedding_BND, torch.full((500,), LENGTH), item_BN, item_BN * NEXT_YEAR_SECONDS)
    whole_ND = embedding_BND[0, :LENGTH] * math.sqrt(WIDTH) + encoder.position_weight.detach()
    assert_kept_or_dropped(read[0], whole_ND, rate=rate)


def make_feed_forward(rate: float) -> FeedForward:
    module = FeedForward(SasrecSettings.model_validate(SASREC | {"ffn_dropout_rate": rate}))
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    return module


@torch.no_grad()
def test_the_mean_output_of_sasrecs_feed_forward_network_is_that_without_dropout() -> None:
    module = make_feed_forward(0.3)
    x_BND = torch.randn(1, LENGTH, WIDTH, generator=torch.Generator().manual_seed(2)).expand(COPIES, -1, -1)
    torch.manual_seed(0)
    assert_same_mean(module(x_BND), module.eval()(x_BND)[0])


@torch.no_grad()
def test_sasrecs_feed_forward_network_drops_what_it_read_and_what_it_made() -> None:
    module = make_feed_forward(0.5)
    x_BND = torch.randn(1, 1, WIDTH, generator=torch.Generator().manual_seed(2)).expand(2000, -1, -1)
    torch.manual_seed(0)
    made_BD = (module(x_BND) - x_BND).flatten(1)
    is_dropped_BD = made_BD == 0
    assert is_dropped_BD.float().mean().item() == pytest.approx(0.5, abs=0.02)
    kept = made_BD[:, 0][~is_dropped_BD[:, 0]]
    assert len(kept.unique()) > 10  # what the second projection read differed, too
    assert torch.equal(make_feed_forward(ALL)(x_BND), x_BND)
    assert F.relu(module.expand(x_BND)).any()
