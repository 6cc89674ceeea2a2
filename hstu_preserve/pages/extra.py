"""Say what to install if a page is asked for and the packages that draw it are not there."""

from importlib.util import find_spec

from hstu_preserve.errors import UnavailableError

PACKAGES = ("jinja2", "matplotlib")


def require_extra() -> None:
    """Raise UnavailableError if this installation cannot write pages; nothing is imported yet."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UnavailableError(
            f"--html: {' and '.join(missing)} not installed; install 'hstu-preserve[report]', which brings what draws "
            "pages"
        )
