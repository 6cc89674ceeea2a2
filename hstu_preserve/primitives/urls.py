"""Show addresses without the secrets in them."""

import re

LOGIN = re.compile(r"(?<=://)[^/?#]*@")


def hide_login(url: str) -> str:
    """Return an address without the name and password before its server; it need not be a right one."""
    return LOGIN.sub("", url)
