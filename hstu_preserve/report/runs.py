"""Describe runs: the recipe and data that go in, and the results of training and evaluation."""

from rich.console import Group, RenderableType
from rich.text import Text

from hstu_preserve.data.event_filter import filter_of
from hstu_preserve.data.results import ExportedData, FetchedData, PreparedOrders
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.evaluation_kind import NOT_COMPARABLE
from hstu_preserve.records.results import EvaluationResult, ShownRecipe, StoreResult, TrainingResult
from hstu_preserve.report.tables import list_claims, list_fields, list_warnings, new_table


def describe_shown_recipe(record: ShownRecipe) -> RenderableType:
    """Return the recipe that a gin chain resolves to."""
    notices = [Text(printable(f"warning: {warning}")) for warning in record.warnings]
    notices += [Text(printable(f"note: {inert}")) for inert in record.inert]
    files = {"gin chain": ", ".join(record.files), "recipe": f"sha256:{record.recipe_sha256}"}
    return Group(list_fields(files), Text(), Text(record.gin.rstrip()), Text(), *notices)


def describe_fetched_data(record: FetchedData) -> RenderableType:
    """Return what was fetched of a published data set, and what makes a store of it."""
    vouched = "as published" if record.is_published_md5 else "none that lasts is published; 'data prepare' counts"
    fields = {
        "file": str(record.path),
        "from": record.url if record.received else f"here already; {record.url} was not asked",
        "bytes": f"{record.size:,}",
        "md5": f"{record.md5} ({vouched})",
        "sha256": record.sha256,
    }
    advice = f"next: hstu-preserve data prepare {record.name} --from {record.path} --output {record.name}"
    return Group(list_fields(fields), Text(printable(advice), style="dim"))


def describe_store(record: StoreResult) -> RenderableType:
    """Return the contents of a store."""
    store, counts, origin = record.store, record.store.counts, record.store.provenance
    fields = list_fields(
        {
            "store": str(record.path),
            "dataset": store.name,
            "fingerprint": store.fingerprint,
            "users": f"{counts.num_users:,}",
            "rated items": f"{counts.num_rated_items:,}",
            "candidates": f"{counts.num_candidates:,}, ids up to {counts.max_item_id:,}",
            "ratings": f"{counts.num_ratings:,}",
            **({} if filter_of(origin).keeps_all else {"filter": filter_of(origin).words}),
            **({"times": "none; an event's place in its sequence stands for one"} if origin.times else {}),
            "ties": f"{origin.tied_events:,} events at the time of the one before; {origin.tie_policy.value} order",
            "source": origin.source + (f" (md5 {origin.source_md5})" if origin.source_md5 else ""),
            "terms": origin.notice,
            "arrays": "every byte compared with the record" if record.is_verified else "not hashed",
        }
    )
    return Group(*list_warnings(record.warnings), fields)


def describe_orders(record: PreparedOrders) -> RenderableType:
    """Return the stores of every order, and which orders are missing and why."""
    table = new_table("order", "fingerprint", "other events", "other targets")
    for one in record.orders:
        if one.fingerprint is not None:
            table.add_row(
                one.tie_policy.value,
                f"{one.fingerprint[:16]}…" if one.equal_to is None else f"equal to {one.equal_to.value}",
                f"{one.num_moved_events:,}",
                f"{one.num_other_targets:,}",
            )
    refused = [
        Text(printable(f"not made: {one.tie_policy.value}: {one.reason}"))
        for one in record.orders
        if one.reason is not None
    ]
    num_stores = sum(one.path is not None for one in record.orders)
    fields = {
        "stores": f"{num_stores} in {record.path}",
        "dataset": f"{record.name}: {record.num_users:,} users, {record.num_ratings:,} ratings",
    }
    told = "other: than in the stable order; a user's target is the last event, which is tested"
    return Group(list_fields(fields), table, Text(told, style="dim"), *refused)


def describe_exported_data(record: ExportedData) -> RenderableType:
    """Return where a store's data was written, where upstream's code reads it, and that it may not be handed on."""
    forbidden = "" if record.redistributable else "these files may not be handed on. "
    return Group(
        *list_warnings(record.warnings),
        list_fields(
            {
                "folder": str(record.path),
                "dataset": f"{record.name}, {record.tie_policy.value} order",
                "fingerprint": f"{record.fingerprint}, which 'data import' gives of the files",
                **{file: f"upstream's code reads it as {place}" for file, place in record.files.items()},
                "terms": f"{forbidden}{record.notice}",
            }
        ),
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
        list_claims(record.claims, kind=final.effective_kind),
        Text(f"next: hstu-preserve pack {record.path}", style="dim"),
    )


def describe_evaluation(record: EvaluationResult) -> RenderableType:
    """Return one evaluation."""
    found = record.evaluation
    fields = {
        "checkpoint": record.checkpoint,
        "epoch": str(found.epoch),
        "users": f"{found.num_users} ({found.num_users_skipped} with too few events left out)",
        "evaluation": found.effective_kind.words,
        "candidates": str(found.num_candidates) + (", drawn from" if found.effective_kind.is_sampled else ""),
        "data": f"fingerprint {found.data_fingerprint}",
        "ties": describe_ties(found),
        "misses": f"{found.num_clamped} users beyond the top 2,500, {found.num_unrankable} of them cannot be ranked",
        "evaluators": describe_agreement(record),
        "ranks": f"sha256:{found.ranks_sha256}",
    }
    if record.ranks_path is not None:
        fields["written"] = str(record.ranks_path)
    others = [part for other in record.also for part in (Text(), *describe_other(other))]
    return Group(*list_warnings(record.warnings), list_fields(fields), list_metrics(found), *others)


def describe_other(found: EvaluationRecord) -> tuple[RenderableType, ...]:
    """Return the same checkpoint under another kind of evaluation, in a table of its own."""
    said = f"evaluation: {found.effective_kind.words} ({NOT_COMPARABLE})"
    return Text(said, style="bold"), Text(f"ties: {describe_ties(found)}", style="dim"), list_metrics(found)


def list_metrics(found: EvaluationRecord) -> RenderableType:
    """Return the metrics as a table; with the bounds that exact ties leave, if there are any."""
    figures = {**found.metrics, "exact_mrr": found.exact_mrr, "coverage@10": found.coverage_at_10}
    bounds = ("ties for", "ties against") if found.ties else ()
    table = new_table("metric", "value", *bounds)
    for metric, value in figures.items():
        tied = found.ties.get(metric) if found.ties else None
        table.add_row(metric, *map(describe_metric, (value, tied.ties_for, tied.ties_against) if tied else (value,)))
    return table


def describe_metric(value: float | None) -> str:
    """Return a metric's value in figures, or that it is a mean over nobody."""
    return "over nobody" if value is None else f"{value:.6f}"


def describe_ties(found: EvaluationRecord) -> str:
    """Return how many users are tied, and where exact ranks place a tied target."""
    text = f"{found.num_tied} users exactly, {found.num_nearly_tied} within 1e-6"
    if not found.num_tied:
        return text
    return (
        f"{text}; an exact rank is the first place among equals, exact_mrr the mean over their places, "
        "and upstream's evaluator leaves the place to chance"
    )


def describe_agreement(record: EvaluationResult) -> str:
    """Return whether the evaluators agree, and on how many users."""
    users = record.evaluation.num_users
    if not record.evaluators_agree:
        return "DISAGREE: please report this"
    if not record.users_compared:
        return f"not comparable: each of {users} users has an exact tie or a target beyond the top 2,500"
    others = "" if record.users_compared == users else "; the others have an exact tie or a target beyond the top 2,500"
    return f"agree on {record.users_compared} of {users} users{others}"
