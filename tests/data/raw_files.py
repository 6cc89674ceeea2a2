"""MovieLens' raw layouts, written from made-up rows."""

import zipfile
from pathlib import Path

from hstu_preserve.data.known_datasets import Layout

Row = tuple[int, int, float, int]
"""User, item, rating, time."""

ROWS: list[Row] = [(2, 10, 3.0, 978300760), (1, 3, 5.0, 978300761), (2, 3, 1.0, 978300759), (1, 20, 4.0, 978300761)]
MOVIES_DAT = (
    "3::Toy Story (1995)::Animation|Comedy\n10::Les Misérables (1998) ::Drama\n20::Alien: 3::Sequel::Horror|Sci-Fi\n"
)
MOVIES_CSV = (
    'movieId,title,genres\n3,Toy Story (1995),Animation|Comedy\n10,"Misérables, Les (1998) ",Drama\n'
    '20,"Alien ""3""",Horror|Sci-Fi\n'
)
GENRE = "unknown|0\nAnimation|1\nComedy|2\nDrama|3\nHorror|4\nSci-Fi|5\n\n"
ITEM = (
    "3|Toy Story (1995)|01-Jan-1995||http://x|0|1|1|0|0|0\n"
    "10|Misérables, Les (1998) |01-Jan-1998||http://y|0|0|0|1|0|0\n"
    "20|Alien|||http://z|0|0|0|0|1|1\n"
)
RATING_FILES = {Layout.TABBED: "u.data", Layout.DOUBLE_COLON: "ratings.dat", Layout.CSV: "ratings.csv"}
SEPARATORS = {Layout.TABBED: "\t", Layout.DOUBLE_COLON: "::", Layout.CSV: ","}


def format_ratings(rows: list[Row], *, layout: Layout) -> str:
    header = "userId,movieId,rating,timestamp\n" if layout is Layout.CSV else ""
    pattern = SEPARATORS[layout].join(["{}", "{}", "{:.1f}" if layout is Layout.CSV else "{:.0f}", "{}"])
    return header + "".join(pattern.format(*row) + "\n" for row in rows)


def write_layout(folder: Path, *, layout: Layout, ratings: str | None = None) -> Path:
    """Write a folder in one of the raw layouts."""
    folder.mkdir(parents=True, exist_ok=True)
    content = format_ratings(ROWS, layout=layout) if ratings is None else ratings
    (folder / RATING_FILES[layout]).write_bytes(content.encode())
    match layout:
        case Layout.TABBED:
            (folder / "u.item").write_bytes(ITEM.encode("latin-1"))
            (folder / "u.genre").write_bytes(GENRE.encode())
        case Layout.DOUBLE_COLON:
            (folder / "movies.dat").write_bytes(MOVIES_DAT.encode("latin-1"))
        case Layout.CSV:
            (folder / "movies.csv").write_bytes(MOVIES_CSV.encode())
    return folder


def zip_folder(folder: Path, archive: Path, *, prefix: str) -> Path:
    """Pack a folder's files under `prefix`."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as stream:
        for path in sorted(folder.iterdir()):
            stream.write(path, f"{prefix}{path.name}")
    return archive
