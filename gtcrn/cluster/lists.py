"""Lists of recordings as teams keep them: CSV, Parquet, JSON lines of NeMo, recordings and cuts of Lhotse.

Outputs are as long as their inputs, aligned, and of the same rate: a list of them is the list that came in, with other
paths. Offsets, durations and everything else in it stay true.
"""

import contextlib
import csv
import functools
import gzip
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from gtcrn.audio.place import whole
from gtcrn.cluster import places
from gtcrn.errors import AudioError

COLUMNS = ("audio_filepath", "audio", "path", "input", "file")  # the first that is there names the recordings
KINDS = (".csv", ".json", ".jsonl", ".parquet")
_LHOTSE = {"sources", "recording", "tracks"}
Row = dict[str, Any]
Renamed = Callable[[str], str | None]  # a recording's name in the list to come, None where there is no output


class List:
    """A list at a path or address. Raises AudioError where it names no recordings."""

    def __init__(self, where: str) -> None:
        self.where, self.kind = where, kind_of(where) or ".jsonl"
        self.name = PurePosixPath(where).name

    @functools.cached_property
    def nested(self) -> bool:
        """Whether it is Lhotse's, whose relative names count from where it is read."""
        return any(not _LHOTSE.isdisjoint(row) for row in itertools.islice(self._rows(), 1))

    def recordings(self) -> Iterator[str]:
        """Names as the list has them, row by row; a recording that is cut into rows comes as often."""
        empty = True
        for row in self._rows():
            for holder, field in self._slots(row):
                empty = False
                yield holder[field]
        if empty:
            raise AudioError(f"{self.where} names no recordings.")

    def located(self, name: str) -> str:
        """Where a recording of the list is: relative names count from the list's folder or, if only
        there they are, from here."""
        if places.is_address(name) or os.path.isabs(name):
            return name
        folder = self.where.rpartition("/")[0]
        below = f"{folder}/{name}" if folder else name
        here = not places.is_address(self.where) and os.path.exists(name) and not os.path.exists(below)
        return name if here else below

    def rewrite(self, target: str, renamed: Renamed) -> int:
        """The list with other names at `target`, without the rows that lack an output: how many those are."""
        left_out = 0

        def rows() -> Iterator[Row]:
            nonlocal left_out
            for row in self._rows():
                if self._rename(row, renamed):
                    yield row
                else:
                    left_out += 1

        with places.to_write(target) as path:
            self._write(path, rows())
        return left_out

    def _rename(self, row: Row, renamed: Renamed) -> bool:
        for holder, field in self._slots(row):
            name = renamed(holder[field])
            if name is None:
                return False
            holder[field] = name
        return True

    def _slots(self, row: Row) -> list[tuple[Row, str]]:
        """The places in a row that name recordings."""
        if nested := list(_sources(row)):
            return nested
        if not _LHOTSE.isdisjoint(row):
            return []  # of Lhotse, and nothing to hear in it
        column = self._column(tuple(row))
        if not isinstance(row[column], str):
            raise AudioError(f"{self.where}: {column} holds {row[column]!r:.40}, not the path of a recording.")
        return [(row, column)]

    @functools.cache  # noqa: B019 (a list lives as long as its run)
    def _column(self, there: tuple[str, ...]) -> str:
        found = next((column for column in COLUMNS if column in there), None)
        if found is None:
            raise AudioError(
                f"{self.where} has no column {COLUMNS[0]} (or {', '.join(COLUMNS[1:])}); it has {', '.join(there)}."
            )
        return found

    def _rows(self) -> Iterator[Row]:
        read = {".csv": _read_csv, ".parquet": _read_parquet}.get(self.kind, _read_lines)
        with places.to_read(self.where) as path, places.faults_of(self.where, "read"):
            yield from read(path, self.where)

    def _write(self, path: Path, rows: Iterator[Row]) -> None:
        if self.kind == ".parquet":
            import pyarrow.parquet as pq

            from gtcrn.cluster.record import write_rows

            with places.to_read(self.where) as before, whole(path) as file:
                write_rows(file, rows, pq.read_schema(before))
            return
        with whole(path) as file, _text_to(file, self.where.endswith(".gz")) as text:
            (_write_csv if self.kind == ".csv" else _write_lines)(text, rows)


def kind_of(where: str) -> str | None:
    """Of a list by its name; None for other files. Parquet may be a list or a shard, see `shards`."""
    name = PurePosixPath(where.removesuffix(".gz"))
    packed = where.endswith(".gz") and name.suffix == ".parquet"
    return name.suffix if name.suffix in KINDS and not packed else None


def _sources(value: Any) -> Iterator[tuple[Row, str]]:
    """Lhotse's AudioSources anywhere in a recording or cut."""
    if isinstance(value, list):
        for entry in value:
            yield from _sources(entry)
    elif isinstance(value, dict):
        if value.get("type") in ("file", "url") and isinstance(value.get("source"), str):
            yield value, "source"
        for entry in value.values():
            yield from _sources(entry)


def _read_lines(path: Path, where: str) -> Iterator[Row]:
    with path.open("rb") as file, _text_of(file, where.endswith(".gz")) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise AudioError(f"{where}, line {number}, is not JSON: {error}.") from error
            if not isinstance(row, dict):
                raise AudioError(f"{where}, line {number}, is not an object; a list has one a line.")
            yield row


def _read_csv(path: Path, where: str) -> Iterator[Row]:
    with path.open("rb") as file, _text_of(file, where.endswith(".gz")) as text:
        for row in (reader := csv.DictReader(text)):
            if None in row:
                raise AudioError(f"{where}, line {reader.line_num}, has more fields than the first line names.")
            yield row


def _read_parquet(path: Path, where: str) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from batch.to_pylist()


def _write_lines(text: io.TextIOBase, rows: Iterator[Row]) -> None:
    for row in rows:
        text.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_csv(text: io.TextIOBase, rows: Iterator[Row]) -> None:
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)


def _text_of(file: BinaryIO, packed: bool) -> io.TextIOWrapper:
    """Excel's files begin with a mark, which is no part of the first name."""
    return io.TextIOWrapper(gzip.GzipFile(fileobj=file) if packed else file, encoding="utf-8-sig", newline="")


@contextlib.contextmanager
def _text_to(file: BinaryIO, packed: bool) -> Iterator[io.TextIOWrapper]:
    """Leaves the file open. No name and no time in it: the same rows are the same bytes."""
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0)) if packed else file
        text = io.TextIOWrapper(raw, encoding="utf-8", newline="")
        yield text
        text.detach()  # which flushes
