"""Reproducibility archive and toolkit for HSTU recommenders.

The verbs of the command line as functions that return records; nothing heavy is imported before the first call:

    import hstu_preserve

    verification = hstu_preserve.verify("experiment.tar.gz")
    reproduction = hstu_preserve.reproduce("experiment.tar.gz", rungs=("evaluation",))
    for verdict in reproduction.verdicts:
        print(verdict.rung, verdict.outcome, verdict.reason)

Every deliberate error derives from `PreserveError`, whose `exit_code` is the command line's.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from hstu_preserve.errors import PreserveError

if TYPE_CHECKING:
    from hstu_preserve.workflows.catalog import list_experiments
    from hstu_preserve.workflows.data import import_data, prepare_data, show_data, synthesize_data
    from hstu_preserve.workflows.diff import diff
    from hstu_preserve.workflows.doctor import doctor
    from hstu_preserve.workflows.download import download, preview_download
    from hstu_preserve.workflows.evaluate import evaluate, evaluate_file
    from hstu_preserve.workflows.export import export
    from hstu_preserve.workflows.legacy import verify_legacy
    from hstu_preserve.workflows.migrate import migrate
    from hstu_preserve.workflows.pack import pack, unpack
    from hstu_preserve.workflows.publish import preview_publication, publish
    from hstu_preserve.workflows.report import write_report
    from hstu_preserve.workflows.reproduce import reproduce
    from hstu_preserve.workflows.show import show
    from hstu_preserve.workflows.signing import keygen, sign
    from hstu_preserve.workflows.train import train
    from hstu_preserve.workflows.verify import verify
    from hstu_preserve.workflows.wanted_files import Wanted

__version__ = "0.1.0"

__all__ = [
    "PreserveError",
    "Wanted",
    "__version__",
    "diff",
    "doctor",
    "download",
    "evaluate",
    "evaluate_file",
    "export",
    "import_data",
    "keygen",
    "list_experiments",
    "migrate",
    "pack",
    "prepare_data",
    "preview_download",
    "preview_publication",
    "publish",
    "reproduce",
    "show",
    "show_data",
    "sign",
    "synthesize_data",
    "train",
    "unpack",
    "verify",
    "verify_legacy",
    "write_report",
]

MODULE_OF_VERB = {
    "Wanted": "wanted_files",
    "diff": "diff",
    "doctor": "doctor",
    "download": "download",
    "evaluate": "evaluate",
    "evaluate_file": "evaluate",
    "export": "export",
    "import_data": "data",
    "keygen": "signing",
    "list_experiments": "catalog",
    "migrate": "migrate",
    "pack": "pack",
    "prepare_data": "data",
    "preview_download": "download",
    "preview_publication": "publish",
    "publish": "publish",
    "reproduce": "reproduce",
    "show": "show",
    "show_data": "data",
    "sign": "signing",
    "synthesize_data": "data",
    "train": "train",
    "unpack": "pack",
    "verify": "verify",
    "verify_legacy": "legacy",
    "write_report": "report",
}


def __getattr__(name: str) -> object:
    """Import a verb's workflow when it is first asked for."""
    if name not in MODULE_OF_VERB:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"hstu_preserve.workflows.{MODULE_OF_VERB[name]}"), name)
