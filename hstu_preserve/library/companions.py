"""Find the files that lie beside a published bundle and say more of it: its signature and its certificate."""

from collections.abc import Iterator

from hstu_preserve.library.repository import Repository
from hstu_preserve.records.certificate import CERTIFICATE_SUFFIX, MAX_BYTES
from hstu_preserve.records.downloads import PublishedFile
from hstu_preserve.records.signature import SIGNATURE_SUFFIX
from hstu_preserve.signing.signer import MAX_SIGNATURE_BYTES

COMPANIONS = {SIGNATURE_SUFFIX: MAX_SIGNATURE_BYTES, CERTIFICATE_SUFFIX: MAX_BYTES}
"""What is added to a bundle's name, and how large such a file is at most; a reader would refuse a larger one."""


def list_companions(path: str, repository: Repository) -> Iterator[PublishedFile]:
    """Yield the signature and the certificate beside a file of a repository.

    One that is too large is passed over, and said to be (see `Repository.unread`).
    """
    for suffix, max_bytes in COMPANIONS.items():
        file = repository.snapshot.find(f"{path}{suffix}")
        if file is None:
            continue
        if file.size <= max_bytes:
            yield file
            continue
        place = f"{repository.snapshot.repository}/{file.path}"
        repository.unread[file.path] = (
            f"{place}: {file.size} bytes, and such a file has {max_bytes} at most; not fetched"
        )
