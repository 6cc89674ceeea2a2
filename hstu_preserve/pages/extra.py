"""Say what to install if a page is asked for and the packages that draw it are not there."""

from importlib.util import find_spec

from hstu_preserve.errors import UnavailableError

PACKAGES = ("jinja2", "matplotlib")


def require_extra(option: str = "--html") -> None:
    """Raise UnavailableError if this installation cannot write the pages that an option asks for."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UnavailableError(
            f"{option}: {' and '.join(missing)} not installed; install 'hstu-preserve[report]', which brings what "
            "draws pages"
        )
