"""The packages that code needs are read off its imports; none of it is run."""

from pathlib import Path

from hstu_preserve.archived.imports import list_needed

FILES = {
    "main.py": "import os, numpy as np\nfrom absl import app\nfrom lib.train import go\ntry:\n    import wandb\nexcept ImportError:\n    pass\n",  # noqa: E501
    "lib/__init__.py": "",
    "lib/train.py": "import torch\nfrom torch.utils.tensorboard import SummaryWriter\nfrom . import model\nfrom .layers.core import X\n",  # noqa: E501
    "lib/model.py": "import einops\ndef f():\n    import matplotlib\n",
    "lib/layers/core.py": "from ..model import Y\nimport fbgemm_gpu  # noqa\n",
    "lib/unused.py": "import tensorflow\n",
    "lib/broken.py": "def (\n",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_what_the_entry_imports_through_its_own_files_is_needed(tmp_path: Path) -> None:
    needed = list_needed(write(tmp_path, FILES), entry="main.py")
    assert needed == ("absl", "einops", "fbgemm_gpu", "numpy", "tensorboard", "torch")


def test_an_entry_below_a_folder_imports_from_there(tmp_path: Path) -> None:
    write(tmp_path / "fork", FILES)
    assert list_needed(tmp_path, entry="fork/main.py") == list_needed(tmp_path / "fork", entry="main.py")


def test_a_file_that_is_no_python_needs_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"main.py": "import lib.broken\nimport attrs\n", "lib/broken.py": "def (\n"})
    assert list_needed(tmp_path, entry="main.py") == ("attrs",)
