"""Reproducibility archive and toolkit for HSTU recommenders.

The verbs of the command line as functions that return records; nothing heavy is imported before the first call:

    import hstu_preserve

    if not hstu_preserve.verify("experiment.tar.gz"):
        print("not the packed bytes")
    reproduction = hstu_preserve.reproduce("experiment.tar.gz", rungs=("evaluation",))
    for verdict in reproduction.verdicts:
        print(verdict.rung, verdict.outcome, verdict.reason)

Every deliberate error derives from `PreserveError`, whose `exit_code` is the command line's.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from hstu_preserve.errors import PreserveError as PreserveError
from hstu_preserve.version import __version__ as __version__

# Type checkers do not run the table below, so that they are told here; tests/test_api.py holds both equal. `X as X`
# exports a name. At run time, `import hstu_preserve` must stay fast and import no verb.
if TYPE_CHECKING:
    from hstu_preserve.archived.settings import AuthorCode as AuthorCode
    from hstu_preserve.legacy.verification import verify_legacy as verify_legacy
    from hstu_preserve.library.listing import list_experiments as list_experiments
    from hstu_preserve.library.run_states import list_runs as list_runs
    from hstu_preserve.library.wanted import Wanted as Wanted
    from hstu_preserve.rehearsals.dry_run import preview_training as preview_training
    from hstu_preserve.retraining.asked import Retraining as Retraining
    from hstu_preserve.verbs.compare import compare as compare
    from hstu_preserve.verbs.data import download_data as download_data
    from hstu_preserve.verbs.data import export_data as export_data
    from hstu_preserve.verbs.data import prepare_data as prepare_data
    from hstu_preserve.verbs.data import prepare_every_order as prepare_every_order
    from hstu_preserve.verbs.data import show_data as show_data
    from hstu_preserve.verbs.data import synthesize_data as synthesize_data
    from hstu_preserve.verbs.diff import diff as diff
    from hstu_preserve.verbs.doctor import doctor as doctor
    from hstu_preserve.verbs.download import download as download
    from hstu_preserve.verbs.download import preview_download as preview_download
    from hstu_preserve.verbs.evaluate import evaluate as evaluate
    from hstu_preserve.verbs.evaluate import evaluate_file as evaluate_file
    from hstu_preserve.verbs.export import export as export
    from hstu_preserve.verbs.imports.sasrec_format import import_data as import_data
    from hstu_preserve.verbs.imports.sequences import import_sequences as import_sequences
    from hstu_preserve.verbs.keygen import keygen as keygen
    from hstu_preserve.verbs.migrate import migrate as migrate
    from hstu_preserve.verbs.pack import pack as pack
    from hstu_preserve.verbs.publish import preview_publication as preview_publication
    from hstu_preserve.verbs.publish import publish as publish
    from hstu_preserve.verbs.report import write_report as write_report
    from hstu_preserve.verbs.reproduce import reproduce as reproduce
    from hstu_preserve.verbs.show import show as show
    from hstu_preserve.verbs.signing import sign as sign
    from hstu_preserve.verbs.train import train as train
    from hstu_preserve.verbs.train import train_seed_of_plan as train_seed_of_plan
    from hstu_preserve.verbs.train import train_seeds as train_seeds
    from hstu_preserve.verbs.unpack import unpack as unpack
    from hstu_preserve.verbs.verify import verify as verify

NAMES_BY_MODULE = {
    "archived.settings": ("AuthorCode",),
    "legacy.verification": ("verify_legacy",),
    "library.listing": ("list_experiments",),
    "library.wanted": ("Wanted",),
    "rehearsals.dry_run": ("preview_training",),
    "retraining.asked": ("Retraining",),
    "library.run_states": ("list_runs",),
    "verbs.compare": ("compare",),
    "verbs.data": (
        "download_data",
        "export_data",
        "prepare_data",
        "prepare_every_order",
        "show_data",
        "synthesize_data",
    ),
    "verbs.diff": ("diff",),
    "verbs.doctor": ("doctor",),
    "verbs.download": ("download", "preview_download"),
    "verbs.evaluate": ("evaluate", "evaluate_file"),
    "verbs.export": ("export",),
    "verbs.imports.sasrec_format": ("import_data",),
    "verbs.imports.sequences": ("import_sequences",),
    "verbs.keygen": ("keygen",),
    "verbs.migrate": ("migrate",),
    "verbs.pack": ("pack",),
    "verbs.publish": ("preview_publication", "publish"),
    "verbs.report": ("write_report",),
    "verbs.reproduce": ("reproduce",),
    "verbs.show": ("show",),
    "verbs.signing": ("sign",),
    "verbs.train": ("train", "train_seed_of_plan", "train_seeds"),
    "verbs.unpack": ("unpack",),
    "verbs.verify": ("verify",),
}
MODULE_OF = {name: module for module, names in NAMES_BY_MODULE.items() for name in names}
__all__ = ["PreserveError", "__version__", *MODULE_OF]  # noqa: PLE0604  # the keys are strings


def __dir__() -> list[str]:
    """List the verbs and errors, which are what a Python caller looks for."""
    return [*__all__]


def __getattr__(name: str) -> object:
    """Import a verb's module when the verb is first asked for."""
    if name not in MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{MODULE_OF[name]}"), name)
