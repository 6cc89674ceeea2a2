"""Compose the page of a report: one bundle with all that is known of it, or several under a table."""

from collections.abc import Sequence

from hstu_preserve.pages.blocks import FOOTER, Cell, Page, Paragraphs, Table, Tone, plain_row
from hstu_preserve.pages.claims import NOTHING, USUAL_METRIC, list_claims
from hstu_preserve.pages.judged import Judged
from hstu_preserve.pages.outcomes import SIGNS, TONES, choose_decider
from hstu_preserve.pages.parts import describe_part
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.evaluation_kind import EvaluationKind
from hstu_preserve.records.manifest import Manifest
from hstu_preserve.records.verdict import Rung
from hstu_preserve.report.archives_table import describe_recorded, find, read_facts, shorten
from hstu_preserve.verdict.rungs import PASSED, choose_exit_code
from hstu_preserve.version import __version__


def compose_report(judged: Sequence[Judged]) -> Page:
    """Return the page of what was judged."""
    parts = [describe_part(one, anchor=f"b{number}") for number, one in enumerate(judged, start=1)]
    is_several = len(parts) > 1
    return Page(
        command="report",
        title=f"{count(len(parts), 'bundle')} judged" if is_several else parts[0].title,
        overview=(describe_number(judged), tabulate(judged)) if is_several else (),
        parts=parts,
        footer=FOOTER.format(__version__, "report --html"),
    )


def tabulate(judged: Sequence[Judged]) -> Table:
    """Return one row for each bundle: what is reported, what its run recorded, and what was found here."""
    return Table(
        caption=f"By {USUAL_METRIC} or the first claim; ✓ holds, ✗ does not, ? is open or was not run",
        headings=(
            "outcome",
            "bundle",
            "reported",
            "recorded by its run",
            "evaluated here",
            "data, runner",
            "verdicts",
        ),
        rows=[describe_row(one, anchor=f"b{number}") for number, one in enumerate(judged, start=1)],
    )


def describe_number(judged: Sequence[Judged]) -> Paragraphs:
    """Return how many of them hold, and of each that does not the reason."""
    holding = sum(choose_exit_code(one.reproduction.verdicts) == 0 for one in judged)
    missed = [(one.reproduction, choose_decider(one.reproduction)) for one in judged]
    reasons = [
        f"{SIGNS[TONES[one.outcome]]} {reproduction.title}: {one.name} {one.outcome.value}: {one.reason}."
        for reproduction, one in missed
        if one is not None and one.outcome not in PASSED
    ]
    return Paragraphs(texts=(f"{holding} of {len(judged)}: every required verdict holds.", *reasons))


def describe_row(judged: Judged, *, anchor: str) -> tuple[Cell, ...]:
    """Return one bundle's row."""
    reproduction = judged.reproduction
    decider = choose_decider(reproduction)
    tone = Tone.OPEN if decider is None else TONES[decider.outcome]
    outcome = "NOT_RUN" if decider is None else decider.outcome.value
    recorded = read_facts(find(reproduction, Rung.RECORDED))
    evaluated = read_facts(find(reproduction, Rung.EVALUATION_NUMERIC))
    claim = choose_claim(judged)
    said = (reproduction.title, reproduction.target)
    return (
        Cell(text=f"{SIGNS[tone]} {outcome}", tone=tone),
        Cell(text=said[0] if said[0] == said[1] else f"{said[0]} ({said[1]})", anchor=anchor),
        *plain_row(
            spell(recorded.get("reported")) if claim is None else f"{claim.value:.4f} ({name_metric(judged, claim)})",
            describe_own(recorded) if claim is None else compare_own(judged, claim),
            describe_found(judged, claim, evaluated),
            ", ".join(filter(None, (describe_data(judged, evaluated), describe_runner(judged, evaluated)))) or NOTHING,
            " · ".join(dict.fromkeys(f"{SIGNS[TONES[one.outcome]]} {one.rung.value}" for one in reproduction.verdicts)),
        ),
    )


def name_metric(judged: Judged, claim: Claim) -> str:
    """Return the metric of a claim, and its kind of evaluation unless that is Meta's: rows may be of several kinds."""
    metric = claim.policy.metric
    evaluation = judged.manifest.run.recipe.evaluation if isinstance(judged.manifest, Manifest) else None
    kind = EvaluationKind.WINDOW if evaluation is None else claim.policy.find_kind(evaluation)
    return metric if kind is EvaluationKind.WINDOW else f"{metric}, {kind.words}"


def spell(value: object) -> str:
    """Return a value, or a dash if there is none."""
    return NOTHING if value is None else str(value)


def choose_claim(judged: Judged) -> Claim | None:
    """Return the claim on the usual metric, else the first one; None if the bundle's claims are not here."""
    claims = list_claims(judged)
    usual = [claim for claim in claims if claim.policy.metric == USUAL_METRIC]
    return next(iter((*usual, *claims)), None)


def describe_own(recorded: dict[str, object]) -> str:
    """Return the value that somebody else's run wrote down, with its epoch."""
    return describe_recorded(recorded) if "recorded" in recorded else NOTHING


def compare_own(judged: Judged, claim: Claim) -> str:
    """Return the value that the run recorded for the claimed epoch, and whether another epoch had a larger one."""
    if judged.results is None:
        return NOTHING
    values = {one.epoch: one.metrics[claim.policy.metric] for one in judged.results.epochs}
    own = judged.results.final.metrics[claim.policy.metric]
    known = {epoch: value for epoch, value in values.items() if value is not None}
    if own is None or not known:
        return NOTHING
    best = max(known, key=known.__getitem__)
    place = "largest" if best == claim.epoch else "one"
    return f"{own:.6f} (epoch {claim.epoch}, {place} of {len(known)})"


def describe_found(judged: Judged, claim: Claim | None, evaluated: dict[str, object]) -> str:
    """Return the value that was found here."""
    evaluation = judged.reproduction.evaluation
    metric = USUAL_METRIC if claim is None else claim.policy.metric
    if evaluation is not None and evaluation.metrics[metric] is not None:
        return f"{evaluation.metrics[metric]:.6f}"
    found = evaluated.get(f"found {metric}", evaluated.get("found"))
    return NOTHING if found is None else shorten(found)


def describe_data(judged: Judged, evaluated: dict[str, object]) -> str:
    """Return the data, by name and by the beginning of its fingerprint."""
    evaluation = judged.reproduction.evaluation
    fingerprint = "" if evaluation is None else f"{evaluation.data_fingerprint[:8]}…"
    name = judged.manifest.run.data.name if isinstance(judged.manifest, Manifest) else evaluated.get("store")
    return " ".join(filter(None, (None if name is None else str(name), fingerprint)))


def describe_runner(judged: Judged, evaluated: dict[str, object]) -> str:
    """Return whose code ran, on what, in which number format."""
    environment = judged.reproduction.environment
    numerics = None if environment is None else environment.numerics
    words = [str(evaluated.get("runner", "native"))] if judged.reproduction.evaluation is not None else []
    if numerics is not None:
        words += [numerics.device, "TF32" if numerics.tf32 else numerics.dtype]
    return ", ".join(words)
