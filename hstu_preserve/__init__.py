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
from hstu_preserve.version import __version__

if TYPE_CHECKING:
    from hstu_preserve.legacy.verification import verify_legacy
    from hstu_preserve.library.catalog import list_experiments
    from hstu_preserve.library.verification import verify
    from hstu_preserve.library.wanted import Wanted
    from hstu_preserve.verbs.data import import_data, prepare_data, show_data, synthesize_data
    from hstu_preserve.verbs.diff import diff
    from hstu_preserve.verbs.doctor import doctor
    from hstu_preserve.verbs.download import download, preview_download
    from hstu_preserve.verbs.evaluate import evaluate, evaluate_file
    from hstu_preserve.verbs.export import export
    from hstu_preserve.verbs.keygen import keygen
    from hstu_preserve.verbs.migrate import migrate
    from hstu_preserve.verbs.pack import pack
    from hstu_preserve.verbs.publish import preview_publication, publish
    from hstu_preserve.verbs.report import write_report
    from hstu_preserve.verbs.reproduce import reproduce
    from hstu_preserve.verbs.show import show
    from hstu_preserve.verbs.signing import sign
    from hstu_preserve.verbs.train import train
    from hstu_preserve.verbs.unpack import unpack

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
    "Wanted": "library.wanted",
    "diff": "verbs.diff",
    "doctor": "verbs.doctor",
    "download": "verbs.download",
    "evaluate": "verbs.evaluate",
    "evaluate_file": "verbs.evaluate",
    "export": "verbs.export",
    "import_data": "verbs.data",
    "keygen": "verbs.keygen",
    "list_experiments": "library.catalog",
    "migrate": "verbs.migrate",
    "pack": "verbs.pack",
    "prepare_data": "verbs.data",
    "preview_download": "verbs.download",
    "preview_publication": "verbs.publish",
    "publish": "verbs.publish",
    "reproduce": "verbs.reproduce",
    "show": "verbs.show",
    "show_data": "verbs.data",
    "sign": "verbs.signing",
    "synthesize_data": "verbs.data",
    "train": "verbs.train",
    "unpack": "verbs.unpack",
    "verify": "library.verification",
    "verify_legacy": "legacy.verification",
    "write_report": "verbs.report",
}


def __getattr__(name: str) -> object:
    """Import a verb's module when the verb is first asked for."""
    if name not in MODULE_OF_VERB:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"hstu_preserve.{MODULE_OF_VERB[name]}"), name)
