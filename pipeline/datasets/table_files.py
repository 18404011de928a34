"""Rows of CSV, TSV, JSON Lines and Parquet files, one broken row never taking others with it.

Each file gives its column names at once and its rows when asked for some of the columns. Of CSV
and TSV (quotes and line ends as in RFC 4180) a row that cannot be read is given up at its first
line, and reading goes on with the next: a quote that is never closed costs one line, not the rest.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.datasets.layout import Reason, is_storable
from pipeline.datasets.lines import numbered_lines, physical_lines
from pipeline.datasets.pictures import is_picture
from pipeline.errors import InputError

LINES_A_ROW = 50  # a CSV row with more lines than this has a quote that was never closed


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its values, or why it has none."""

    number: int  # of its first line, from 1; of the row in Parquet
    raw: str
    values: tuple[str | None, ...] = ()  # in the order of the columns asked for; None where empty
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class TableFile:
    """An opened table."""

    header: list[str]
    rows: Callable[[Sequence[str]], Iterator[TableRow]]


def open_table(path: Path) -> TableFile:
    """Open a table by its suffix, one of `SUFFIXES`.

    Raises:
        InputError: the file cannot be read, is empty, or is not what its suffix says.
    """
    return OPENERS[path.suffix.lower()](path)


def _open_csv(path: Path) -> TableFile:
    return _open_separated(path, ",")


def _open_tsv(path: Path) -> TableFile:
    return _open_separated(path, "\t")


def _open_separated(path: Path, separator: str) -> TableFile:
    records = _records(physical_lines(path), separator)
    first = next(records, None)
    if first is None:
        raise InputError(f"{path}: expected a header line and rows. Received: an empty file")
    header = first.cells or [first.raw.strip()]

    def rows(columns: Sequence[str]) -> Iterator[TableRow]:
        places = [header.index(name) for name in columns]
        for record in records:
            yield _row_of(record, places, len(header))

    return TableFile(header, rows)


@dataclass(frozen=True, slots=True)
class _Record:
    number: int
    raw: str
    cells: list[str] | None  # None where the row cannot be read


def _records(lines: list[str], separator: str) -> Iterator[_Record]:
    """Yield the rows of a CSV file that are not blank."""
    start = 0
    while start < len(lines):
        cells, end = _parse_at(lines, start, separator)
        raw = "".join(lines[start:end])
        if raw.strip():
            yield _Record(start + 1, raw.rstrip("\r\n"), cells)
        start = end


def _parse_at(lines: list[str], start: int, separator: str) -> tuple[list[str] | None, int]:
    """Parse the row at line `start`; return its cells and the line after it."""
    if '"' not in lines[start]:
        # The common case, and a line alone: csv.reader would only split it.
        line = lines[start].removesuffix("\n").removesuffix("\r")
        return line.split(separator), start + 1
    reader = csv.reader(lines[start : start + LINES_A_ROW], delimiter=separator, strict=True)
    try:
        cells = next(reader)
    except csv.Error:  # a quote that is never closed, or goes on after its end
        return None, start + 1
    end = start + reader.line_num
    if end > start + 1 and _joins_rows(lines[start:end], cells, separator):
        return None, start + 1  # never closed either: it ends at a quote of another row
    return cells, end


def _joins_rows(lines: Sequence[str], cells: Sequence[str], separator: str) -> bool:
    """Tell whether lines that a quote holds together name more pictures than their row does."""
    named = sum(is_picture(cell) for line in lines for cell in line.split(separator))
    return named > sum(is_picture(cell) for cell in cells if "\n" not in cell)


def _row_of(record: _Record, places: list[int], width: int) -> TableRow:
    if not is_storable(record.raw):
        return TableRow(record.number, record.raw, reason="encoding")
    if record.cells is None or len(record.cells) != width:
        return TableRow(record.number, record.raw, reason="broken_line")
    return TableRow(record.number, record.raw, tuple(record.cells[place] for place in places))


def _open_json_lines(path: Path) -> TableFile:
    # Of all objects: the first ones may lack what later ones have, such as a split.
    names = (name for _, line in numbered_lines(path) for name in _json_object(line) or ())
    header = list(dict.fromkeys(names))
    if not header:
        raise InputError(f"{path}: expected one JSON object a line. Received: no such line")

    def rows(columns: Sequence[str]) -> Iterator[TableRow]:
        for number, line in numbered_lines(path):
            yield _json_row(number, line, columns)

    return TableFile(header, rows)


def _json_row(number: int, line: str, columns: Sequence[str]) -> TableRow:
    entry = _json_object(line)
    if entry is None:
        reason: Reason = "broken_line" if is_storable(line) else "encoding"
        return TableRow(number, line, reason=reason)
    values = tuple(entry.get(name) for name in columns)
    if not all(value is None or isinstance(value, str) for value in values):
        return TableRow(number, line, reason="broken_line")
    if not all(is_storable(value) for value in values if value is not None):
        return TableRow(number, line, reason="encoding")  # an escape such as \ud800 on its own
    return TableRow(number, line, values)


def _json_object(line: str) -> dict[str, Any] | None:
    if not is_storable(line):
        return None
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _open_parquet(path: Path) -> TableFile:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        told = " ".join(str(error).split())
        raise InputError(f"{path}: expected a Parquet table. Received: {told}") from error

    def rows(columns: Sequence[str]) -> Iterator[TableRow]:
        number = 0
        for batch in _parquet_batches(path, file, columns):
            arrays = [batch.column(batch.schema.names.index(name)) for name in columns]
            values = [_bytes_of(path, name, a) for name, a in zip(columns, arrays, strict=True)]
            for cells in zip(*values, strict=True):
                number += 1
                yield _parquet_row(number, cells)

    return TableFile(list(file.schema_arrow.names), rows)


def _parquet_batches(path: Path, file: Any, columns: Sequence[str]) -> Iterator[Any]:
    try:
        # One thread: `ingest` forks its worker processes after this.
        yield from file.iter_batches(columns=list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        told = " ".join(str(error).split())
        raise InputError(f"{path}: the Parquet table is damaged: {told}") from error


def _bytes_of(path: Path, name: str, array: Any) -> list[bytes | None]:
    """Take texts as bytes, as Parquet does not make sure that they are UTF-8."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        raise InputError(f"{path}: expected text in column {name!r}. Received: {array.type}")
    cells: list[bytes | None] = array.cast(pa.large_binary()).to_pylist()
    return cells


def _parquet_row(number: int, cells: Sequence[bytes | None]) -> TableRow:
    values = tuple(
        cell if cell is None else cell.decode("utf-8", "surrogateescape") for cell in cells
    )
    raw = "\t".join(value or "" for value in values)
    if not is_storable(raw):
        return TableRow(number, raw, reason="encoding")
    return TableRow(number, raw, values)


OPENERS: dict[str, Callable[[Path], TableFile]] = {
    ".csv": _open_csv,
    ".tsv": _open_tsv,
    ".jsonl": _open_json_lines,
    ".parquet": _open_parquet,
}
SUFFIXES = tuple(OPENERS)
