"""Describe runs: the recipe and data that go in, and the results of training and evaluation."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.results import EvaluationResult, ShownRecipe, StoreResult, TrainingResult
from hstu_preserve.report.tables import list_claims, list_fields, list_warnings


def describe_shown_recipe(record: ShownRecipe) -> RenderableType:
    """Return the recipe that a gin chain resolves to."""
    notices = [Text(printable(f"warning: {warning}")) for warning in record.warnings]
    notices += [Text(printable(f"note: {inert}")) for inert in record.inert]
    files = {"gin chain": ", ".join(record.files), "recipe": f"sha256:{record.recipe_sha256}"}
    return Group(list_fields(files), Text(), Text(record.gin.rstrip()), Text(), *notices)


def describe_store(record: StoreResult) -> RenderableType:
    """Return the contents of a store."""
    store, counts, origin = record.store, record.store.counts, record.store.provenance
    return list_fields(
        {
            "store": str(record.path),
            "dataset": store.name,
            "fingerprint": store.fingerprint,
            "users": f"{counts.num_users:,}",
            "rated items": f"{counts.num_rated_items:,}",
            "candidates": f"{counts.num_candidates:,}, ids up to {counts.max_item_id:,}",
            "ratings": f"{counts.num_ratings:,}",
            "ties": f"{origin.tied_events:,} events at the time of the one before; {origin.tie_policy.value} order",
            "source": origin.source + (f" (md5 {origin.source_md5})" if origin.source_md5 else ""),
            "terms": origin.notice,
            "arrays": "every byte compared with the record" if record.is_verified else "not hashed",
        }
    )


def describe_training(record: TrainingResult) -> RenderableType:
    """Return the claims of a finished run."""
    final = record.results.final
    return Group(
        list_fields(
            {
                "run": str(record.path),
                "identity": f"sha256:{record.identity}",
                "state": f"sha256:{record.results.state_sha256}",
                "data": f"fingerprint {final.data_fingerprint}",
            }
        ),
        list_claims(record.claims),
        Text(f"next: hstu-preserve pack {record.path}", style="dim"),
    )


def describe_evaluation(record: EvaluationResult) -> RenderableType:
    """Return one evaluation."""
    found = record.evaluation
    table = Table("metric", "value", box=box.SIMPLE_HEAD, pad_edge=False)
    for metric, value in found.metrics.items():
        table.add_row(metric, f"{value:.6f}")
    table.add_row("coverage@10", f"{found.coverage_at_10:.6f}")
    agree = "agree on every user without an exact tie" if record.evaluators_agree else "DISAGREE: please report this"
    fields = {
        "checkpoint": record.checkpoint,
        "epoch": str(found.epoch),
        "users": f"{found.num_users} ({found.num_users_skipped} with too few events left out)",
        "candidates": f"{found.num_candidates}, minus "
        + ("everything the user has seen" if found.filter_all_seen else "what the model read of the user"),
        "data": f"fingerprint {found.data_fingerprint}",
        "ties": f"{found.num_tied} users exactly, {found.num_nearly_tied} within 1e-6",
        "misses": f"{found.num_clamped} users beyond the top 2,500, {found.num_unrankable} of them cannot be ranked",
        "evaluators": agree,
        "ranks": f"sha256:{found.ranks_sha256}",
    }
    if record.ranks_path is not None:
        fields["written"] = str(record.ranks_path)
    return Group(*list_warnings(record.warnings), list_fields(fields), table)
