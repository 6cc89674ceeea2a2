"""Turn bindings into the recipe, the claims' policies and the bundle's settings; name everything that does not fit."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Annotated

from hstu_preserve.errors import RecipeError, UnknownNameError
from hstu_preserve.gin_recipes.bindings import (
    ANY,
    AUXILIARY_LOSSES,
    BUNDLE_SELECTOR,
    CLAIM_NAMES,
    CLAIM_SELECTOR,
    DEFAULT_LOSS_TOLERANCE,
    DEFAULT_METRIC,
    FIXED_BINDINGS,
    HIDDEN_WIDTHS,
    INERT_BINDINGS,
    INTERACTION,
    KNOWN_NAMES,
    LEARNED_SIMILARITY,
    MIXTURE,
    MODEL,
    MODELS,
    OPTIONAL_CLAIM_ARGUMENTS,
    RECIPE_BINDINGS,
    RECIPE_BINDINGS_BY_NAME,
    SWITCHES,
    UID_TABLES,
    UNREAD_BINDINGS,
    Condition,
    RecipeBinding,
    find_idle,
    find_unmet,
)
from hstu_preserve.gin_recipes.claim_rules import list_flaws
from hstu_preserve.gin_recipes.evaluation_kinds import settle_claim, settle_kind
from hstu_preserve.gin_recipes.reader import GinChain
from hstu_preserve.gin_recipes.settings import (
    MAX_PROBLEMS_SHOWN,
    Problems,
    R,
    Setting,
    build,
    check_type,
    to_json_value,
)
from hstu_preserve.gin_recipes.syntax import Binding, BindingKey, Location, shorten, show
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.records.claim import ClaimPolicy, Direction, SelectionRule
from hstu_preserve.records.manifest import BundleSettings
from hstu_preserve.records.recipe import Protocol, Recipe
from hstu_preserve.records.record import Record
from hstu_preserve.records.settings.components import (
    InputCompressionSettings,
    PopularitySampler,
    PrismSettings,
    TimeDecaySettings,
)
from hstu_preserve.records.settings.encoders import FparecSettings
from hstu_preserve.records.settings.interactions import MolSettings

RECORDS_WITH_IDLE_FIELDS: Mapping[str, type[Record]] = {
    "prism": PrismSettings,
    "input_compression": InputCompressionSettings,
    "time_decay": TimeDecaySettings,
    "pop_debias": PopularitySampler,
    "mol": MolSettings,
    "model": FparecSettings,
}
"""By section."""
NOTHING: Mapping[str, Json] = {"train_fn.loss_weights": {}, UID_TABLES: []}
"""Names whose None means what their default says."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A remark on a binding that is no error."""

    location: Location
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """The recipe, policies and bundle settings that a gin chain gives."""

    recipe: Recipe
    policies: tuple[ClaimPolicy, ...]
    """The unscoped claim first, if there is one."""
    bundle: BundleSettings
    warnings: tuple[Notice, ...]
    """Bindings that are known and never read."""
    inert: tuple[Notice, ...]
    """Bindings that upstream reads and that decide no result here."""
    remarks: tuple[Notice, ...]
    """Bindings that decide the result here, and that upstream's own code cannot run."""


def resolve(chain: GinChain) -> Resolution:
    """Return what the chain says.

    A scoped claim (`hr10/claim.metric = "hr@10"`) takes what it leaves out from the defaults, not from the unscoped
    claim as gin would: a margin belongs to one metric.

    Raises:
        RecipeError: Unknown names and values that do not fit, one per line with file and line.
    """
    return Resolver(chain).resolve()


class Resolver:
    """One chain while it is resolved: what is wrong and what is worth a notice so far."""

    def __init__(self, chain: GinChain) -> None:
        self.chain = chain
        self.problems = Problems()
        self.warnings: list[Notice] = []
        self.inert: list[Notice] = []
        self.remarks: list[Notice] = []
        self.values: dict[BindingKey, Json] = {}
        """The bindings that may enter a record, as plain values."""
        bound = chain.bindings.get(BindingKey("", *INTERACTION.split(".")))
        self.is_mixture = bound is not None and bound.value == MIXTURE

    def resolve(self) -> Resolution:
        """Return what the chain says, or raise everything that is wrong with it at once."""
        for name, location in self.chain.unused_macros.items():
            self.warn(location, f"macro {shorten(name)} is never used")
        for key, binding in self.chain.bindings.items():
            self.take_in(key, binding)
        recipe = self.build_recipe()
        policies = self.build_policies()
        bundle = self.build(BundleSettings, self.bundle_settings())
        if self.problems:
            raise RecipeError(self.problems.describe())
        assert recipe is not None
        assert bundle is not None
        return Resolution(
            recipe=recipe,
            policies=policies,
            bundle=bundle,
            warnings=tuple(self.warnings),
            inert=tuple(self.inert),
            remarks=tuple(self.remarks),
        )

    def warn(self, location: Location, message: str) -> None:
        """Add a warning."""
        self.warnings.append(Notice(location=location, message=message))

    def take_in(self, key: BindingKey, binding: Binding) -> None:
        """Keep a binding that may enter a record; refuse an unknown one; check the type of the others."""
        at, name = binding.location, shorten(str(key))
        if key.selector in LEARNED_SIMILARITY and not self.is_mixture:
            # gin's own operative configs hold two of them in every run, and upstream runs a chain whose interaction
            # was switched to the dot product with the others left in.
            self.warn(at, f"{name} is read only by learned similarities (MoL)")
        elif key.name not in KNOWN_NAMES:
            # The nearest names take time to find, and nobody reads the hundredth.
            known = KNOWN_NAMES if len(self.problems) < MAX_PROBLEMS_SHOWN else ()
            self.problems.note(f"{at}: {UnknownNameError(kind='gin name', name=name, known=known)}")
        elif key.scope and key.name not in CLAIM_NAMES:
            self.warn(at, f"{name}: scoped binding is never read")
        elif key.name in UNREAD_BINDINGS:
            self.require_type(key, binding, UNREAD_BINDINGS[key.name])
            self.warn(at, f"{name} is never read: upstream's own code passes this argument")
        elif key.name in INERT_BINDINGS:
            self.require_type(key, binding, INERT_BINDINGS[key.name])
            self.inert.append(Notice(location=at, message=f"{name} decides no result here"))
        elif key.name in FIXED_BINDINGS:
            self.require_type(key, binding, FIXED_BINDINGS[key.name])
        else:
            self.keep_plain(key, binding)

    def keep_plain(self, key: BindingKey, binding: Binding) -> None:
        """Keep the binding's plain value; without one, note that, and the default stands in until all is said."""
        try:
            self.values[key] = to_json_value(binding.value)
        except ValueError as error:
            self.problems.note(f"{binding.location}: {shorten(str(key))}: {error}")

    def require_type(self, key: BindingKey, binding: Binding, kind: object) -> None:
        """Note a problem where a value that enters no record is not of the type that upstream declares."""
        if kind is ANY:
            return
        try:
            check_type(to_json_value(binding.value), kind)
        except ValueError as error:
            self.problems.note(f"{binding.location}: {key}: {error}")

    def setting(self, key: BindingKey, *, path: str, default: Json, note: str = "") -> Setting:
        """Return what is bound to the key, or the default."""
        if key not in self.values:
            return Setting(name=str(key), path=path, value=default, location=None, note=note)
        location = self.chain.bindings[key].location
        return Setting(name=str(key), path=path, value=self.values[key], location=location)

    def recipe_setting(self, name: str) -> Setting:
        """Return the setting of a name in the table."""
        return self.row_setting(RECIPE_BINDINGS_BY_NAME[name])

    def row_setting(self, row: RecipeBinding) -> Setting:
        """Return the setting of a row of the table."""
        selector, argument = row.name.split(".")
        return self.setting(BindingKey("", selector, argument), path=row.path, default=row.default, note=row.note)

    def build(self, kind: type[R], settings: Iterable[Setting]) -> R | None:
        """Return the record that the settings make, or note what is wrong and return None."""
        return build(kind, settings, default_place=self.chain.entry, problems=self.problems)

    def build_recipe(self) -> Recipe | None:
        """Return the recipe, with a warning for each binding that it does not read."""
        module = self.recipe_setting(MODEL)
        if not isinstance(module.value, str) or module.value not in MODELS:
            place = module.location or self.chain.entry
            choices = " or ".join((", ".join(map(repr, MODELS[:-1])), repr(MODELS[-1])))
            self.problems.note(f"{place}: {module.name}: should be {choices} (found {show(module.value)})")
            return None
        settings = [
            replace(one, value=NOTHING[one.name]) if one.value is None and one.name in NOTHING else one
            for one in self.list_read_settings()
        ]
        self.require_known_losses(self.recipe_setting("train_fn.loss_weights"))
        self.remark_on_layers()
        return self.build(Recipe, settings)

    def remark_on_layers(self) -> None:
        """Remark on linear maps of MoL: rails has them, and Meta's code puts a gated layer in their place always."""
        for setting in map(self.recipe_setting, HIDDEN_WIDTHS if self.is_mixture else ()):
            if setting.location is not None and setting.value in (-1, 0):  # a list has no hash
                message = f"{setting.name} = {setting.value} is one linear map, as bailuding/rails has it"
                self.remarks.append(
                    Notice(location=setting.location, message=f"{message}; Meta's own code cannot run it")
                )

    def list_read_settings(self) -> list[Setting]:
        """Return what the recipe reads; warn of each binding that it does not."""
        switches = {switch.name: switch for switch in SWITCHES}
        settings: dict[str, Setting] = {}
        absent: dict[str, Condition] = {}
        idle: dict[str, Condition] = {}
        for row in RECIPE_BINDINGS:
            setting = self.row_setting(row)
            switch = switches.get(row.name)
            if condition := find_unmet(row, self.value_of):
                absent[row.name] = condition
                self.require_kind_of_default(row)
            elif switch and switch.is_off(setting.value):
                settings[row.name] = replace(setting, path=switch.section, value=None)
            elif condition := find_idle(row, self.value_of):
                idle[row.name] = condition
                settings[row.name] = self.replace_idle(setting, default=row.default)
            else:
                settings[row.name] = setting
        # Of two rows of one name, one may be absent and the other there.
        self.warn_of_unread({name: absent[name] for name in absent if name not in settings} | idle)
        return settle_kind(settings.values(), self.problems)

    def require_kind_of_default(self, row: RecipeBinding) -> None:
        """Note a problem where a bound value that nothing reads is not even of its default's type."""
        value = self.row_setting(row).value
        kinds = {bool: bool, int: int, float: float, str: str, list: list[str], type(None): float | None}
        try:
            check_type(value, kinds[type(row.default)])
        except ValueError as error:
            self.problems.note(f"{self.row_setting(row).location}: {row.name}: {error}")

    def value_of(self, name: str) -> Json:
        """Return what is bound to a name in the table, or its default."""
        return self.recipe_setting(name).value

    def replace_idle(self, setting: Setting, *, default: Json) -> Setting:
        """Return the setting with its default: what nothing reads makes no other recipe. It must fit all the same."""
        section, field = setting.path.split(".")
        declared = RECORDS_WITH_IDLE_FIELDS[section].model_fields[field]
        try:
            check_type(setting.value, Annotated[declared.annotation, declared])
        except ValueError as error:
            self.problems.note(f"{setting.location}: {setting.name}: {error}")
        return replace(setting, value=default)

    def warn_of_unread(self, unread: dict[str, Condition]) -> None:
        """Warn of each binding that is not read by what its condition names."""
        for name, condition in unread.items():
            location = self.recipe_setting(name).location
            if location is not None:
                self.warn(location, f"{name} is not read by {self.describe_value(condition.name)}")

    def describe_value(self, name: str) -> str:
        """Return what a setting says: the model by its name alone, any other one with its own."""
        value = self.recipe_setting(name).value
        return str(value) if name == MODEL else f"{name} = {show(value)}"

    def require_known_losses(self, weights: Setting) -> None:
        """Note a problem for each weight of a loss that no component produces."""
        losses = sorted(AUXILIARY_LOSSES) if self.is_mixture else []
        known = f"there are {', '.join(losses)}" if losses else "there are none"
        for name in weights.value if isinstance(weights.value, dict) else ():
            if name not in losses:
                self.problems.note(f"{weights.location}: {weights.name}: no auxiliary loss {shorten(name)!r} ({known})")

    def build_policies(self) -> tuple[ClaimPolicy, ...]:
        """Return the policy of each claim: the unscoped one, then each scope's."""
        scopes = dict.fromkeys(key.scope for key in self.chain.bindings if key.name in CLAIM_NAMES) or {"": None}
        policies: dict[str, ClaimPolicy] = {}
        for scope in sorted(scopes, key=bool):
            policy = self.build(ClaimPolicy, self.claim_settings(scope))
            if policy is not None and policy.name in policies:
                place = self.claim_setting(scope, "name", default=None).location or self.place_of_claim(scope)
                self.problems.note(f"{place}: two claims are named {shorten(policy.name)!r}")
            elif policy is not None:
                policies[policy.name] = policy
                self.require_sound(policy, scope=scope)
            if scope and BindingKey(scope, CLAIM_SELECTOR, "metric") not in self.chain.bindings:
                self.problems.note(f"{self.place_of_claim(scope)}: {scope}/claim.metric is not bound")
        return tuple(policies.values())

    def require_sound(self, policy: ClaimPolicy, *, scope: str) -> None:
        """Note a problem for each argument of a claim that makes its policy empty of meaning."""
        for argument, why in list_flaws(policy, seed=self.value_of("train_fn.random_seed")):
            setting = self.claim_setting(scope, argument, default=None)
            self.problems.note(f"{setting.location or self.chain.entry}: {setting.name}: {why}")

    def place_of_claim(self, scope: str) -> Location:
        """Return where the scope's first claim binding stands."""
        return next(
            binding.location
            for key, binding in self.chain.bindings.items()
            if key.scope == scope and key.selector == CLAIM_SELECTOR
        )

    def claim_setting(self, scope: str, argument: str, *, default: Json) -> Setting:
        """Return one setting of the scope's claim."""
        return self.setting(BindingKey(scope, CLAIM_SELECTOR, argument), path=argument, default=default)

    def claim_settings(self, scope: str) -> Iterator[Setting]:
        """Yield the settings of one claim; a default that follows another setting keeps that one's name and place."""
        metric = self.claim_setting(scope, "metric", default=DEFAULT_METRIC)
        protocol = replace(self.recipe_setting("data.protocol"), path="protocol")
        seed = self.recipe_setting("train_fn.random_seed")
        is_validated = protocol.value == Protocol.VALIDATED
        rule = SelectionRule.BEST_ON_VALIDATION if is_validated else SelectionRule.FINAL_EPOCH
        name = self.claim_setting(scope, "name", default=scope)
        seeds = self.claim_setting(scope, "seeds", default=None)
        yield metric
        yield protocol
        yield replace(metric, path="name") if name.location is None and not scope else name
        yield self.claim_setting(scope, "direction", default=Direction.MAXIMIZE.value)
        kind = self.claim_setting(scope, "evaluation", default=None)
        yield settle_claim(kind, value_of=self.value_of, problems=self.problems)
        yield self.claim_setting(scope, "selection_rule", default=rule.value)
        for argument in OPTIONAL_CLAIM_ARGUMENTS:
            yield self.claim_setting(scope, argument, default=None)
        yield self.claim_setting(scope, "loss_tolerance", default=DEFAULT_LOSS_TOLERANCE)
        yield replace(seed, path="seeds", value=[seed.value]) if seeds.location is None else seeds

    def bundle_settings(self) -> Iterator[Setting]:
        """Yield what is said of the bundle; its id is by default the entry file's name."""
        identity = self.bundle_setting("id", default=make_identifier(PurePosixPath(self.chain.entry).stem))
        title = self.bundle_setting("title", default=None)
        yield identity
        yield replace(identity, path="title") if title.location is None else title
        yield self.bundle_setting("licence", default="unspecified")
        yield self.bundle_setting("citation", default="")
        yield self.bundle_setting("include_data", default=False)

    def bundle_setting(self, argument: str, *, default: Json) -> Setting:
        """Return one setting of the bundle."""
        return self.setting(BindingKey("", BUNDLE_SELECTOR, argument), path=argument, default=default)


def make_identifier(stem: str) -> str:
    """Return a file's name as a bundle's id: ASCII letters, digits, `.`, `_` and `-`, a letter or digit first."""
    return re.sub(r"^[^A-Za-z0-9]+", "", re.sub(r"[^A-Za-z0-9._-]+", "-", stem))[:120] or "recipe"
