"""Records of which pages are made: valid ones, and the same with one text in the place of every other."""

from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hstu_preserve.pages.judged import Judged
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.records.certificate import Attestation, CertificateCheck, SignatureOutcome
from hstu_preserve.records.environment import EnvironmentRecord
from hstu_preserve.records.evaluation import EvaluationRecord, ResultsRecord, Resumption
from hstu_preserve.records.manifest import CodeReference, Manifest
from hstu_preserve.records.results import Reproduction
from hstu_preserve.records.retraining.agreement import Agreement, RunValue
from hstu_preserve.records.verdict import Cause, Fact, Outcome, Rung, Verdict
from tests.factories import TINY_RUN, make_manifest, write_files
from tests.record_values import EVALUATION

FOUND = EvaluationRecord.from_json(canonical_dumps(EVALUATION), source="test")
RESULTS = ResultsRecord(
    epochs=(FOUND.model_copy(update={"epoch": 0}), FOUND),
    final=FOUND,
    state_sha256="0" * 64,
    resumptions=(Resumption(batch_id=3, differences=("threads: 2 here, 4 recorded",)),),
)
ENVIRONMENT = EnvironmentRecord(
    python="3.11", platform="Linux", machine="x86_64", packages={"numpy": "2"}, numerics=None
)
AGREEMENT = Agreement(
    reruns=tuple(RunValue(seed=seed, value=0.49, is_diverged=seed == 5, identity="0" * 64) for seed in (3, 4, 5)),
    references=(RunValue(seed=0, value=0.5, is_diverged=False, identity=None),),
    difference=-0.01,
    half_width=0.02,
    level=0.9,
    spread=0.01,
    degrees=2,
    floor=0.004,
    num_users=10,
    margin=0.05,
    power=0.5,
    look=1,
    looks=1,
)


def judge(outcome: Outcome, *, rung: Rung = Rung.EVALUATION_NUMERIC, agreement: Agreement | None = None) -> Verdict:
    return Verdict(
        rung=rung,
        outcome=outcome,
        claim="ndcg@10",
        reason="a reason",
        evidence=(Fact(name="a figure", value="a value"), Fact(name="another", value=0.25)),
        is_required=True,
        agreement=agreement,
    )


def make_reproduction(*verdicts: Verdict, exit_code: int = 0) -> Reproduction:
    return Reproduction(
        target="target",
        path=Path("nowhere.tar.gz"),
        identity="a" * 64,
        title="A title",
        verdicts=verdicts,
        evaluation=FOUND,
        environment=ENVIRONMENT,
        causes=(
            Cause(
                change="filter",
                is_cause=True,
                users=10,
                users_matching=10,
                metric="ndcg@10",
                difference=0.1,
                standard_error=0.01,
                sentence="a cause",
            ),
        ),
        limits=("a limit",),
        code=CodeReference(version="0", commit="c" * 40, modified=True),
        exit_code=exit_code,
    )


def make_judged(folder: Path, *verdicts: Verdict, exit_code: int = 0) -> Judged:
    """Return a judged bundle of which all is known but its users."""
    write_files(folder, TINY_RUN)
    statement = Attestation(
        signature=SignatureOutcome.UNCHECKED,
        keyids=("a key",),
        subject="a" * 64,
        predicate_type="a type",
        result="PASSED",
        passed=("bytes",),
        finished_at="a time",
    )
    return Judged(
        reproduction=make_reproduction(*verdicts, exit_code=exit_code),
        record_path=Path("reproduction.json"),
        manifest=make_manifest(folder),
        results=RESULTS,
        certificates=(CertificateCheck(path="a.jsonl", attestations=(statement,), problem="a problem"),),
        gaps=("a gap",),
    )


def replace_texts(value: Any, text: str) -> Any:
    """Return a record with `text` in the place of every text in it, whatever the record allows."""
    if isinstance(value, BaseModel):
        fields = {name: replace_texts(getattr(value, name), text) for name in type(value).model_fields}
        return value.model_copy(update=fields)
    if isinstance(value, Enum | bool | int | float) or value is None:
        return value
    if isinstance(value, Path):
        return Path(text)
    if isinstance(value, dict):
        return {key: replace_texts(one, text) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(replace_texts(one, text) for one in value)
    assert isinstance(value, str)
    return text


def replace_names(manifest: Manifest, text: str) -> Manifest:
    """Return a manifest with `text` for every text but those that name what the program itself knows."""
    changed: Manifest = replace_texts(manifest, text)
    policies = [old.model_copy(update={"metric": "ndcg@10", "name": text}) for old in manifest.run.policies]
    claims = tuple(
        claim.model_copy(update={"policy": replace_texts(claim.policy, text).model_copy(update={"metric": "ndcg@10"})})
        for claim in manifest.claims
    )
    run = changed.run.model_copy(
        update={"recipe": manifest.run.recipe, "policies": tuple(policies), "data": changed.run.data}
    )
    return changed.model_copy(update={"run": run, "claims": claims})
