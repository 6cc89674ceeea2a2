"""Compare what a run reports with what it did: ranks, curve and claims, with each other and with the recipe."""

from hstu_preserve.bundle.deep_checks import require_equal
from hstu_preserve.bundle.layout import METRICS, RANKS
from hstu_preserve.data.split import Part
from hstu_preserve.errors import ContentError
from hstu_preserve.evaluation.one_evaluation import make_record
from hstu_preserve.evaluation.plausibility import list_impossibilities
from hstu_preserve.primitives.wording import count
from hstu_preserve.records.evaluation import EvaluationRecord
from hstu_preserve.records.recipe import Protocol
from hstu_preserve.reruns.opened_bundle import OpenedBundle
from hstu_preserve.reruns.rank_laws import require_possible, require_same_evaluation
from hstu_preserve.runs.epoch_selection import EpochSelection
from hstu_preserve.runs.evaluator import evaluates_everybody


def check_ranks(bundle: OpenedBundle) -> str:
    """The recorded ranks are possible, and every figure of the final evaluation follows from them."""
    final, ranks = bundle.results.final, bundle.ranks
    require_equal(RANKS, expected=final.ranks_sha256, found=ranks.digest())
    require_possible(ranks, num_candidates=final.num_ranked)
    computed = make_record(
        ranks,
        bundle.manifest.run.recipe,
        part=Part.TEST,
        epoch=final.epoch,
        data_fingerprint=bundle.manifest.run.data.fingerprint,
        num_users_skipped=final.num_users_skipped,
        num_candidates=final.num_candidates,
        coverage_at_10=final.coverage_at_10,
        ranking=final.ranking,
    )
    require_same_evaluation(f"{METRICS}, final", expected=computed, found=final)
    return f"the ranks of {count(len(ranks.ranks), 'user')} give every figure of the final evaluation"


def check_curve(bundle: OpenedBundle) -> str:
    """The curve has the epochs and users that the recipe asks for, and no figure that contradicts another."""
    recipe, results = bundle.manifest.run.recipe, bundle.results
    numbers = [record.epoch for record in results.epochs]
    require_equal("epochs of the curve", expected=list(range(len(numbers))), found=numbers)
    require_recipe_s_end(bundle)
    for record in (*results.epochs, results.final):
        where = f"{METRICS}, {'final' if record is results.final else f'epoch {record.epoch}'}"
        require_setting(record, bundle, where=where)
        for impossibility in list_impossibilities(record):
            raise ContentError(f"{where}: {impossibility}")
    same = [e for e in results.epochs if (e.part, e.epoch) == (results.final.part, results.final.epoch)]
    for record in same:
        if evaluates_everybody(recipe.evaluation, epoch=record.epoch):
            require_same_evaluation(f"{METRICS}, epoch {record.epoch}", expected=results.final, found=record)
    return f"{count(len(results.epochs), 'epoch')} of the {recipe.training.num_epochs} that the recipe allows"


def require_setting(record: EvaluationRecord, bundle: OpenedBundle, *, where: str) -> None:
    """Raise ContentError if an evaluation is of another part, other data or other users than the recipe says."""
    run, final = bundle.manifest.run, bundle.results.final
    is_curve = record is not final
    is_validated = run.recipe.dataset.protocol is Protocol.VALIDATED
    part = Part.VALIDATION if is_curve and is_validated else Part.TEST
    num_all = run.data.num_candidates if run.recipe.dataset.candidates == "all" else run.data.num_rated_items
    for what, expected, found in (
        ("protocol", run.recipe.dataset.protocol.value, record.protocol.value),
        ("part", part.value, record.part),
        ("data fingerprint", run.data.fingerprint, record.data_fingerprint),
        ("filter_all_seen", run.recipe.evaluation.filter_all_seen, record.filter_all_seen),
        ("kind", run.recipe.evaluation.effective_kind.value, record.effective_kind.value),
        ("candidates", num_all, record.num_candidates),
    ):
        require_equal(f"{where}: {what}", expected=expected, found=found)
    settings = run.recipe.evaluation
    num_eligible = run.data.num_users - record.num_users_skipped
    if settings.max_users is not None:
        num_eligible = min(num_eligible, settings.max_users)
    is_whole = not is_curve or evaluates_everybody(settings, epoch=record.epoch)
    drawn = num_eligible if is_whole else min(num_eligible, settings.partial_eval_num_iters * settings.eval_batch_size)
    require_equal(f"{where}: users", expected=drawn, found=record.num_users)


def require_recipe_s_end(bundle: OpenedBundle) -> None:
    """Raise ContentError if the run ended neither at the recipe's last epoch nor when its patience was at its end."""
    training, num_epochs = bundle.manifest.run.recipe.training, len(bundle.results.epochs)
    if training.patience is None or num_epochs >= training.num_epochs:
        require_equal("epochs of the curve", expected=training.num_epochs, found=num_epochs)
    elif not select_again(bundle, until=num_epochs - 1).is_stalled(num_epochs - 1):
        raise ContentError(f"the curve ends after epoch {num_epochs - 1}, before patience and recipe do")
    if any(select_again(bundle, until=epoch).is_stalled(epoch) for epoch in range(num_epochs - 1)):
        raise ContentError(f"the curve goes on after the {training.patience} epochs of patience were over")


def select_again(bundle: OpenedBundle, *, until: int) -> EpochSelection:
    """Return the selection of the best epoch as the recorded curve gives it up to an epoch."""
    run = bundle.manifest.run
    selection = EpochSelection(run.policies[0], patience=run.recipe.training.patience)
    for record in bundle.results.epochs[: until + 1]:
        may_be_selected = record.part == Part.VALIDATION.value
        if may_be_selected and evaluates_everybody(run.recipe.evaluation, epoch=record.epoch):
            selection.offer(record.metrics, epoch=record.epoch, checkpoint=bundle.manifest.checkpoint)
    return selection


def check_claims(bundle: OpenedBundle) -> str:
    """Each claim is of the recorded value, of the epoch that its rule selects, and of the run's seed."""
    run, results = bundle.manifest.run, bundle.results
    last = len(results.epochs) - 1
    best = select_again(bundle, until=last).best
    selected = last if best is None else best.epoch
    seed = run.recipe.training.random_seed
    require_equal("epoch of the final evaluation", expected=selected, found=results.final.epoch)
    for claim in bundle.manifest.claims:
        policy = claim.policy
        named = f"claim {policy.name}"
        if results.final.metrics.get(policy.metric) != claim.value:
            recorded = results.final.metrics.get(policy.metric)
            raise ContentError(f"{METRICS}: {policy.metric} is {recorded}, the manifest claims {claim.value}")
        require_equal(f"epoch of {named}, {policy.selection_rule.value}", expected=selected, found=claim.epoch)
        require_equal(f"protocol of {named}", expected=run.recipe.dataset.protocol, found=policy.protocol)
        evaluated = run.recipe.evaluation
        require_equal(
            f"kind of evaluation of {named}",
            expected=evaluated.effective_kind.value,
            found=policy.find_kind(evaluated).value,
        )
        if policy.seeds[:1] != (seed,) or len(set(policy.seeds)) != len(policy.seeds):
            found = ", ".join(map(str, policy.seeds)) or "none"
            raise ContentError(f"seeds of {named}: expected each once, first the run's own, {seed}; found {found}")
    return f"{count(len(bundle.manifest.claims), 'claim')} of epoch {selected}, as reported and selected"
