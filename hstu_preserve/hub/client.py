"""Make the client that asks the Hub, and find the user's token; what the settings spoil is told by its variable."""

import os
from pathlib import Path

from huggingface_hub import constants, get_token, try_to_load_from_cache
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    OIDCError,
)
from huggingface_hub.utils import get_session, httpx  # type: ignore[attr-defined]  # re-exported

from hstu_preserve.errors import UnreachableError
from hstu_preserve.hub.settings import UNREADABLE, explain_certificates, explain_proxies


def open_client() -> httpx.Client:
    """Return the client, one for the whole process.

    Raises:
        UnreachableError: A setting of the network keeps it from being made; the message names the variable.
        OfflineModeIsEnabled: Nobody may be asked.
    """
    if constants.is_offline_mode():
        raise OfflineModeIsEnabled("HF_HUB_OFFLINE is set")
    if UNREADABLE:
        raise UnreachableError("; ".join(UNREADABLE.values()))
    try:
        return get_session()
    except OSError as error:  # of the files of certificates
        cause = explain_certificates(error)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        cause = explain_proxies(error)
    raise UnreachableError(cause)


def find_token() -> str | None:
    """Return the user's token, None if there is none.

    Raises:
        UnreachableError: It cannot be read or sent; the message holds nothing of it.
    """
    try:
        token = get_token()
    except LocalTokenNotFoundError:
        return None
    except (FileNotFoundError, NotADirectoryError):  # HF_HOME is no folder, so that no token is in it
        return None
    except (OIDCError, HfHubHTTPError, httpx.HTTPError):
        advice = "set HF_OIDC_ID_TOKEN, or unset HF_OIDC_RESOURCE"
        raise UnreachableError(f"HF_OIDC_RESOURCE is set, and no token can be had for it; {advice}") from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        place = f"HF_TOKEN_PATH={constants.HF_TOKEN_PATH}" if "HF_TOKEN_PATH" in os.environ else constants.HF_TOKEN_PATH
        raise UnreachableError(
            f"{place}: the token cannot be read ({reason}); make it readable, set HF_TOKEN, or name another file with "
            "HF_TOKEN_PATH"
        ) from None
    if token is not None and not is_token(token):
        raise UnreachableError(
            "what was given as token holds characters that none has; set HF_TOKEN to the token alone, or log in with "
            "'hf auth login'"
        )
    return token


def find_in_client_cache(repository: str, path: str, *, revision: str | None) -> Path | None:
    """Return a file that the Hub's own client keeps in its cache, None if it does not; nobody is asked."""
    try:
        found = try_to_load_from_cache(repository, path, revision=revision)
    except (HFValidationError, OSError, ValueError):
        return None
    return Path(found) if isinstance(found, str) and Path(found).is_file() else None


def is_token(text: str) -> bool:
    """Whether a text can be a token: a header can carry it unescaped."""
    return text.isascii() and text.isprintable() and not any(c.isspace() for c in text)
