"""Arrange what is shown of one judged bundle: the outcome first, then what it rests on."""

from collections.abc import Iterable, Iterator

from hstu_preserve.gin_recipes.writer import write_gin
from hstu_preserve.pages.blocks import (
    Block,
    Cell,
    Figure,
    Folded,
    Listing,
    Paragraphs,
    Part,
    Section,
    Table,
    Tone,
    plain_row,
)
from hstu_preserve.pages.claims import compare_claims, show_agreements, show_curve
from hstu_preserve.pages.figures import GroupMean, draw_counts, draw_groups
from hstu_preserve.pages.judged import Judged
from hstu_preserve.pages.outcomes import capitalize, find_headline, list_evidence, list_verdicts
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.certificate import SignatureOutcome
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.manifest import Manifest
from hstu_preserve.records.signature import UNSIGNED

NOTHING = "–"


def describe_part(judged: Judged, *, anchor: str) -> Part:
    """Return everything that a page shows of one bundle."""
    sections: dict[str, Iterable[Block]] = {
        "Curve": show_curve(judged, prefix=anchor),
        "Retrainings": show_agreements(judged, prefix=anchor),
        "Users": show_users(judged, prefix=anchor),
        "Causes": show_causes(judged),
        "Rungs": (list_verdicts(judged.reproduction), *list_evidence(judged.reproduction)),
        "Limits": show_limits(judged),
        "Environment": show_environment(judged),
        "Certificate": show_certificates(judged),
        "Recipe and contents": show_contents(judged),
        "Check it again": show_commands(judged),
    }
    shown = {title: tuple(blocks) for title, blocks in sections.items()}
    return Part(
        anchor=anchor,
        title=judged.reproduction.title,
        headline=find_headline(judged),
        first=tuple(compare_claims(judged)),
        sections=[Section(title=title, blocks=blocks) for title, blocks in shown.items() if blocks],
    )


def show_users(judged: Judged, *, prefix: str) -> Iterator[Block]:
    """Yield how far ranks moved, and the metric by what is known of the users."""
    found = judged.found_ranks
    if found is None:
        return
    from hstu_preserve.pages.users import METRIC, count_moves, group_means, list_traits

    recorded = judged.recorded_ranks
    moves = None if recorded is None else count_moves(found, recorded)
    if moves is not None:
        caption = (
            f"{moves.num_unmoved} of {count(moves.num_users, 'user')} have the recorded rank, {moves.num_unranked} "
            "have a rank in one of both evaluations only."
        )
        rows = [plain_row(name, str(number)) for name, number in moves.counts.items()]
        numbers = Table(caption="Users by the move of their rank", headings=("move", "users"), rows=rows)
        if moves.num_unmoved == moves.num_users:
            yield Paragraphs(texts=(f"No rank moved: each of {count(moves.num_users, 'user')} has the recorded one.",))
        else:
            svg = draw_counts(
                f"{prefix}-moves", counts=moves.counts, label="users, by the places that their target moved"
            )
            yield Figure(svg=svg, label="users by the move of their rank", caption=caption, numbers=numbers)
    if judged.traits is None:
        return
    for number, (name, trait) in enumerate(list_traits(judged.traits)):
        here = group_means(found, trait)
        before = None if recorded is None or moves is None else group_means(recorded, trait)
        yield Figure(
            svg=draw_groups(f"{prefix}-group-{number}", metric=METRIC, label=name, recorded=before, found=here),
            label=f"{METRIC} by {name}",
            caption=f"Mean {METRIC} of about a fifth of the users each, by {name}; bars are 95 % intervals over users.",
            numbers=list_groups(here, before, name=name),
        )


def list_groups(here: list[GroupMean], before: list[GroupMean] | None, *, name: str) -> Table:
    """Return the means of the groups in figures."""
    rows = [
        plain_row(
            one.label,
            str(one.num_users),
            NOTHING if before is None else show_mean(before[place]),
            show_mean(one),
        )
        for place, one in enumerate(here)
    ]
    return Table(caption=f"By {name}", headings=(name, "users", "recorded", "here"), rows=rows)


def show_mean(group: GroupMean) -> str:
    """Return a mean with its interval."""
    return f"{group.value:.4f}" if group.half_width is None else f"{group.value:.4f} ± {group.half_width:.4f}"


def show_causes(judged: Judged) -> Iterator[Block]:
    """Yield which change of how users are ranked gives the recorded ranks, if ranks are not the recorded ones."""
    causes = judged.reproduction.causes
    if causes:
        yield Table(
            caption="Changes that were tried, because ranks are not the recorded ones",
            headings=("what was found", "users as recorded", "moves the metric by"),
            rows=[
                plain_row(
                    cause.sentence,
                    f"{cause.users_matching} of {cause.users}",
                    NOTHING
                    if cause.difference is None
                    else f"{cause.metric} {cause.difference:+.4f}"
                    + ("" if cause.standard_error is None else f" ± {cause.standard_error:.4f}"),
                )
                for cause in causes
            ],
        )


def show_limits(judged: Judged) -> Iterator[Block]:
    """Yield what no verdict speaks of."""
    if judged.reproduction.limits:
        yield Paragraphs(texts=[f"{capitalize(limit)}." for limit in judged.reproduction.limits])


def show_environment(judged: Judged) -> Iterator[Block]:
    """Yield the machine and software of the run beside those of the re-run."""
    recorded = judged.manifest.run.environment if isinstance(judged.manifest, Manifest) else None
    sides = [list_environment(one) if one is not None else {} for one in (recorded, judged.reproduction.environment)]
    rows = [
        (*plain_row(name), *describe_sides(*(side.get(name, NOTHING) for side in sides)))
        for name in dict.fromkeys((*sides[0], *sides[1]))
    ]
    if rows:
        yield Table(
            caption="Where the run was made, as its author says, and where it was run again",
            headings=("what", "recorded", "here", "difference"),
            rows=rows,
        )


def describe_sides(recorded: str, here: str) -> tuple[Cell, ...]:
    """Return both sides, and whether they differ."""
    differs = recorded != here and NOTHING not in {recorded, here}
    mark = Cell(text="differs", tone=Tone.OPEN) if differs else Cell(text="")
    return (*plain_row(recorded, here), mark)


def list_environment(environment: EnvironmentRecord) -> dict[str, str]:
    """Return an environment by the names of its parts."""
    numerics = {} if environment.numerics is None else environment.numerics.model_dump(mode="json")
    return {
        "python": environment.python,
        "platform": f"{environment.platform} ({environment.machine})",
        **{name.replace("_", " "): str(value) for name, value in numerics.items()},
        **{f"package {name}": version for name, version in environment.packages.items()},
    }


def show_certificates(judged: Judged) -> Iterator[Block]:
    """Yield what certificates attest; no key is named, so that whose they are is left open."""
    if not judged.certificates:
        yield Paragraphs(texts=(f"None lies beside the bundle or the record: {UNSIGNED}.",))
        return
    for check in judged.certificates:
        if check.problem is not None:
            yield Paragraphs(texts=(f"Refused: {check.problem}.",), tone=Tone.OPEN)
        rows = [
            plain_row(
                one.result or NOTHING,
                one.finished_at or NOTHING,
                ", ".join((*one.passed, *one.warned, *one.failed)) or NOTHING,
                ", ".join(one.keyids) or NOTHING,
                "not checked" if one.signature is SignatureOutcome.UNCHECKED else one.signature.value,
            )
            for one in check.attestations
        ]
        if rows:
            headings = ("result", "ended", "rungs", "key, as the line names it", "signature")
            yield Table(caption=f"Statements in {check.path}", headings=headings, rows=rows)
    yield Paragraphs(
        texts=("Signatures are not checked here: 'hstu-preserve verify BUNDLE --public-key KEY.pub' checks them.",),
        tone=Tone.MUTED,
    )


def show_contents(judged: Judged) -> Iterator[Block]:
    """Yield the recipe, where the run came from, and the bundle's files."""
    manifest = judged.manifest
    if manifest is None:
        return
    if isinstance(manifest, Manifest):
        yield Table(
            caption="The run, as its author describes it", headings=("what", "value"), rows=describe_run(manifest)
        )
        run = manifest.run
        gin = write_gin(run.recipe, run.policies, run.bundle)
        lines = Listing(label="The recipe as one gin text", lines=gin.rstrip().splitlines())
        yield Folded(summary="The recipe, as one gin text", blocks=(lines,))
    files = manifest.contents.files
    listed = [
        (*plain_row(file.path, file.role.value, f"{file.size:,}"), Cell(text=file.sha256, tone=Tone.CODE))
        for file in files
    ]
    table = Table(caption="Files of the bundle", headings=("file", "role", "bytes", "sha256"), rows=listed)
    yield Folded(summary=f"{count(len(files), 'file')} with their digests", blocks=(table,))


def describe_run(manifest: Manifest) -> list[tuple[Cell, ...]]:
    """Return the facts of a run."""
    run, data = manifest.run, manifest.run.data
    commit = f", commit {run.code.commit}{' (modified)' if run.code.modified else ''}" if run.code.commit else ""
    facts = {
        "id": run.bundle.id,
        "licence": run.bundle.licence,
        "citation": run.bundle.citation,
        "model": f"{run.recipe.model.kind}, seed {run.recipe.training.random_seed}",
        "recipe": f"sha256:{run.recipe_sha256}, from {run.gin_file}",
        "data": f"{data.name}: {data.num_users:,} users, {data.num_candidates:,} candidates, {data.num_ratings:,} "
        f"ratings; ties {data.tie_policy}; from {data.source}",
        "fingerprint": data.fingerprint,
        "protocol": run.recipe.dataset.protocol.value,
        "code": f"hstu-preserve {run.code.version}{commit}",
        "checkpoint": manifest.checkpoint,
    }
    return [plain_row(name, value) for name, value in facts.items()]


def show_commands(judged: Judged) -> Iterator[Block]:
    """Yield what was judged, and what to type to judge it anew."""
    reproduction = judged.reproduction
    identity = reproduction.identity
    rows = [plain_row("target", reproduction.target), plain_row("path", str(reproduction.path))]
    if identity is not None:
        rows.append(plain_row("identity", f"sha256:{identity}"))
    if reproduction.code is not None:
        commit = f", commit {reproduction.code.commit}" if reproduction.code.commit else ""
        rows.append(plain_row("judged by", f"hstu-preserve {reproduction.code.version}{commit}"))
    yield Table(caption="What was judged", headings=("what", "value"), rows=rows)
    commands = [f"hstu-preserve verify {reproduction.target}", f"hstu-preserve reproduce {reproduction.target}"]
    yield Listing(label="What to type", lines=commands)
