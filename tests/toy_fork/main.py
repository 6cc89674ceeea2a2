"""Train the toy fork: a worker per GPU, each reading the gin file, as research trainers are started."""

import gin
import torch
import torch.multiprocessing as mp
from absl import app, flags
from toy_recommenders.trainer import train_fn

flags.DEFINE_string("gin_config_file", None, "The gin file.")
flags.DEFINE_integer("master_port", 12355, "The port at which the workers meet.")


def work(rank: int, world_size: int, master_port: int, gin_config_file: str) -> None:
    gin.parse_config_file(gin_config_file)
    train_fn(rank, world_size, master_port)


def start(argv: list[str]) -> None:
    world_size = torch.cuda.device_count()
    settings = (world_size, flags.FLAGS.master_port, flags.FLAGS.gin_config_file)
    mp.spawn(work, args=settings, nprocs=world_size, join=True)


if __name__ == "__main__":
    app.run(start)
