"""Data that Meta's preprocessing already wrote (`sasrec_format.csv`), imported with its order of events kept.

Each row is a user, in random order; three cells hold the user's items, ratings and times, joined by commas. Meta's
loader runs `eval` on them; here they are parsed.
"""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched, chain
from pathlib import Path
from typing import TypeAlias

import numpy as np

from hstu_preserve.data.arrays import Int64Array, Uint8Array
from hstu_preserve.data.movielens import MovieTable, Ratings, decode, parse_movies_csv
from hstu_preserve.data.number_fields import MALFORMED, parse_half_stars, parse_ids, parse_whole_numbers
