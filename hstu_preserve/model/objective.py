"""Compute the loss that training minimises: the recipe's, over every supervised position, weighted and debiased.

Shape suffixes: B batch, N position that the encoder reads, T supervised positions in row order, K negatives, P pool of
hard negatives, J item ids from 0 (padding) to the largest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor
from torch.utils.checkpoint import checkpoint

from hstu_preserve.kernels.counter_draws import choose_source
from hstu_preserve.model.histories import Histories, Tokens
from hstu_preserve.model.input_compression import shorten
from hstu_preserve.model.interactions.mol import MixtureOfLogits
from hstu_preserve.model.interactions.objective import OWN_LOSSES, MixtureTerms
from hstu_preserve.model.interactions.objective import sampled_softmax as mixture_softmax
from hstu_preserve.model.jagged import plain_to_jagged
from hstu_preserve.model.losses import full_softmax, sampled_softmax
from hstu_preserve.model.negatives import draw_in_batch, draw_local, draw_pool, select_hard
from hstu_preserve.model.prism import load_balance
from hstu_preserve.model.recommender import Embedded, Encoded, Recommender
from hstu_preserve.model.shares import WHOLE, Share
from hstu_preserve.model.time_decay import weigh_positions
from hstu_preserve.model.windowed.objective import binary_cross_entropy, draw_unseen, sum_squares
from hstu_preserve.records.recipe import BinaryCrossEntropySettings, FullSoftmaxSettings, SampledSoftmaxSettings


@dataclass(frozen=True, kw_only=True)
class Draws:
    """A training batch with everything that was drawn for it.

    Attributes:
        histories: With their targets; ended early if the recipe draws where a long history ends.
        negative_TK: int64 ids for every supervised position, None if the loss takes all candidates.
        pool_P: int64 ids among which hard negatives are looked for, None if none is hard.
        own_BH: int64 ids that are no hard negatives of their user, 0 is padding; None lets every item be one.
    """

    histories: Histories
    negative_TK: Tensor | None
    pool_P: Tensor | None
    own_BH: Tensor | None


def draw(
    model: Recommender,
    histories: Histories,
    *,
    epoch: int,
    own_BH: Tensor | None,
    generator_for: Callable[[str], Generator],
) -> Draws:
    """Draw the negatives, and where long histories end, for one training step.

    Args:
        model: Its recipe decides which draws are made.
        histories: With their targets.
        epoch: From 0; hard negatives wait for their warm-up.
        own_BH: int64 ids of each user's whole training sequence, target included, 0 is padding; read if negatives
            leave it out.
        generator_for: Gives each purpose a generator of its own, so that a component shifts no other's draw.
    """
    recipe = model.recipe
    compression, hard = recipe.input_compression, recipe.hard_negatives
    if compression and recipe.is_compressed and compression.random_boundary:
        histories = shorten(histories, recent_len=compression.recent_len, generator=generator_for("random_boundary"))
    # One pool for all positions: one of 512 items of width 256 for each of 25,600 positions would take 13 GB.
    pool_P = None
    if hard and epoch >= hard.warmup_epochs:
        pool_P = draw_pool(model.candidate_I, size=hard.pool_size, generator=generator_for("hard_negative_pool"))
    # The same draw with and without hard negatives, which take the places of some of these later.
    negative_TK = draw_negatives(model, histories, generator=generator_for("negatives"), own_BH=own_BH)
    is_excluded = hard is not None and hard.exclude_history
    return Draws(histories=histories, negative_TK=negative_TK, pool_P=pool_P, own_BH=own_BH if is_excluded else None)


def draw_negatives(
    model: Recommender, histories: Histories, *, generator: Generator, own_BH: Tensor | None = None
) -> Tensor | None:
    """Draw negative_TK (int64) for every supervised position, None if the loss takes all candidates."""
    loss = model.recipe.loss
    if isinstance(loss, BinaryCrossEntropySettings):
        assert own_BH is not None
        return draw_unseen(model.candidate_I, length_B=histories.length_B, own_BH=own_BH, generator=generator)
    if not isinstance(loss, SampledSoftmaxSettings):
        return None
    source = choose_source(loss.negative_draws, generator)
    positions, k = count_supervised(model, histories), loss.num_negatives
    if loss.sampling_strategy == "in-batch":
        return draw_in_batch(histories.item_BN, positions=positions, num_negatives=k, generator=source)
    if model.popularity is not None:
        return model.popularity.draw(model.candidate_I, positions=positions, num_negatives=k, generator=source)
    return draw_local(model.candidate_I, positions=positions, num_negatives=k, generator=source)


def count_supervised(model: Recommender, histories: Histories) -> int:
    """Return T: every event is asked for the next one, but for those that compression takes."""
    compression = model.recipe.input_compression
    length_B = histories.length_B
    if compression and model.recipe.is_compressed:
        length_B = length_B.clamp(max=compression.recent_len)
    return int(length_B.sum())


@dataclass(frozen=True, kw_only=True)
class Supervised:
    """The T positions that are asked for their next item.

    Attributes:
        user_TD: The user there, encoded.
        positive_T: int64 ids of the true next items.
        place_T: int64, where they stand in the flattened (B × (N - 1)) tokens but the last.
    """

    user_TD: Tensor
    positive_T: Tensor
    place_T: Tensor


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The loss of one step and its parts.

    Attributes:
        total: The loss that is minimised.
        main: The weighted mean of the positions' losses, without the components' own.
        load_balance: PRISM's, before its weight; None if there is none.
        auxiliary: Those that `loss.weights` weighs, before their weights, by name.
    """

    total: Tensor
    main: Tensor
    load_balance: Tensor | None
    auxiliary: Mapping[str, Tensor] = field(default_factory=dict)

    def detach(self) -> "Losses":
        """Return the same values without their graph."""
        balance = self.load_balance
        return Losses(
            total=self.total.detach(),
            main=self.main.detach(),
            load_balance=None if balance is None else balance.detach(),
            auxiliary={name: value.detach() for name, value in self.auxiliary.items()},
        )


def training_losses(model: Recommender, draws: Draws, *, share: Share = WHOLE) -> Losses:
    """Return the weighted mean of the positions' losses, and its sum with the components' own losses.

    Args:
        model: Whose recipe decides the loss.
        draws: The batch, or a part of it.
        share: How means over the whole batch are made of it.
    """
    encoded = model.encode(draws.histories)
    supervised = select_supervised(model, encoded.tokens, encoded.user_BND)
    terms: MixtureTerms | None = None
    if model.mixture is None:
        loss_T = losses_of_positions(model, encoded, supervised, draws)
    else:
        loss_T, terms = losses_of_mixture(model.mixture, model, encoded, supervised, draws)
    weight_T = weigh(model, encoded.tokens, supervised, share=share)
    main = share.contribute(loss_T if weight_T is None else loss_T * weight_T)
    losses = add_own_terms(model, main, balance_experts(model, encoded, draws.histories, share=share))
    return losses if terms is None else add_auxiliary(model, losses, terms, share=share)


def add_auxiliary(model: Recommender, losses: Losses, terms: MixtureTerms, *, share: Share) -> Losses:
    """Return the losses together with those of the mixture that the recipe weighs."""
    weights = model.recipe.loss.weights
    auxiliary = {name: OWN_LOSSES[name](terms, share=share) for name in sorted(weights)}
    # Without any, the total stays the main loss itself, which is how a shared loss knows that there is one sum to make.
    total = sum((weights[name] * value for name, value in auxiliary.items()), start=losses.total)
    return replace(losses, total=total, auxiliary=auxiliary)


def add_own_terms(model: Recommender, main: Tensor, balance: Tensor | None) -> Losses:
    """Return the positions' loss together with what else the recipe adds: the experts' loss, or a penalty."""
    prism = model.recipe.prism
    penalty = model.recipe.training.embedding_l2
    if penalty is not None:  # no component has a loss of its own beside it
        return Losses(total=main + penalty * sum_squares(model), main=main, load_balance=None)
    if prism is None or balance is None:
        return Losses(total=main, main=main, load_balance=None)
    return Losses(total=main + prism.load_balance_weight * balance, main=main, load_balance=balance)


def select_supervised(model: Recommender, tokens: Tokens, user_BND: Tensor) -> Supervised:
    """Return the supervised positions in row order."""
    positions = user_BND.shape[1] - 1
    place_T = locate_supervised(tokens, positions=positions)
    positive_T = tokens.item_BN[:, 1:].flatten().index_select(0, place_T)
    if tokens.num_unsupervised_B is None:
        offsets = model.operators.complete_cumsum(tokens.length_B)
        user_TD = model.operators.to_jagged(user_BND[:, :-1], offsets)
    else:
        user_TD = user_BND[:, :-1].flatten(0, 1).index_select(0, place_T)
    return Supervised(user_TD=user_TD, positive_T=positive_T, place_T=place_T)


def locate_supervised(tokens: Tokens, *, positions: int) -> Tensor:
    """Return place_T: where supervised tokens stand in the flattened (B × positions) form."""
    position_N = torch.arange(positions, device=tokens.length_B.device)
    is_supervised_BN = position_N < tokens.length_B[:, None]
    if tokens.num_unsupervised_B is not None:
        is_supervised_BN &= position_N >= tokens.num_unsupervised_B[:, None]
    return torch.nonzero(is_supervised_BN.flatten()).squeeze(1)


def losses_of_mixture(
    mixture: MixtureOfLogits, model: Recommender, encoded: Encoded, supervised: Supervised, draws: Draws
) -> tuple[Tensor, MixtureTerms]:
    """Return loss_T as `losses_of_positions` does, of scores that a mixture makes, and the terms of its own losses."""
    settings, user_B = model.recipe.loss, draws.histories.user_B
    assert user_B is not None
    assert draws.negative_TK is not None
    positive_T, negative_TK = supervised.positive_T, draws.negative_TK
    user_T = user_B.index_select(0, supervised.place_T // (encoded.user_BND.shape[1] - 1))

    def loss_of(user_TD: Tensor, table_JD: Tensor) -> tuple[Tensor, MixtureTerms]:
        return mixture_softmax(
            mixture,
            user_TD,
            user_T=user_T,
            item_table=table_JD,
            positive_T=positive_T,
            negative_TK=negative_TK,
            temperature=settings.temperature,
            adjustment_J=model.popularity.adjustment_J if model.popularity else None,
        )

    if settings.activation_checkpoint:
        found: tuple[Tensor, MixtureTerms] = checkpoint(
            loss_of, supervised.user_TD, encoded.table_JD, use_reentrant=False
        )
        return found
    return loss_of(supervised.user_TD, encoded.table_JD)


def losses_of_positions(model: Recommender, encoded: Encoded, supervised: Supervised, draws: Draws) -> Tensor:
    """Return loss_T, unweighted: position t is asked for the item at t + 1, the last one for the target."""
    settings = model.recipe.loss
    adjustment_J = model.popularity.adjustment_J if model.popularity else None
    negative_TK = None if draws.negative_TK is None else mix_in_hard(model, encoded, supervised, draws)

    def loss_of(user_TD: Tensor, table_JD: Tensor) -> Tensor:
        if isinstance(settings, BinaryCrossEntropySettings):
            assert negative_TK is not None
            return binary_cross_entropy(
                user_TD,
                item_table=table_JD,
                positive_T=supervised.positive_T,
                negative_T1=negative_TK,
                temperature=settings.temperature,
            )
        if negative_TK is None:
            assert isinstance(settings, FullSoftmaxSettings)
            return full_softmax(
                user_TD,
                item_table=table_JD,
                candidate_I=model.candidate_I,
                positive_T=supervised.positive_T,
                temperature=settings.temperature,
                padding_row=settings.padding_row,
                adjustment_J=adjustment_J,
            )
        return sampled_softmax(
            user_TD,
            item_table=table_JD,
            positive_T=supervised.positive_T,
            negative_TK=negative_TK,
            temperature=settings.temperature,
            adjustment_J=adjustment_J,
        )

    if settings.activation_checkpoint:
        loss_T: Tensor = checkpoint(loss_of, supervised.user_TD, encoded.table_JD, use_reentrant=False)
        return loss_T
    return loss_of(supervised.user_TD, encoded.table_JD)


def mix_in_hard(model: Recommender, encoded: Encoded | Embedded, supervised: Supervised, draws: Draws) -> Tensor:
    """Return negative_TK with the hardest of the pool in the last places, if the recipe asks for them."""
    settings = model.recipe.hard_negatives
    assert draws.negative_TK is not None
    if settings is None or draws.pool_P is None:
        return draws.negative_TK
    return select_hard(
        supervised.user_TD,
        item_table=encoded.table_JD,
        pool_P=draws.pool_P,
        positive_T=supervised.positive_T,
        negative_TK=draws.negative_TK,
        fraction=settings.fraction,
        row_T=supervised.place_T // (model.recipe.padded_length - 1),
        history_BL=draws.own_BH,
    )


def weigh(model: Recommender, tokens: Tokens, supervised: Supervised, *, share: Share) -> Tensor | None:
    """Return weight_T with mean 1, None if every position counts alike."""
    weights = []
    if model.popularity is not None:
        weights.append(model.popularity.weigh(supervised.positive_T, share=share))
    decay = model.recipe.time_decay
    if decay and decay.where == "loss":
        time_BN = tokens.time_BN[:, :-1]
        last_B1 = time_BN.gather(1, tokens.length_B[:, None] - 1)
        age_BN = (last_B1 - time_BN).clamp(min=0)
        age_T = age_BN.flatten().index_select(0, supervised.place_T)
        weights.append(weigh_positions(age_T, decay, share=share))
    found = [weight_T for weight_T in weights if weight_T is not None]
    if len(found) < 2:
        return found[0] if found else None
    # Each has mean 1, which their product need not have.
    product_T = torch.stack(found).prod(0)
    return product_T / share.mean(product_T)


def balance_experts(
    model: Recommender, encoded: Encoded | Embedded, histories: Histories, *, share: Share
) -> Tensor | None:
    """Return the auxiliary loss that evens the experts' load out, before its weight; None without experts or weight."""
    prism, router_weight_BLG = model.recipe.prism, encoded.router_weight_BLG
    if prism is None or router_weight_BLG is None or not prism.load_balance_weight:
        return None
    offsets = model.operators.complete_cumsum(histories.length_B)
    return load_balance(plain_to_jagged(router_weight_BLG, offsets), share=share)
