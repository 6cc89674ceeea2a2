"""What HSTU-Tensorflow's own graph computed on a tiny model (see golden/README.md), and ours of the same shape."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from hstu_preserve.model.histories import Histories
from hstu_preserve.model.windowed.hstu_tf import HstuTfEncoder
from hstu_preserve.records.settings.encoders import HstuTfSettings

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
PADDED_LENGTH = 12 + 11
TEMPERATURE = 0.05
LEARNING_RATE = 1e-3

Group = Literal["init", "after3adam", "random"]
PaddingFrom = Literal["sequence", "normalized_query"]
GROUPS: tuple[Group, ...] = ("init", "after3adam", "random")
PADDING_FROM: tuple[PaddingFrom, ...] = ("sequence", "normalized_query")


def make_settings(
    padding_from: PaddingFrom = "sequence", *, width: int = 16, dropout_rate: float = 0.2
) -> HstuTfSettings:
    """Return the settings of the golden file, or of another width."""
    return HstuTfSettings(
        kind="HSTU-TF",
        item_embedding_dim=width,
        dropout_rate=dropout_rate,
        user_embedding_norm="l2_norm",
        gr_output_length=10,
        main_module_bf16=False,
        num_blocks=2,
        num_heads=2,
        padding_from=padding_from,
    )


def find_events(histories: Histories) -> Tensor:
    """Return is_event_BN (bool), where an event of history stands."""
    return torch.arange(histories.item_BN.shape[1]) < histories.length_B[:, None]


class TinyModel(nn.Module):
    """An item table below our encoder, and HSTU-Tensorflow's loss above it; parameters named as the recommender's."""

    def __init__(self, settings: HstuTfSettings, *, max_sequence_length: int, max_item_id: int) -> None:
        super().__init__()
        self.item_embedding = nn.Embedding(max_item_id + 1, settings.item_embedding_dim, padding_idx=0)
        self.encoder = HstuTfEncoder(settings, max_sequence_length=max_sequence_length)

    def forward(self, histories: Histories) -> Tensor:
        """Return encoded_BND."""
        embedding_BND = self.item_embedding(histories.item_BN)
        encoded_BND: Tensor = self.encoder(embedding_BND, histories.length_B, histories.item_BN, histories.time_BN)
        return encoded_BND

    def score(self, state: Tensor) -> Tensor:
        """Return the cosine of states (width last) with every row of the table, 0 for the padding row."""
        table = self.item_embedding.weight
        table = torch.cat([torch.zeros_like(table[:1]), table[1:]])
        return normalize(state) @ normalize(table).T

    def loss(self, histories: Histories) -> Tensor:
        """Return the mean full-softmax loss over every event of history."""
        is_event_BN = find_events(histories)
        logits = self.score(self(histories)[is_event_BN]) / TEMPERATURE
        asked_BN = histories.item_BN.roll(-1, dims=1)
        return nn.functional.cross_entropy(logits, asked_BN[is_event_BN])


def normalize(x: Tensor) -> Tensor:
    """Return x·rsqrt(max(Σx², 1e-12)), `tf.nn.l2_normalize`."""
    return x * x.square().sum(-1, keepdim=True).clamp(min=1e-12).rsqrt()


@dataclass(frozen=True, kw_only=True)
class TensorFlowGolden:
    """The golden file, its arrays as tensors under their own names."""

    tensors: dict[str, Tensor]

    def value(self, group: Group, name: str) -> Tensor:
        """Return an output of the graph with the weights of the group."""
        return self.tensors[f"{group}/{name}"]

    def weights(self, group: Group) -> dict[str, Tensor]:
        """Return the weights of a group in our names and shapes."""
        return from_tensorflow(self.variables(f"{group}/w/SASRec/"))

    def gradients(self, group: Group) -> dict[str, Tensor]:
        """Return the loss's gradients at the weights of a group, in our names and shapes."""
        return from_tensorflow(self.variables(f"{group}/grad/SASRec/"))

    def variables(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors below `prefix`, by the rest of their names."""
        return {
            key.removeprefix(prefix).removesuffix(":0"): value
            for key, value in self.tensors.items()
            if key.startswith(prefix)
        }

    @property
    def histories(self) -> Histories:
        """The golden batch, left-aligned."""
        item_BT, asked_BT, time_BT = (self.tensors[key].long() for key in ("seq", "pos", "timestamps"))
        length_B = (item_BT != 0).sum(1)
        item_BN, time_BN = torch.zeros(2, len(length_B), PADDED_LENGTH, dtype=torch.int64)
        for user, length in enumerate(length_B.tolist()):
            item_BN[user, :length], time_BN[user, :length] = item_BT[user, -length:], time_BT[user, -length:]
            item_BN[user, length] = asked_BT[user, -1]
            time_BN[user, length] = self.tensors["last_timestamp"][user]
        return Histories(length_B=length_B, item_BN=item_BN, time_BN=time_BN, half_star_BN=torch.zeros_like(item_BN))

    def make_model(self, group: Group, *, padding_from: PaddingFrom) -> TinyModel:
        """Return our model with the weights of the group, dropout off."""
        model = TinyModel(make_settings(padding_from), max_sequence_length=12, max_item_id=30)
        model.load_state_dict(self.weights(group))
        return model.eval()


def from_tensorflow(variables: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return HSTU-Tensorflow's variables, named below `SASRec/`, in our names and shapes."""
    ours = {
        "item_embedding.weight": variables["input_embeddings/lookup_table"],
        "encoder.position_weight": variables["dec_pos/lookup_table"],
    }
    num_blocks = sum(name.endswith("dense_4/kernel") for name in variables)
    for block in range(num_blocks):
        theirs = variables_of_block(variables, f"num_blocks_{block}/self_attention/")
        kernels = [theirs[name] for name in ("dense/kernel", "dense_1/kernel", "dense_2/kernel", "dense_3/kernel")]
        layer = {
            "input_norm.weight": theirs["ln/Variable_1"],
            "input_norm.bias": theirs["ln/Variable"],
            "qkvu": torch.cat(kernels, dim=1),
            "bias.position_weight": theirs["time_interval_bias/relative_position_embeddings/lookup_table"].squeeze(1),
            "bias.time_weight": theirs["time_interval_bias/time_interval_embeddings/lookup_table"].squeeze(1),
            "attended_norm.weight": theirs["ln_1/Variable_1"],
            "attended_norm.bias": theirs["ln_1/Variable"],
            "output.weight": theirs["dense_4/kernel"].T,
            "output.bias": theirs["dense_4/bias"],
        }
        ours |= {f"encoder.layers.{block}.{name}": value for name, value in layer.items()}
    return ours


def variables_of_block(variables: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the variables below `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in variables.items() if name.startswith(prefix)}


@cache
def load_golden() -> TensorFlowGolden:
    """Return the golden file."""
    with np.load(GOLDEN / "tf_hstu_tiny.npz") as arrays:
        return TensorFlowGolden(tensors={name: torch.from_numpy(arrays[name]) for name in arrays.files})
