"""Find the one folder that an archive of code was made of."""


def find_top(paths: list[str]) -> str:
    """Return the one folder that all files lie in, with a slash, or nothing."""
    tops = {path.partition("/")[0] + path.partition("/")[1] for path in paths}
    (top, *others) = tops or {""}
    return top if not others and top.endswith("/") else ""
