"""Arrange the page of one published result: what was found of it here and why, then what is claimed."""

from collections.abc import Iterable, Iterator

from hstu_preserve.pages.blocks import (
    FOOTER,
    Block,
    Figure,
    Folded,
    Headline,
    Link,
    Listing,
    Page,
    Paragraphs,
    Part,
    Section,
    Table,
    Tone,
    plain_row,
)
from hstu_preserve.pages.figures import Mark, draw_curves
from hstu_preserve.pages.judged import Judged
from hstu_preserve.pages.outcomes import SIGNS
from hstu_preserve.pages.parts import describe_part
from hstu_preserve.pages.site.published import Published
from hstu_preserve.records.catalog import CatalogClaim, CatalogEntry
from hstu_preserve.records.results import ShownEntry
from hstu_preserve.records.verdict import Outcome
from hstu_preserve.report.catalog import describe_entry
from hstu_preserve.version import __version__

COMMAND = "report --site"
HOME = Link(text="All published results", address="../index.html")
RECONSTRUCTED = (
    "The recipe's code was never published: this is a reconstruction under the same id. Training it does not reproduce "
    "the published number."
)
OF_THIS_MACHINE = "on this machine"
"""A field of the terminal's text that says nothing to who reads the page elsewhere."""


def compose_entry(published: Published) -> Page:
    """Return the page of one published result: what was judged of it comes first."""
    entry = published.listed.entry
    judged = [describe_part(one, anchor=f"b{number}") for number, one in enumerate(published.judged, start=1)]
    about = f"{name_headline(published)}. What was found here stands first, what was published below it."
    return Page(
        command=COMMAND,
        title=entry.title,
        overview=(Paragraphs(texts=(about,)),) if judged else (),
        parts=(*judged, describe_published(published)),
        footer=FOOTER.format(__version__, COMMAND),
        links=(HOME,),
    )


def compose_other(judged: Judged) -> Page:
    """Return the page of a judged bundle that is of no published result."""
    part = describe_part(judged, anchor="b1")
    return Page(
        command=COMMAND,
        title=part.title,
        overview=(),
        parts=(part,),
        footer=FOOTER.format(__version__, COMMAND),
        links=(HOME,),
    )


def describe_published(published: Published) -> Part:
    """Return what was published, by whom, with which recipe."""
    sections: dict[str, Iterable[Block]] = {
        "Curve": show_own_curve(published),
        "Recipe": show_recipe(published),
        "What is known of it": show_facts(published),
        "Check it yourself": (Listing(label="What to type", lines=list_commands(published)),),
    }
    shown = {title: tuple(blocks) for title, blocks in sections.items()}
    entry = published.listed.entry
    return Part(
        anchor="published",
        title=f"As published: {entry.id}" if published.judged else entry.title,
        headline=find_headline(published),
        first=(list_claims(entry),),
        sections=[Section(title=title, blocks=blocks) for title, blocks in shown.items() if blocks],
    )


def name_headline(published: Published) -> str:
    """Return the published number in words, with its gain."""
    listed = published.listed
    if listed.ndcg10 is None:
        return f"{listed.entry.id} on {listed.entry.dataset}"
    gain = ""
    if listed.gain is not None and published.compared_with is not None:
        gain = f", {listed.gain:+.1%} over {published.compared_with.title}"
    return f"ndcg@10 {listed.ndcg10:.4f} on {listed.entry.dataset}{gain}"


def find_headline(published: Published) -> Headline:
    """Return that nothing was judged, and why; of a judged result, that this is its publisher's word."""
    entry = published.listed.entry
    facts = [
        f"Published: {name_headline(published)} ({entry.kind.words}).",
        *(f"Not shown: {gap}." for gap in published.gaps),
        *entry.notes,
    ]
    if published.judged:
        why = "Its publisher's word; what was found here stands above."
        return Headline(outcome=name_headline(published), tone=Tone.PLAIN, why=why, facts=facts[1:])
    outcome = f"{SIGNS[Tone.OPEN]} {Outcome.NOT_RUN.value}"
    return Headline(outcome=outcome, tone=Tone.OPEN, why=f"{explain_absence(published)}.", facts=facts)


def explain_absence(published: Published) -> str:
    """Return why a published result was not judged."""
    bundle = published.listed.entry.bundle
    if bundle is None:
        return "No bundle was published, so that there is nothing to run again"
    if published.is_here:
        return "The bundle is here and was not judged for this site"
    if bundle.sha256 is None:
        return "The bundle was never seen here, so that the number is its publisher's word alone"
    return "The bundle was not on the machine that wrote this site"


def list_claims(entry: CatalogEntry) -> Table:
    """Return the published numbers with the margins of ours."""
    return Table(
        caption="What was published; margins are ours",
        headings=("metric", "value", "epoch", "chosen by", "margin"),
        rows=[
            plain_row(
                claim.metric,
                f"{claim.value:.{claim.decimals}f}",
                "not published" if claim.epoch is None else str(claim.epoch),
                "not published" if claim.selection_rule is None else claim.selection_rule.value,
                describe_margin(claim),
            )
            for claim in entry.claims
        ],
    )


def describe_margin(claim: CatalogClaim) -> str:
    """Return a claim's margin with where it comes from."""
    return "none" if claim.margin is None else f"±{claim.margin:g}: {claim.margin_derivation}"


def show_own_curve(published: Published) -> Iterator[Block]:
    """Yield the curve that the bundle's run recorded, unless a judged part of the page shows it."""
    curve, claim = published.curve, published.listed.entry.find_claim("ndcg@10")
    if curve is None or claim is None or any(one.results is not None for one in published.judged):
        return
    epoch = curve.epochs[-1] if claim.epoch is None else claim.epoch
    mark = Mark(label=f"published {claim.value:.{claim.decimals}f}", epoch=epoch, value=claim.value)
    svg = draw_curves("own-curve", metric="ndcg@10", recorded=curve, retrained=(), claimed=mark, found=None)
    rows = [plain_row(str(epoch), f"{value:.6f}") for epoch, value in zip(curve.epochs, curve.values, strict=True)]
    yield Figure(
        svg=svg,
        label="ndcg@10 by epoch",
        caption="As the bundle's own run wrote it down; nobody ran it again for this figure.",
        numbers=Table(caption="ndcg@10 by epoch", headings=("epoch", "recorded"), rows=rows),
    )


def show_recipe(published: Published) -> Iterator[Block]:
    """Yield the recipe in its publisher's words, and the one that comes with the program."""
    entry = published.listed.entry
    yield Paragraphs(texts=(entry.recipe,))
    if not published.recipe:
        yield Paragraphs(texts=("No recipe of this id comes with the program.",), tone=Tone.MUTED)
        return
    if not entry.recipe_is_published:
        yield Paragraphs(texts=(RECONSTRUCTED,), tone=Tone.OPEN)
    lines = Listing(label="The recipe as one gin text", lines=published.recipe)
    yield Folded(summary="The recipe that comes with the program, as one gin text", blocks=(lines,))


def show_facts(published: Published) -> Iterator[Block]:
    """Yield where the number was read, and what it rests on."""
    entry = published.listed.entry
    shown = ShownEntry(
        target=entry.id,
        entry=entry,
        gain=published.listed.gain,
        compared_with=published.compared_with,
        here=None,
    )
    fields = {name: text for name, text in describe_entry(entry, shown).items() if name != OF_THIS_MACHINE}
    rows = [plain_row(name, text) for name, text in fields.items()]
    yield Table(caption="As the catalog has it", headings=("what", "value"), rows=rows)
    spreads = [
        f"{claim.metric}: spread {claim.spread:g} by {claim.spread_degrees} degrees, {claim.spread_derivation}."
        for claim in entry.claims
        if claim.spread is not None
    ]
    if spreads:
        yield Paragraphs(texts=spreads, tone=Tone.MUTED)


def list_commands(published: Published) -> list[str]:
    """Return what to type to look at the result, to judge its bundle, and to train its recipe."""
    entry = published.listed.entry
    commands = [f"hstu-preserve show {entry.id}"]
    if entry.bundle is not None:
        commands += [
            f"hstu-preserve download {entry.id}",
            f"hstu-preserve reproduce {entry.id} --output result",
            "hstu-preserve report result --html page.html",
        ]
    if published.recipe:
        store = f"stores/{entry.dataset}"
        commands += [
            f"hstu-preserve data download {entry.dataset}",
            f"hstu-preserve data prepare {entry.dataset} --from {entry.dataset}.zip --output {store}",
            f"hstu-preserve train {entry.id} --data {store} --output runs/{entry.id}",
        ]
    return commands
