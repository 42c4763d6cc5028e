"""What a run on Ray wrote, and the processes that it had."""

import io
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import soundfile
from commands import children, command_line


def sounds(folder: str) -> dict[str, bytes]:
    """Everything that was written below, by name; but for the manifest."""
    files = {str(path.relative_to(folder)): path for path in Path(folder).rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not name.startswith("manifest.parquet/")}


def identical(one: dict[str, bytes], other: dict[str, bytes]) -> bool:
    """To the byte but for Ogg, whose streams get a number by lot (and a checksum of it): there the samples are."""
    return one.keys() == other.keys() and all(_content(name, one[name]) == _content(name, other[name]) for name in one)


def _content(name: str, data: bytes) -> bytes:
    return soundfile.read(io.BytesIO(data))[0].tobytes() if name.endswith(".ogg") else data


def manifest(where: str = "out/manifest.parquet") -> dict[str, dict[str, Any]]:
    rows = pq.read_table(where).to_pylist()
    assert len({row["input"] for row in rows}) == len(rows)
    return {row["input"]: row for row in rows}


def workers() -> list[int]:
    """Processes of this process's Ray that denoise: its children start them."""
    return [
        pid
        for one in children(os.getpid())
        for pid in children(one)
        if command_line(pid).startswith(b"ray::gtcrn denoise")
    ]
