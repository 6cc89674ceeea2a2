"""Gather what a page shows of a judged bundle: the bundle's own files, the re-run's ranks, and who attests what."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hstu_preserve.bundle.layout import DATA_FOLDER, METRICS, RANKS, StoredManifest
from hstu_preserve.bundle.opening import open_tree
from hstu_preserve.bundle.results import read_results
from hstu_preserve.bundle.tree import read_tree_manifest
from hstu_preserve.bundle.verification import read_member
from hstu_preserve.certificates.checking import certificate_path, check_certificate
from hstu_preserve.data.finding import STORES_VARIABLE, list_stores
from hstu_preserve.data.store import Store, open_store, verify_store
from hstu_preserve.errors import ContentError, PreserveError, UnavailableError
from hstu_preserve.library.sources import Form, find_here, look_at
from hstu_preserve.pages.judged import Judged, Retrained
from hstu_preserve.primitives.files import read_small
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.records.certificate import CertificateCheck
from hstu_preserve.records.evaluation import EvaluationRecord, ResultsRecord
from hstu_preserve.records.manifest import AnyManifest, Manifest
from hstu_preserve.records.results import Reproduction

if TYPE_CHECKING:
    from hstu_preserve.evaluation.ranks import UserRanks
    from hstu_preserve.pages.users import UserTraits

MAX_RANKS_FILE_BYTES = 256 * 2**20
RANKS_NAME, RETRAINED_NAME = "ranks.npz", "retrained"
"""What `reproduce --output` leaves in its folder."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What was read of a bundle: see `Judged`."""

    manifest: AnyManifest
    results: ResultsRecord | None = None
    ranks: "UserRanks | None" = None
    traits: "UserTraits | None" = None


def gather(
    reproduction: Reproduction, *, folder: Path | None, record_path: Path | None, data: Path | None, voice: Voice
) -> Judged:
    """Return a reproduction with what the bundle, its data and the re-run's folder add to it.

    Nothing is shown of a bundle whose identity is not the judged one, or whose bytes differ from its manifest.

    Args:
        reproduction: The record.
        folder: Where the re-run's ranks and runs are; None if they were not kept.
        record_path: The file that the record was read from; None if it was made just now.
        data: A store or a folder of stores; None takes the bundle's own or the folder that HSTU_PRESERVE_DATA names.
        voice: Shows progress.
    """
    gaps: list[str] = []
    found = read_found_ranks(reproduction, folder, gaps)
    content = read_bundle(reproduction, found=found, data=data, gaps=gaps, voice=voice)
    return Judged(
        reproduction=reproduction,
        record_path=record_path,
        manifest=None if content is None else content.manifest,
        results=None if content is None else content.results,
        recorded_ranks=None if content is None else content.ranks,
        found_ranks=found,
        traits=None if content is None else content.traits,
        retrained=read_retrained(reproduction, folder, content),
        certificates=tuple(list_certificates(reproduction, folder)),
        gaps=tuple(gaps),
    )


def read_found_ranks(reproduction: Reproduction, folder: Path | None, gaps: list[str]) -> "UserRanks | None":
    """Return the ranks of the re-run if its folder holds those that the record names."""
    evaluation = reproduction.evaluation
    if evaluation is None:
        return None
    path = None if folder is None else folder / RANKS_NAME
    if path is None or not path.is_file():
        gaps.append("the re-run's ranks were not kept beside its record, so that no user is shown here")
        return None
    from hstu_preserve.evaluation.ranks import read_ranks

    try:
        ranks = read_ranks(read_small(path, max_bytes=MAX_RANKS_FILE_BYTES), source=str(path))
    except PreserveError as error:
        gaps.append(str(error))
        return None
    if ranks.digest() != evaluation.ranks_sha256:
        gaps.append(f"{path}: not the ranks that the record names, and not shown")
        return None
    return ranks


def read_bundle(
    reproduction: Reproduction, *, found: "UserRanks | None", data: Path | None, gaps: list[str], voice: Voice
) -> Content | None:
    """Return what is read of the judged bundle; None if it is not here, and then say so."""
    try:
        path, stored = locate(reproduction, voice=voice)
        with open_tree(path, known=stored, voice=voice) as root:
            return read_content(root, stored, reproduction.evaluation, found=found, data=data, gaps=gaps)
    except PreserveError as error:
        gaps.append(f"nothing is shown of the bundle's own files: {error}")
        return None


def locate(reproduction: Reproduction, *, voice: Voice) -> tuple[Path, StoredManifest]:
    """Return where the judged bundle is, with its manifest.

    Raises:
        ContentError: There is another bundle.
        PreserveError: It is not here, or has no manifest that this program reads.
    """
    path = reproduction.path
    # A record may name any path; of a pipe or a device nothing is ever read.
    is_here = path.is_file() or path.is_dir()
    source = look_at(path, text=str(path)) if is_here else find_here(reproduction.target, voice=voice)
    if source.form is Form.LEGACY:
        raise UnavailableError(f"{path.name}: an archive of others, whose files 'hstu-preserve show' lists")
    stored = source.require_manifest()
    if stored.identity != reproduction.identity:
        raise ContentError(f"{source.path}: another bundle than the judged one (sha256:{stored.identity})")
    return source.path, stored


def read_content(
    root: Path,
    stored: StoredManifest,
    evaluation: EvaluationRecord | None,
    *,
    found: "UserRanks | None",
    data: Path | None,
    gaps: list[str],
) -> Content:
    """Return what is read of an opened bundle; every file is compared with the manifest."""
    manifest = stored.record
    if not isinstance(manifest, Manifest):
        return Content(manifest=manifest, traits=read_traits(root, evaluation, found, data=data, gaps=gaps))
    names = manifest.list_paths()
    ranks = None
    if RANKS in names:
        from hstu_preserve.evaluation.ranks import read_ranks

        ranks = read_ranks(read_member(root, member=RANKS, max_bytes=MAX_RANKS_FILE_BYTES), source=RANKS)
    results = read_results(root, manifest) if METRICS in names else None
    known = evaluation or (results.final if results is not None else None)
    return Content(
        manifest=manifest,
        results=results,
        ranks=ranks,
        traits=read_traits(root, known, found or ranks, data=data, gaps=gaps),
    )


def read_traits(
    root: Path, evaluation: EvaluationRecord | None, ranks: "UserRanks | None", *, data: Path | None, gaps: list[str]
) -> "UserTraits | None":
    """Return what the data says of the ranked users; None if it is not here, and then say so."""
    if evaluation is None or ranks is None:
        return None
    from hstu_preserve.pages.users import find_traits

    try:
        store = find_store(evaluation.data_fingerprint, carried=root / DATA_FOLDER, data=data)
        traits = find_traits(store, ranks, protocol=evaluation.protocol)
    except PreserveError as error:
        gaps.append(f"no users are grouped: {error}")
        return None
    if traits is None:
        gaps.append("no users are grouped: the ranks are of other users or items than the data holds out")
    return traits


def find_store(fingerprint: str, *, carried: Path, data: Path | None) -> Store:
    """Return the store with a fingerprint, every array hashed: the bundle's own, the named one, or one in a folder.

    Raises:
        UnavailableError: None of them has it.
        ContentError: Its arrays are not those of its record.
    """
    import os

    folders = (carried, data, Path(os.environ.get(STORES_VARIABLE) or carried))
    for folder in filter(None, folders):
        for path, record in list_stores(folder)[0].items():
            if record.fingerprint == fingerprint:
                store = open_store(path)
                verify_store(store, place=path)
                return store
    raise UnavailableError(f"the data with fingerprint {fingerprint[:16]}… is not here; --data names it")


def read_retrained(reproduction: Reproduction, folder: Path | None, content: Content | None) -> tuple[Retrained, ...]:
    """Return the runs that were trained anew and are kept beside the record, by seed."""
    if folder is None:
        return ()
    judged = {run.identity for one in reproduction.verdicts if one.agreement for run in one.agreement.reruns}
    recipe = content.manifest.run.recipe_sha256 if content and isinstance(content.manifest, Manifest) else None
    runs = []
    for path in (folder / RETRAINED_NAME, *sorted(folder.glob("seed-*"))):
        stored = read_stored(path)
        if stored is None or not isinstance(stored.record, Manifest):
            continue
        is_same = stored.identity in judged or stored.record.run.recipe_sha256 == recipe
        results = read_results_of(path, stored.record) if is_same else None
        if results is not None:
            runs.append(Retrained(seed=stored.record.run.recipe.training.random_seed, results=results))
    return tuple(sorted(runs, key=lambda run: run.seed))


def read_stored(path: Path) -> StoredManifest | None:
    """Return the manifest of a run's folder; None if there is no finished run."""
    try:
        return read_tree_manifest(path) if path.is_dir() else None
    except PreserveError:
        return None


def read_results_of(path: Path, manifest: Manifest) -> ResultsRecord | None:
    """Return what a run recorded; None if its file is not the recorded one: its verdict stands without a curve."""
    try:
        return read_results(path, manifest)
    except PreserveError:
        return None


def list_certificates(reproduction: Reproduction, folder: Path | None) -> Iterator[CertificateCheck]:
    """Yield the certificates beside the bundle and beside the record; no key is named, so no signature is checked."""
    beside = certificate_path(reproduction.path)
    for path in dict.fromkeys((beside, *([folder / beside.name] if folder is not None else []))):
        if path.is_file():
            try:
                yield check_certificate(path, identity=reproduction.identity, trusted=None)
            except PreserveError as error:
                yield CertificateCheck(path=str(path), attestations=(), problem=str(error))
