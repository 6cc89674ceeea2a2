"""Train one retraining of a plan: the plan's recipe, with one of its seeds."""

from pathlib import Path

from hstu_preserve.data.store import Store
from hstu_preserve.errors import ContentError, DataMismatchError, UsageError
from hstu_preserve.gin_recipes.reseeding import read_gin_text, reseed, resolve_gin_text
from hstu_preserve.gin_recipes.resolve import Resolution, resolve
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.results import TrainingResult
from hstu_preserve.records.retraining.plan import Plan
from hstu_preserve.retraining.stored_plans import PLAN_NAME
from hstu_preserve.runs.durability import Durability
from hstu_preserve.runs.plan import Plan as TrainingPlan
from hstu_preserve.runs.training import train_chain


def resolve_plan(plan: Plan) -> Resolution:
    """Return the recipe of a plan, its policies and settings, with the seed of the bundle's own run.

    Raises:
        ContentError: The plan's gin text is not of the recipe that it names.
        RecipeError: It does not resolve.
    """
    resolution = resolve_gin_text(plan.gin)
    if resolution.recipe.digest() != plan.recipe_sha256:
        raise ContentError(f"{PLAN_NAME}: its gin text is of another recipe than the one that it names")
    return resolution


def train_planned(
    plan: Plan, *, seed: int, store: Store, device: str, output: Path, durability: Durability, voice: Voice
) -> TrainingResult:
    """Train a plan's recipe with one of its seeds into a run directory.

    Args:
        plan: What was fixed before.
        seed: One of its seeds.
        store: The data that the plan names.
        device: `auto`, `cpu` or `cuda`.
        output: The run directory.
        durability: Whether a run in it goes on, and when checkpoints are written.
        voice: Shows every step and evaluation.

    Raises:
        UsageError: The plan does not have the seed, or the output is in use.
        DataMismatchError: The data is not the plan's.
        DivergedError: The loss became NaN or infinite.
    """
    if seed not in plan.seeds:
        named = ", ".join(map(str, plan.seeds)) or "none"
        raise UsageError(f"--seed {seed}: not one of those that the plan trains ({named})")
    if store.fingerprint != plan.data_fingerprint:
        raise DataMismatchError(
            f"{store.name}: other data than the plan names (expected fingerprint {plan.data_fingerprint}, found "
            f"{store.fingerprint})"
        )
    resolution = resolve_plan(plan)
    text = reseed(resolution.recipe, resolution.policies, resolution.bundle, seed=seed)
    chain = read_gin_text(text)
    training = TrainingPlan(chain=chain, resolution=resolve(chain), store=store, device=device)
    return train_chain(training, output=output, durability=durability, voice=voice)
