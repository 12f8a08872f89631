"""One record of a file, and the limits that hold for all kinds of files."""

import json
from dataclasses import dataclass
from typing import Any

MAX_RECORD_BYTES = 16 * 2**20
KEPT_CHARS = 10_000  # of a row that is set aside


@dataclass(frozen=True)
class Item:
    """One record of a file.

    Attributes:
        number: Its place in its file, from 1: a line, or a row.
        value: Any JSON, or a `Problem`.
        read_bytes: How far into the file it ends.
        text: As it stood, so that it can be mended when it is set aside.
        source: The file within a folder or an archive; "" for a plain file.
    """

    number: int
    value: Any
    read_bytes: int
    text: str = ""
    source: str = ""


def parse(text: str) -> Any:
    """JSON as people write it: NaN and Infinity, which it does not have, are values that are not there.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, parse_constant=lambda _name: None)


def as_text(value: Any) -> str:
    """A record that came from no text (a row of a Parquet file), as one that can be mended."""
    return json.dumps(value, ensure_ascii=False, default=str)[:KEPT_CHARS]
