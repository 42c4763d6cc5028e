"""What became of each file, in Parquet: a folder of parts that grows as files are done, and by which a run goes on.

Arrow, pandas, Spark and Ray read the folder as one table. A part appears whole or not at all.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from gtcrn.audio.place import whole
from gtcrn.cluster import places
from gtcrn.errors import ConfigError
from gtcrn.outcome import Outcome, record

SCHEMA = pa.schema(
    {"input": pa.string(), "output": pa.string(), "status": pa.string()}
    | {"seconds": pa.float64(), "sample_rate": pa.int32(), "channels": pa.int32(), "times_real_time": pa.float64()}
    | {"clipped": pa.int64(), "nonfinite": pa.int64(), "remark": pa.string(), "error": pa.string()}
)
MEMBER = "::"  # between a shard and what is in it, in `input` and `output`
ROWS = 10_000  # in memory at most until they are written
SECONDS = 10.0  # after which rows are written, that a run which is killed need not do their files again


def key(text: str) -> bytes:
    """A name in 16 bytes: sets of millions of them stay small."""
    return hashlib.blake2b(legible(text).encode(), digest_size=16).digest()


def legible(text: str) -> str:
    """A name as Parquet holds it, in UTF-8: bytes that are none are spelt out."""
    return os.fsencode(text).decode(errors="backslashreplace")


class Record:
    """The rows in `folder`, a path or an address, as a context manager; `made_with` is what their files depend on,
    `scores` names columns of figures.

    Opening it forgets what failed or was cut short, which is to be tried again: `done` are the keys of the inputs that
    need no more work. Raises ConfigError where the rows were made with something else.
    """

    def __init__(self, folder: str, made_with: dict[str, object], scores: Sequence[str] = ()) -> None:
        self.folder, self._made_with = folder, json.dumps(made_with, sort_keys=True)
        self._schema = pa.schema([*SCHEMA, *(pa.field(name, pa.float64()) for name in scores)])
        self._rows: list[dict[str, object]] = []
        self._written = time.monotonic()
        self._drop_replaced()
        self.done = {key(row["input"]) for row in self.rows(["input", "status"]) if _ends_a_task(row)}

    def __enter__(self) -> Self:
        self._merge()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._flush()
        if kind is None:
            self.done = {key(row["input"].partition(MEMBER)[0]) for row in self.rows(["input"])}
            self._merge()

    def add(self, outcome: Outcome) -> None:
        """Take note of a file; written with others, soon."""
        texts = {name: legible(text) for name, text in record(outcome).items() if isinstance(text, str)}
        self._rows.append(record(outcome) | texts)
        if len(self._rows) >= ROWS or time.monotonic() - self._written > SECONDS:
            self._flush()

    def rows(self, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """All rows that are written, part by part."""
        for part in self._parts():
            with places.to_read(part) as path, pq.ParquetFile(path) as file:
                for batch in file.iter_batches(columns=columns):
                    yield from batch.to_pylist()

    def _parts(self) -> list[str]:
        if places.is_address(self.folder):
            remote, path = places.filesystem(self.folder)
            names = [os.path.basename(name) for name in remote.glob(f"{path}/part-*.parquet")]
        elif os.path.isdir(self.folder):
            names = [name for name in os.listdir(self.folder) if name.startswith("part-")]
        else:
            names = []
        return [places.joined(self.folder, name) for name in sorted(names)]

    def _drop_replaced(self) -> None:
        """Parts that a later one holds, left by a run that ended in between. Judges what the rows were made with."""
        for part in self._parts():
            with places.to_read(part) as path:
                about = pq.read_schema(path).metadata or {}
            if about.get(b"made_with", b"").decode() != self._made_with:
                raise ConfigError(
                    f"{self.folder} is the manifest of a run with other weights or options; name another, or remove it."
                )
            self._remove(json.loads(about[b"replaces"]))

    def _remove(self, names: list[str]) -> None:
        for part in self._parts():
            if os.path.basename(part) in names:
                remote, path = places.filesystem(part)
                remote.rm_file(path)

    def _merge(self) -> None:
        """One part of all, without the rows of tasks that are not done."""
        parts = self._parts()
        if not parts:
            return
        kept = (row for row in self.rows() if key(row["input"].partition(MEMBER)[0]) in self.done)
        names = [os.path.basename(part) for part in parts]
        self._write(kept, names)
        self._remove(names)

    def _flush(self) -> None:
        if self._rows:
            self._write(iter(self._rows), [])
        self._rows, self._written = [], time.monotonic()

    def _write(self, rows: Iterator[dict[str, object]], replaces: list[str]) -> None:
        about = {"made_with": self._made_with, "replaces": json.dumps(replaces)}
        name = f"part-{time.time_ns():020}-{os.urandom(4).hex()}.parquet"
        schema = self._schema.with_metadata(about)
        with places.to_write(places.joined(self.folder, name)) as path, whole(path) as file:
            write_rows(file, rows, schema)


def write_rows(file: Any, rows: Iterator[dict[str, Any]], schema: pa.Schema) -> None:
    """Rows as Parquet, some thousands at a time."""
    with pq.ParquetWriter(file, schema) as writer:
        held: list[dict[str, Any]] = []
        for row in rows:
            held.append(row)
            if len(held) == ROWS:
                writer.write_table(pa.Table.from_pylist(held, schema=schema))
                held = []
        writer.write_table(pa.Table.from_pylist(held, schema=schema))


def _ends_a_task(row: dict[str, Any]) -> bool:
    return row["status"] != "failed" and MEMBER not in row["input"]
