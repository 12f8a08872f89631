"""Records to a file, in the kind its name says: JSON lines, one JSON list, CSV or Parquet. Whole or not at all."""

import csv
import io
import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from rlhf_desktop.core.files import atomic_file
from rlhf_desktop.feedback.formats.base import Record
from rlhf_desktop.feedback.formats.parquet import write_parquet
from rlhf_desktop.feedback.formats.tables import safe_cell
from rlhf_desktop.operations.rows import disk_troubles, write_rows


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write records as .csv, .parquet, .json (one list), else as JSON lines. They may be walked twice.

    Raises:
        BadInput: a Parquet file, and this installation writes none.
        NoSpace: the disk is full.
    """
    suffix = path.suffix.casefold()
    if suffix == ".csv":
        _write_csv(path, records)
    elif suffix == ".parquet":
        with disk_troubles(path), atomic_file(path) as out:
            write_parquet(out, records)
    elif suffix == ".json":
        _write_list(path, records)
    else:
        write_rows(path, records)


def _write_list(path: Path, records: Iterable[Record]) -> None:
    with disk_troubles(path), atomic_file(path) as out:
        out.write(b"[")
        for number, record in enumerate(records):
            out.write((",\n" if number else "\n").encode() + json.dumps(record, ensure_ascii=False).encode())
        out.write(b"\n]\n")


def _write_csv(path: Path, records: Iterable[Record]) -> None:
    """One column for each key that any record has; a list or an object is written as JSON, and nothing that a spreadsheet runs."""
    names = list(dict.fromkeys(name for record in records for name in record))
    line = io.StringIO(newline="")
    with disk_troubles(path), atomic_file(path) as out:
        for cells in chain([names], ([_cell(record.get(name, "")) for name in names] for record in records)):
            line.seek(line.truncate(0))
            csv.writer(line).writerow(cells)
            out.write(line.getvalue().encode("utf-8"))


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return safe_cell(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
