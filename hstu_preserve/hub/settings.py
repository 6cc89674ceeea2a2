"""Find the settings of the network that the client cannot be imported or made with, and name the variable.

`huggingface_hub` reads its variables when it is imported, and ends the import at one that it cannot read. Nobody may
then use what is on this machine already. So the client is imported without such a variable, and the problem is raised
when somebody is to be asked.
"""

import os
from collections.abc import Mapping
from importlib import import_module
from urllib.parse import urlsplit

SECONDS = ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT")
MAX_SECONDS = 10**6
"""A longer wait is a slip of the keyboard, and from about 10^9 on the system refuses it."""
ENDPOINT = "HF_ENDPOINT"
PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def find_unreadable(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the client cannot be imported or used with, each with the reason; no secret is told."""
    found: dict[str, str] = {}
    for name in SECONDS:
        value = settings.get(name, "").strip()
        is_number = value.isascii() and value.isdigit() and len(value) < 10 and int(value) <= MAX_SECONDS
        if name in settings and not is_number:
            found[name] = f"{name}={value[:40]!r}: not a whole number of seconds"
    endpoint = settings.get(ENDPOINT)
    if endpoint is not None and (problem := find_url_problem(endpoint)) is not None:
        shown = ENDPOINT if "@" in endpoint else f"{ENDPOINT}={endpoint[:200]}"  # before an @ stands a password
        found[ENDPOINT] = f"{shown}: {problem}; it begins with https:// and names a server"
    return found


def find_url_problem(url: str) -> str | None:
    """Return why no server can be asked at an address, None if one can."""
    if not url.isprintable() or " " in url:
        return "no URL, as it holds blanks or control characters"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"no URL ({error})"
    return None if parts.scheme in {"http", "https"} and parts.hostname else "no URL"


def import_client() -> dict[str, str]:
    """Import the client's own settings without those that it cannot read; return those, each with the reason."""
    found = find_unreadable(os.environ)
    if found:
        hidden = {name: os.environ.pop(name) for name in found}
        try:
            import_module("huggingface_hub.constants")
        finally:
            os.environ.update(hidden)
    return found


UNREADABLE = import_client()
"""The variables that the client was imported without, each with the reason."""


def list_set(names: tuple[str, ...]) -> list[str]:
    """Return those variables of the network that are set, in the spelling in which they count."""
    return [one for name in names for one in (name.lower(), name) if os.environ.get(one)]


def explain_proxies(error: Exception) -> str:
    """Return which proxy the client cannot use and why, without its address, which may hold a password."""
    for name in list_set(PROXIES):
        scheme = os.environ[name].partition("://")[0] if "://" in os.environ[name] else "http"
        if scheme.startswith("socks5") and isinstance(error, ImportError):
            return f"{name} names a SOCKS proxy, which needs the package socksio: pip install socksio"
        if scheme not in PROXY_SCHEMES:
            return f"{name} names a proxy of the kind {scheme[:20]!r}; http, https and socks5 are known"
    names = list_set(PROXIES)
    return f"the proxy that {' or '.join(names) or 'the settings of this system'} names cannot be used"


def explain_certificates(error: OSError) -> str:
    """Return which file of certificates, or for the keys of connections, cannot be used."""
    reason = (error.strerror or type(error).__name__).partition(" (_ssl.c")[0]
    # Only the file for keys is named in the error; it is opened by Python, the others by OpenSSL.
    names = [one for one in list_set(CERTIFICATES) if error.filename in {None, os.environ[one]}]
    if not names:
        return f"the certificates of this machine cannot be read ({reason})"
    return f"{names[0]}={os.environ[names[0]]}: cannot be used ({reason}); name another file, or unset it"


def advise_network() -> str:
    """Return what to look at if a server cannot be reached; the settings that choose the way there are named."""
    names = list_set((ENDPOINT, *PROXIES))
    return "check the network" + (
        f", and what {' and '.join(names)} {'name' if names[1:] else 'names'}" if names else ""
    )
