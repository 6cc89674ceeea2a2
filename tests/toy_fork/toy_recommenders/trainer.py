"""Train and evaluate the toy model: the shape of a research trainer, in a few lines."""

import os
import random
from pathlib import Path
from typing import Any

import gin
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from toy_recommenders.model import Histories, ToyRecommender


def measure(scores: Tensor, past: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return each user's metrics; items of the history are no candidates."""
    scores = scores.scatter(1, past, -torch.inf).scatter(1, target[:, None], scores.gather(1, target[:, None]))
    rank = (scores > scores.gather(1, target[:, None])).sum(1) + 1
    found: dict[str, Tensor] = {"mrr": 1.0 / rank}
    for k in (1, 10, 50):
        found[f"hr@{k}"] = (rank <= k).float()
        found[f"ndcg@{k}"] = torch.where(rank <= k, 1.0 / torch.log2(rank + 1.0), 0.0)
    return found


def capture(epoch: int, step: int, model: DDP, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    states = {"torch": torch.get_rng_state(), "numpy": np.random.get_state(), "python": random.getstate()}  # noqa: NPY002
    return {
        "epoch": epoch,
        "batch_id": step,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "rng_state": states,
    }


def restore(path: str, model: DDP, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    kept: dict[str, Any] = torch.load(path, weights_only=False)
    model.load_state_dict(kept["model_state_dict"])
    optimizer.load_state_dict(kept["optimizer_state_dict"])
    torch.set_rng_state(kept["rng_state"]["torch"])
    np.random.set_state(kept["rng_state"]["numpy"])  # noqa: NPY002
    random.setstate(kept["rng_state"]["python"])
    return kept


def evaluate(model: DDP, loader: DataLoader[tuple[Tensor, Tensor]], device: int) -> dict[str, float]:
    """Return the means over all users."""
    model.eval()
    gathered: dict[str, list[Tensor]] = {}
    for past, target in loader:
        with torch.no_grad():
            scores = model.module(past.to(device))
        for name, values in measure(scores, past.to(device), target.to(device)).items():
            gathered.setdefault(name, []).append(values)
    return {name: torch.cat(values).mean().item() for name, values in gathered.items()}


@gin.configurable
def train_fn(
    rank: int,
    world_size: int,
    master_port: int,
    dataset_name: str = "toy",
    num_items: int = 60,
    max_sequence_length: int = 10,
    item_embedding_dim: int = 8,
    local_batch_size: int = 16,
    num_epochs: int = 3,
    learning_rate: float = 1e-2,
    weight_decay: float = 0.0,
    full_eval_every_n: int = 1,
    save_ckpt_every_n: int = 1,
    enable_tf32: bool = False,
    random_seed: int = 42,
    resume_ckpt: str | None = None,
) -> None:
    random.seed(random_seed)
    torch.backends.cuda.matmul.allow_tf32 = enable_tf32
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = "localhost", str(master_port)
    dist.init_process_group("nccl", rank=rank, world_size=world_size)
    csv = Path(f"tmp/{dataset_name}/sasrec_format.csv")
    train_data = Histories(csv, length=max_sequence_length, held_out=1)
    test_data = Histories(csv, length=max_sequence_length, held_out=0)
    train_loader = DataLoader(train_data, batch_size=local_batch_size, shuffle=True)
    test_loader = DataLoader(test_data, batch_size=local_batch_size)
    device = rank
    recommender = ToyRecommender(num_items, length=max_sequence_length, width=item_embedding_dim)
    model = DDP(recommender.to(device), device_ids=[rank], broadcast_buffers=False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    name = f"{dataset_name}-l{max_sequence_length}/Toy-d{item_embedding_dim}-b{local_batch_size}-lr{learning_rate}"
    Path(f"ckpts/{name}").parent.mkdir(parents=True, exist_ok=True)
    writer = SummaryWriter(log_dir=f"exps/{name}")
    torch.autograd.set_detect_anomaly(True)
    step = first_epoch = 0
    if resume_ckpt:
        kept = restore(resume_ckpt, model, optimizer)
        step, first_epoch = kept["batch_id"], kept["epoch"] + 1
    for epoch in range(first_epoch, num_epochs):
        model.train()
        for past, target in train_loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(past.to(device)), target.to(device))
            loss = loss * (1.0 + 0.01 * np.random.rand())  # noqa: NPY002  # so that numpy's state matters
            loss.backward()
            optimizer.step()
            writer.add_scalar("losses/ar_loss", loss, step)
            step += 1
        for metric, value in evaluate(model, test_loader, device).items():
            writer.add_scalar(f"eval_epoch/{metric}", value, epoch)
            if full_eval_every_n > 1 and epoch % full_eval_every_n == 0:
                writer.add_scalar(f"eval_epoch_full/{metric}", value, epoch)
        if 0 < epoch < num_epochs - 1 and epoch % save_ckpt_every_n == 0:
            torch.save(capture(epoch, step, model, optimizer), f"ckpts/{name}_ep{epoch}")
    writer.close()
    torch.save(capture(num_epochs - 1, step, model, optimizer), f"ckpts/{name}_ep{num_epochs - 1}")
    dist.destroy_process_group()
