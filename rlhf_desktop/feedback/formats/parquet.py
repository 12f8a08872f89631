"""Parquet files as streams of records, where pyarrow is installed (the program's `parquet` extra).

Parquet wants one type a column. A value that a record does not have is written as null and read as not being there; a column whose
records differ in kind is written as JSON text, and marked so that it is read as what it was.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.formats.base import as_words
from rlhf_desktop.feedback.formats.thumbs import may_be_unjudged

_WRITTEN = 1000  # records a row group
_READ = 256
_JSON = {b"rlhf-desktop": b"json"}  # marks a column of JSON text
_NO_HOME = (ValueError, TypeError, OverflowError, NotImplementedError)  # what pyarrow raises where no one type fits


def installed() -> bool:
    """Whether Parquet files can be read and written here."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        return False
    return True


def read_parquet(file: Path | IO[bytes], name: str = "The file") -> Iterator[tuple[dict[str, Any], float]]:
    """The records of a file called `name`, each with how much of the file it ends, 0 to 1.

    Raises:
        BadInput: pyarrow is not installed, or the file is damaged.
    """
    if not installed():
        raise BadInput(
            f"{name} is a Parquet file, which this installation cannot read.",
            "Install the program's “parquet” extra (pyarrow), or save the file as JSON lines or CSV.",
        )
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(file) as table:
            total, number = max(1, table.metadata.num_rows), 0
            texts = [field.name for field in table.schema_arrow if (field.metadata or {}).items() >= _JSON.items()]
            for batch in table.iter_batches(batch_size=_READ, use_threads=False):
                for record in batch.to_pylist():
                    number += 1
                    yield {**_decoded(_without_nulls(record), texts), **_unjudged(record)}, number / total
    except (pyarrow.ArrowException, OSError, OverflowError, MemoryError, *_NO_HOME) as problem:
        raise BadInput(f"{name} is damaged.", "Save it again.", repr(problem)) from problem


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value


def _unjudged(record: dict[str, Any]) -> dict[str, None]:
    """The empty columns that say that nobody judged: without one of them, a row would look like an example."""
    return {name: None for name, value in record.items() if value is None and may_be_unjudged(as_words(name))}


def _decoded(record: dict[str, Any], texts: list[str]) -> dict[str, Any]:
    return {name: json.loads(value) if name in texts else value for name, value in record.items()}


def write_parquet(out: IO[bytes], records: Iterable[dict[str, Any]]) -> None:
    """Write records piece by piece. They are walked twice: for the types of their columns, then to be written.

    Raises:
        BadInput: pyarrow is not installed.
    """
    if not installed():
        raise BadInput(
            "This installation cannot write Parquet files.",
            "Install the program's “parquet” extra (pyarrow), or export JSON lines or CSV.",
        )
    import pyarrow
    import pyarrow.parquet as parquet

    schema = _schema(records)
    with parquet.ParquetWriter(out, schema) as writer:
        for batch in _batches(records):
            columns = [pyarrow.array(_column(batch, field), field.type) for field in schema]
            writer.write_table(pyarrow.Table.from_arrays(columns, schema=schema))


def _batches(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    walk = iter(records)
    while batch := list(islice(walk, _WRITTEN)):
        yield batch


def _schema(records: Iterable[dict[str, Any]]) -> Any:
    """One field for each key that any record has."""
    import pyarrow

    fields: dict[str, Any] = {}
    for batch in _batches(records):
        for name in dict.fromkeys(key for record in batch for key in record):
            if name not in fields or not fields[name].metadata:
                fields[name] = _field(name, [record.get(name) for record in batch], fields.get(name))
    return pyarrow.schema(fields.values())


def _field(name: str, values: list[Any], known: Any) -> Any:
    import pyarrow

    as_text = pyarrow.field(name, pyarrow.string(), metadata=_JSON)
    try:
        found = pyarrow.schema([pyarrow.field(name, pyarrow.array(values).type)])
        schemas = [found] if known is None else [pyarrow.schema([known]), found]
        field = pyarrow.unify_schemas(schemas, promote_options="permissive").field(name)
    except _NO_HOME:
        return as_text
    return as_text if _has_empty_object(field.type) else field


def _has_empty_object(kind: Any) -> bool:
    """Whether there is an object without keys in it, which Parquet cannot say."""
    from pyarrow import types

    if types.is_struct(kind):
        return kind.num_fields == 0 or any(_has_empty_object(kind.field(n).type) for n in range(kind.num_fields))
    return types.is_list(kind) and _has_empty_object(kind.value_type)


def _column(batch: list[dict[str, Any]], field: Any) -> list[Any]:
    values = [record.get(field.name) for record in batch]
    if not field.metadata:
        return values
    return [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
