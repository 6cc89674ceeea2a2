"""A target as a file on this machine, fetched from the Hub where it is not here."""

from pathlib import Path

from hstu_preserve.library.targets import LocalTarget, require_local, resolve_target
from hstu_preserve.primitives.voice import Voice


def obtain_local(text: str, *, voice: Voice) -> LocalTarget:
    """Return what `require_local` does; a published bundle that is not here is fetched, compared with its digests.

    Args:
        text: What the user typed.
        voice: Shows progress, in bytes; says what will be fetched, and how much, before it is.

    Raises:
        UsageError: It has no bundle at all.
        ContentError: It is not what the digests say.
        UnavailableError: It cannot be fetched.
    """
    if not isinstance(resolve_target(text), LocalTarget):
        from hstu_preserve.library.remote import fetch_missing

        fetch_missing(text, voice=voice)
    local = require_local(text)
    if local.notice is not None:
        voice.say(local.notice)
    return local


def obtain_signature(text: str, *, public_key: Path | None, voice: Voice) -> None:
    """Bring the signature of a published bundle here where a key is named: only then can be said that nobody signed.

    Raises:
        UnavailableError: It has one that cannot be fetched, or the bundle is not here.
        ContentError: The signature is not what the Hub lists.
    """
    if public_key is not None and not isinstance(resolve_target(text), LocalTarget):
        from hstu_preserve.library.remote import fetch_signature

        fetch_signature(require_local(text), voice=voice)
