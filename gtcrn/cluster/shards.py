"""Many recordings in one file: tars of WebDataset, Parquet of Hugging Face `datasets` with an Audio column.

What comes out is of the kind that came in: same order, same names, everything that is not audio as it was.
"""

import itertools
import json
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gtcrn.audio.place import whole
from gtcrn.cluster import places
from gtcrn.cluster.record import MEMBER
from gtcrn.errors import AudioError
from gtcrn.outcome import Outcome
from gtcrn.plan import Job, is_audio

KINDS = (".tar", ".parquet")
Denoise = Callable[[Job], Outcome]  # a local file to a local file


def is_shard(name: str) -> bool:
    """Whether what is worked on under this name holds many recordings: all other Parquet is a list."""
    return name.endswith(KINDS)


@dataclass(frozen=True)
class Members:
    """What denoises a recording that is bytes in a shard; `suffix` is that of outputs, None: as the input."""

    denoise: Denoise
    suffix: str | None

    def __call__(self, shard: str, name: str, data: bytes) -> tuple[Outcome, str, bytes | None]:
        """The outcome, the output's name and its bytes, None where it failed. `name` need not have an extension."""
        base = PurePosixPath(name)
        renamed = base.with_suffix(self.suffix) if self.suffix and base.suffix else base
        with tempfile.TemporaryDirectory(prefix="gtcrn-") as folder:
            source, target = Path(folder, "in", base.name), Path(folder, "out", renamed.name)
            source.parent.mkdir()
            source.write_bytes(data)
            outcome = self.denoise(Job(source, target))
            named = replace(outcome.named(f"{shard}{MEMBER}{name}", str(source)), target=str(renamed))
            return named, str(renamed), None if named.error else target.read_bytes()


def denoise_tar(shard: str, source: Path, target: Path, members: Members) -> Iterator[Outcome]:
    """All audio in a tar. A sample (files of one key) whose audio is no good is left out as a whole."""
    try:
        with whole(target) as file, tarfile.open(fileobj=file, mode="w") as out, tarfile.open(source, "r|") as tar:
            files = ((entry, _content(tar, entry)) for entry in tar)
            for _, sample in itertools.groupby(files, key=lambda found: _key(found[0].name)):
                found = [_member(shard, entry, data, members) for entry, data in sample]
                yield from (outcome for outcome, _, _ in found if outcome)
                for _, entry, data in found if all(data is not None for _, _, data in found) else ():
                    entry.size = len(data or b"")
                    # a long name of the input would go before the new one
                    entry.pax_headers = {k: v for k, v in entry.pax_headers.items() if k not in ("path", "size")}
                    out.addfile(entry, BytesIO(data or b""))
    except tarfile.TarError as error:
        raise AudioError(f"{shard} is not a tar that can be read: {error}.") from error


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry) if entry.isfile() else None
    return file.read() if file else b""


def _member(
    shard: str, entry: tarfile.TarInfo, data: bytes, members: Members
) -> tuple[Outcome | None, tarfile.TarInfo, bytes | None]:
    if not entry.isfile() or not is_audio(PurePosixPath(entry.name)):
        return None, entry, data
    outcome, entry.name, clean = members(shard, entry.name, data)
    return outcome, entry, clean


def _key(name: str) -> str:
    """WebDataset's: the name up to the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0]


def audio_columns(schema: pa.Schema) -> list[str]:
    """Columns of `datasets`' Audio: structs of bytes and path, and not said to be something else (an Image)."""
    about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = about.get("info", {}).get("features", {})
    return [
        field.name
        for field in schema
        if pa.types.is_struct(field.type)
        and {"bytes", "path"} <= {field.type.field(i).name for i in range(field.type.num_fields)}
        and features.get(field.name, {}).get("_type", "Audio") == "Audio"
    ]


def denoise_parquet(shard: str, source: Path, target: Path, members: Members) -> Iterator[Outcome]:
    """All audio in a Parquet file, row group by row group. Where a recording is no good, its cell is null."""
    with pq.ParquetFile(source) as file:
        schema, columns = file.schema_arrow, audio_columns(file.schema_arrow)
        folder = shard.rpartition("/")[0] if places.is_address(shard) else str(source.parent)
        with whole(target) as out, pq.ParquetWriter(out, schema) as writer:
            row = 0
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                for column in columns:
                    outcomes, table = _denoise_column(shard, folder, table, column, row, members)
                    yield from outcomes
                row += len(table)
                writer.write_table(table, row_group_size=max(len(table), 1))


def _denoise_column(
    shard: str, folder: str, table: pa.Table, column: str, first: int, members: Members
) -> tuple[list[Outcome], pa.Table]:
    index = table.schema.get_field_index(column)
    outcomes, cells = list[Outcome](), list[dict[str, Any] | None]()
    for number, cell in enumerate(table.column(column).to_pylist(), first):
        if cell is None:
            cells.append(None)
            continue
        outcome, _, data = members(shard, _name(number, cell), _bytes(folder, cell))
        outcomes.append(outcome)
        cells.append(None if data is None else {**cell, "bytes": data, "path": _path(cell, members.suffix)})
    field = table.schema.field(index)
    return outcomes, table.set_column(index, field, pa.array(cells, field.type))


def _name(number: int, cell: dict[str, Any]) -> str:
    return f"{number}/{PurePosixPath(cell['path']).name}" if cell["path"] else str(number)


def _path(cell: dict[str, Any], suffix: str | None) -> str | None:
    name = cell["path"] and PurePosixPath(cell["path"])
    return str(name.with_suffix(suffix)) if name and suffix and name.suffix else cell["path"]


def _bytes(folder: str, cell: dict[str, Any]) -> bytes:
    """Of a recording, which may be a file in the shard's folder or elsewhere."""
    if cell["bytes"] is not None or not cell["path"]:
        return cell["bytes"] or b""
    where = str(cell["path"])
    if not places.is_address(where):
        where = places.joined(folder, where)
    try:
        with places.to_read(where) as path:
            return path.read_bytes()
    except (AudioError, OSError):
        return b""  # which fails as an empty file does, by its own name
