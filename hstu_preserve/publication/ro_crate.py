"""Describe a bundle as a Process Run Crate, the form in which archives of research data read how a file was made.

Profile: https://www.researchobject.org/workflow-run-crate/profiles/0.5/process_run_crate/
"""

import os
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from hstu_preserve.bundle.opening import require_same
from hstu_preserve.bundle.verification import verify_bundle
from hstu_preserve.certificates.checking import certificate_path
from hstu_preserve.errors import UsageError, VerificationError
from hstu_preserve.library.sources import Source
from hstu_preserve.primitives.canonical_json import canonical_dumps
from hstu_preserve.primitives.digests import sha256_of_file
from hstu_preserve.primitives.files import refuse_unwritable, write_new
from hstu_preserve.primitives.json_values import Json
from hstu_preserve.primitives.voice import Voice
from hstu_preserve.primitives.wording import printable
from hstu_preserve.records.manifest import Manifest
from hstu_preserve.signing.signer import signature_path

METADATA_NAME = "ro-crate-metadata.json"
CRATE = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENCES = "https://spdx.org/licenses/"
NAMED_LICENCE = re.compile(r"[A-Za-z0-9.+-]+")
"""What SPDX names licences by, as far as an address can hold it; other texts are the author's own words."""
PROGRAM, TRAINING, DATA = "#program", "#training", "#data"
MEDIA_TYPES = {".gz": "application/gzip", ".sig": "application/json", ".jsonl": "application/jsonl"}
DESCRIPTION = (
    "One experiment with a recommender, packed by hstu-preserve: recipe, checkpoint, event files, every user's rank, "
    "and the claims with the policy that they are judged by, under one manifest that names each byte."
)


def write_crate(source: Source, *, folder: Path, voice: Voice) -> Path:
    """Copy a packed bundle, its signature and its certificate into an empty folder, and describe them there.

    Returns:
        The description.

    Raises:
        UsageError: The target is not packed, or not a run's bundle.
        VerificationError: The bundle is not what its manifest says.
        ContentError: It changed since it was looked at.
        UnavailableError: The folder cannot be written.
    """
    stored = source.require_manifest()
    manifest = stored.manifest
    if not source.path.is_file():
        raise UsageError(f"{source.text}: a folder; pack it with 'hstu-preserve pack', a crate holds the packed bundle")
    beside = (signature_path(source.path), certificate_path(source.path))
    files = [folder / path.name for path in (source.path, *beside) if path.is_file()]
    with refuse_unwritable(folder):
        for file in files:
            shutil.copyfile(source.path.with_name(file.name), file)
    verification = verify_bundle(files[0], voice=voice)  # the copy: what is described is what lies there
    if not verification.ok:
        raise VerificationError(verification.describe(), findings=verification.findings)
    require_same(verification.identity, stored, path=source.path)
    path = folder / METADATA_NAME
    write_new(path, canonical_dumps(describe_crate(manifest, files=files, identity=stored.identity)))
    return path


def describe_crate(manifest: Manifest, *, files: Sequence[Path], identity: str) -> Json:
    """Return the description of a folder with these files, the bundle first."""
    run = manifest.run
    is_named = NAMED_LICENCE.fullmatch(run.bundle.licence) is not None
    licence = f"{LICENCES}{run.bundle.licence}" if is_named else "#licence"
    return {
        "@context": f"{CRATE}/context",
        "@graph": [
            {
                "@id": METADATA_NAME,
                "@type": "CreativeWork",
                "about": {"@id": "./"},
                "conformsTo": {"@id": CRATE},
            },
            {
                "@id": "./",
                "@type": "Dataset",
                "name": run.bundle.title or run.bundle.id,
                "description": DESCRIPTION,
                "datePublished": datetime.now(UTC).date().isoformat(),
                "identifier": f"sha256:{identity}",
                "license": {"@id": licence},
                "conformsTo": {"@id": PROFILE},
                "hasPart": [{"@id": address(file)} for file in files],
                "mentions": {"@id": TRAINING},
            },
            {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
            {
                "@id": licence,
                "@type": "CreativeWork",
                "name": run.bundle.licence or "none",
                "description": "the author's licence",
            },
            *map(describe_file, files),
            *describe_training(manifest, bundle=files[0]),
        ],
    }


def address(file: Path) -> str:
    """Return a file's name as an address relative to the crate."""
    return quote(os.fsencode(file.name))


def describe_file(file: Path) -> Json:
    """Return one file of the crate."""
    return {
        "@id": address(file),
        "@type": "File",
        "name": printable(file.name),
        "contentSize": str(file.stat().st_size),
        "encodingFormat": MEDIA_TYPES.get(file.suffix, "application/octet-stream"),
        "identifier": f"sha256:{sha256_of_file(file)}",
    }


def describe_training(manifest: Manifest, *, bundle: Path) -> list[Json]:
    """Return the training that made the bundle, with the program and the data; when it ended is not recorded."""
    run = manifest.run
    recipe = f"recipe sha256:{run.recipe_sha256}, seed {run.recipe.training.random_seed}"
    return [
        {
            "@id": TRAINING,
            "@type": "CreateAction",
            "name": "training, evaluation and packing",
            "description": f"{recipe}, in {run.environment.python} on {run.environment.platform}",
            "instrument": {"@id": PROGRAM},
            "object": {"@id": DATA},
            "result": {"@id": address(bundle)},
        },
        {
            "@id": PROGRAM,
            "@type": "SoftwareApplication",
            "name": "hstu-preserve",
            "softwareVersion": " ".join(filter(None, (run.code.version, run.code.commit))),
        },
        {
            "@id": DATA,
            "@type": "CreativeWork",
            "name": run.data.name,
            "description": f"{run.data.num_users} users, {run.data.num_ratings} ratings; from {run.data.source}",
            "identifier": f"sha256:{run.data.fingerprint}",
        },
    ]
