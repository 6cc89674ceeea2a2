"""Meta's research code as a peer: its modules, taken from a checkout of it, step on our batches as its trainer does.

Taken over from `train.py` of meta-recsys/generative-recommenders at db1bf8f: what is built, and the order of one step.
Left out, in the peer's favour: its data loader, TensorBoard, and DistributedDataParallel around the model.
"""

import sys
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from hstu_preserve.model.histories import Histories
from hstu_preserve.records.encoders import HstuSettings
from hstu_preserve.records.recipe import Recipe, SampledSoftmaxSettings
from hstu_preserve.training.optimizers import ADAM_BETAS

ROOM = "generative_recommenders.research.modeling"


class Peer:
    """Meta's HSTU with sampled softmax, at the shape of a recipe.

    Args:
        reference: A checkout of generative-recommenders.
        recipe: Gives the shape.
        candidates: int64 ids of the items that negatives are drawn from.
    """

    def __init__(self, reference: Path, recipe: Recipe, *, candidates: torch.Tensor) -> None:
        sys.path.insert(0, str(reference))
        import fbgemm_gpu  # noqa: F401  registers the operators that the modules call

        assert isinstance(recipe.loss, SampledSoftmaxSettings)
        self.model = build_model(recipe, max_item_id=int(candidates.max()))
        self.item_embedding = self.model._embedding_module._item_emb  # noqa: SLF001  as the trainer reads it
        self.loss = import_module(f"{ROOM}.sequential.losses.sampled_softmax").SampledSoftmaxLoss(
            num_to_sample=recipe.loss.num_negatives,
            softmax_temperature=recipe.loss.temperature,
            model=self.model,
            activation_checkpoint=recipe.loss.activation_checkpoint,
        )
        self.sampler = import_module(f"{ROOM}.sequential.autoregressive_losses").LocalNegativesSampler(
            num_items=len(candidates),
            item_emb=self.item_embedding,
            all_item_ids=candidates.tolist(),
            l2_norm=recipe.loss.item_l2_norm,
            l2_norm_eps=recipe.loss.l2_norm_eps,
        )
        training = recipe.training
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=training.learning_rate, betas=ADAM_BETAS, weight_decay=training.weight_decay
        )

    def take_step(self, histories: Histories, *, anomaly_detection: bool) -> float:
        """Take one step as the trainer does, and return the loss.

        Args:
            histories: With their targets.
            anomaly_detection: Whether autograd looks for NaN, which the trainer switches on and never off.
        """
        detecting: AbstractContextManager[Any] = torch.autograd.set_detect_anomaly(anomaly_detection)
        with detecting:
            self.model.train()
            self.optimizer.zero_grad()
            loss = self.compute_loss(histories)
            loss.backward()
            self.optimizer.step()
        return float(loss)

    def compute_loss(self, histories: Histories) -> Any:
        """Return the loss of a batch."""
        item_BN = histories.item_BN
        embedded = self.model.get_item_embeddings(item_BN)
        encoded = self.model(
            past_lengths=histories.length_B,
            past_ids=item_BN,
            past_embeddings=embedded,
            past_payloads={"timestamps": histories.time_BN, "ratings": histories.half_star_BN},
        )
        self.sampler._item_emb = self.item_embedding  # noqa: SLF001  as the trainer does
        return self.loss(
            lengths=histories.length_B,
            output_embeddings=encoded[:, :-1, :],
            supervision_ids=item_BN[:, 1:],
            supervision_embeddings=embedded[:, 1:, :],
            supervision_weights=(item_BN[:, 1:] != 0).float(),
            negatives_sampler=self.sampler,
            timestamps=histories.time_BN,
            ratings=histories.half_star_BN,
        )[0]


def build_model(recipe: Recipe, *, max_item_id: int) -> Any:
    """Return Meta's HSTU at the shape of a recipe, on the CPU."""
    settings = recipe.model
    assert isinstance(settings, HstuSettings)
    width = settings.item_embedding_dim
    positions, output = recipe.dataset.max_sequence_length, settings.gr_output_length + 1
    similarity, _ = import_module(f"{ROOM}.similarity_utils").get_similarity_function(
        module_type="DotProduct", query_embedding_dim=width, item_embedding_dim=width
    )
    return import_module(f"{ROOM}.sequential.encoder_utils").hstu_encoder(
        max_sequence_length=positions,
        max_output_length=output,
        embedding_module=import_module(f"{ROOM}.sequential.embedding_modules").LocalEmbeddingModule(
            num_items=max_item_id, item_embedding_dim=width
        ),
        similarity_module=similarity,
        input_preproc_module=import_module(
            f"{ROOM}.sequential.input_features_preprocessors"
        ).LearnablePositionalEmbeddingInputFeaturesPreprocessor(
            max_sequence_len=positions + output, embedding_dim=width, dropout_rate=settings.dropout_rate
        ),
        output_postproc_module=import_module(f"{ROOM}.sequential.output_postprocessors").L2NormEmbeddingPostprocessor(
            embedding_dim=width, eps=1e-6
        ),
        activation_checkpoint=False,
        verbose=False,
        num_blocks=settings.num_blocks,
        num_heads=settings.num_heads,
        dqk=settings.dqk,
        dv=settings.dv,
        linear_dropout_rate=settings.linear_dropout_rate,
        attn_dropout_rate=settings.attn_dropout_rate,
    )
