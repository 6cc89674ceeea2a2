"""Hold each claim against what was measured here."""

from collections.abc import Iterator, Sequence

from hstu_preserve.pages.blocks import Block, Cell, Figure, Paragraphs, Table, Tone, plain_row
from hstu_preserve.pages.figures import Curve, Mark, draw_agreement, draw_curves
from hstu_preserve.pages.judged import Judged
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.claim import Claim
from hstu_preserve.records.evaluation import EvaluationRecord, ResultsRecord
from hstu_preserve.records.manifest import Manifest
from hstu_preserve.records.retraining.agreement import Agreement
from hstu_preserve.records.verdict import Verdict
from hstu_preserve.report.agreement import describe_spread

NOTHING = "–"
USUAL_METRIC = "ndcg@10"


def list_claims(judged: Judged) -> Sequence[Claim]:
    """Return the claims of the judged bundle; none if it is not here."""
    return judged.manifest.claims if isinstance(judged.manifest, Manifest) else ()


def compare_claims(judged: Judged) -> Iterator[Block]:
    """Yield each claim beside the value that was measured, and the verdicts' own figures if the bundle is not here."""
    rows = [describe_claim(claim, judged) for claim in list_claims(judged)]
    rows = rows or [describe_judged(verdict) for verdict in judged.reproduction.verdicts if verdict.claim is not None]
    if rows:
        yield Table(
            caption="What is claimed, and what was measured here",
            headings=("claim", "claimed", "evaluated here", "over users, 95\N{NO-BREAK SPACE}%", "retrained", "margin"),
            rows=rows,
        )


def describe_claim(claim: Claim, judged: Judged) -> tuple[Cell, ...]:
    """Return one claim's row."""
    metric = claim.policy.metric
    name = claim.policy.name if claim.policy.name == metric else f"{claim.policy.name} ({metric})"
    evaluation = judged.reproduction.evaluation
    value = None if evaluation is None else evaluation.metrics[metric]
    agreement = find_agreement(judged.reproduction.verdicts, claim.policy.name)
    return plain_row(
        name,
        f"{claim.value:.4f} (epoch {claim.epoch}, {claim.policy.selection_rule.value})",
        NOTHING if value is None else f"{value:.4f} ({value - claim.value:+.1e})".replace("(+0.0e+00)", "(equal)"),
        describe_scatter(judged, metric, evaluation),
        NOTHING if agreement is None else describe_mean(agreement),
        "none" if claim.policy.margin is None else f"±{claim.policy.margin:g}, {claim.policy.margin_derivation}",
    )


def describe_scatter(judged: Judged, metric: str, evaluation: EvaluationRecord | None) -> str:
    """Return the interval that other users would leave, and the bounds that exact ties do."""
    words = []
    if judged.found_ranks is not None:
        from hstu_preserve.evaluation.metrics import list_contributions
        from hstu_preserve.pages.users import find_half_width

        half_width = find_half_width(list_contributions(judged.found_ranks)[metric].astype(float))
        if half_width is not None:
            words.append(f"±{half_width:.4f}")
    tied = evaluation.ties.get(metric) if evaluation is not None and evaluation.ties else None
    if tied is not None and tied.ties_for is not None and tied.ties_against is not None:
        words.append(f"ties {tied.ties_against:.4f} to {tied.ties_for:.4f}")
    return ", ".join(words) or NOTHING


def find_agreement(verdicts: Sequence[Verdict], claim: str) -> Agreement | None:
    """Return how retrainings agree with a claim, if there were any."""
    return next((one.agreement for one in verdicts if one.claim == claim and one.agreement is not None), None)


def describe_mean(agreement: Agreement) -> str:
    """Return the retrainings' mean difference with its interval."""
    text = f"{agreement.difference:+.4f}".replace("-", "−")
    if agreement.half_width is not None:
        text = f"{text} ± {agreement.half_width:.4f} ({100 * agreement.level:.0f} %)"
    return f"{text} of {count(len(agreement.reruns), 'run')}"


def describe_judged(verdict: Verdict) -> tuple[Cell, ...]:
    """Return the row of a claim of which only the verdict is known."""
    facts = {fact.name: fact.value for fact in verdict.evidence}
    claimed, found = facts.get("claimed", facts.get("reported")), facts.get("found", facts.get("recorded"))
    agreement = "" if verdict.agreement is None else describe_mean(verdict.agreement)
    return plain_row(verdict.name, *map(describe_fact, (claimed, found)), NOTHING, agreement or NOTHING, NOTHING)


def describe_fact(value: object) -> str:
    """Return a figure with as many digits as tell numbers apart that four would print alike."""
    return NOTHING if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)


def show_agreements(judged: Judged, *, prefix: str) -> Iterator[Block]:
    """Yield the interval of each claim that retrainings were judged by, between its margins."""
    for number, verdict in enumerate(one for one in judged.reproduction.verdicts if one.agreement is not None):
        agreement = verdict.agreement
        assert agreement is not None
        rows = [
            plain_row(what, str(run.seed), f"{run.value:.4f}{' (diverged)' if run.is_diverged else ''}")
            for what, runs in (("recorded", agreement.references), ("retrained", agreement.reruns))
            for run in runs
        ]
        caption = f"{verdict.name}: {verdict.reason}. The band is the margin."
        if agreement.spread is not None:
            caption += f" Spread: {describe_spread(agreement)}."
        yield Figure(
            svg=draw_agreement(f"{prefix}-agreement-{number}", agreement),
            label=f"{verdict.name}, the difference's interval between the margins",
            caption=caption,
            numbers=Table(caption="Every run", headings=("which", "seed", "value"), rows=rows),
        )


def show_curve(judged: Judged, *, prefix: str) -> Iterator[Block]:
    """Yield the recorded curve with the claimed epoch, and what was found here, of the metric of the first claim."""
    claims = list_claims(judged)
    if not claims:
        return
    claim, results, evaluation = claims[0], judged.results, judged.reproduction.evaluation
    metric = claim.policy.metric
    recorded = read_curve(results, metric, label="recorded") if results is not None else None
    retrained = [
        curve
        for run in judged.retrained
        if (curve := read_curve(run.results, metric, label="retrained here")) is not None
    ]
    value = None if evaluation is None else evaluation.metrics[metric]
    found = (
        None
        if value is None or evaluation is None
        else Mark(label="evaluated here", epoch=evaluation.epoch, value=value)
    )
    claimed = Mark(label=f"claimed {claim.value:.4f}", epoch=claim.epoch, value=claim.value)
    svg = draw_curves(
        f"{prefix}-curve", metric=metric, recorded=recorded, retrained=retrained, claimed=claimed, found=found
    )
    numbers = list_epochs(recorded, retrained, seeds=[run.seed for run in judged.retrained], metric=metric)
    caption = describe_curve(recorded, claim, part=results.epochs[0].part if results and results.epochs else "")
    yield Figure(svg=svg, label=f"{metric} by epoch", caption=caption, numbers=numbers)
    if results is not None and results.resumptions:
        told = [
            f"After step {one.batch_id} the run went on with {', '.join(one.differences)}."
            for one in results.resumptions
        ]
        yield Paragraphs(texts=told, tone=Tone.MUTED)


def read_curve(results: ResultsRecord, metric: str, *, label: str) -> Curve | None:
    """Return the curve that a run recorded; None if it recorded no epoch with a value."""
    points = [(one.epoch, value) for one in results.epochs if (value := one.metrics[metric]) is not None]
    if not points:
        return None
    return Curve(label=label, epochs=[epoch for epoch, _ in points], values=[value for _, value in points])


def describe_curve(recorded: Curve | None, claim: Claim, *, part: str) -> str:
    """Return the recorded curve in words: first, best and claimed epoch."""
    if recorded is None:
        return "The bundle records no curve."
    best = max(range(len(recorded.values)), key=recorded.values.__getitem__)
    return (
        f"Of the {part} part: first {recorded.values[0]:.4f} (epoch {recorded.epochs[0]}), best "
        f"{recorded.values[best]:.4f} (epoch {recorded.epochs[best]}), claimed {claim.value:.4f} (epoch {claim.epoch})."
    )


def list_epochs(recorded: Curve | None, retrained: Sequence[Curve], *, seeds: Sequence[int], metric: str) -> Table:
    """Return the curves in figures."""
    curves = [one for one in (recorded, *retrained) if one is not None]
    names = [*(["recorded"] if recorded is not None else []), *(f"retrained, seed {seed}" for seed in seeds)]
    found = [dict(zip(one.epochs, one.values, strict=True)) for one in curves]
    epochs = sorted({epoch for one in curves for epoch in one.epochs})
    rows = [plain_row(str(epoch), *(f"{one[epoch]:.6f}" if epoch in one else "" for one in found)) for epoch in epochs]
    return Table(caption=f"{metric} by epoch", headings=("epoch", *names[: len(found)]), rows=rows)
