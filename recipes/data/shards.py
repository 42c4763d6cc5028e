"""The data set on disk: raw int16 shards and a journal that says what lies where.

    DATA/speech/index.csv    one row a clip, in the order of writing
    DATA/speech/skipped.csv  what was not taken, and why
    DATA/speech/0000.pcm     little-endian int16, mono, 16 kHz; at most `SHARD_SAMPLES`, or one longer clip

Ready pairs lie in DATA/pairs/NAME in the same form; a row stands for `samples` noisy samples, directly followed by
as many clean ones. Samples are written before their row, so a run that is killed leaves a valid data set: what no row
names is cut off when the folder is opened for writing again.
"""

import contextlib
import csv
import errno
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from gtcrn.config import SAMPLE_RATE
from gtcrn.errors import ConfigError, GtcrnError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

SHARD_SAMPLES = 3600 * SAMPLE_RATE  # one hour, 115 MB
CLIP_FIELDS = ("shard", "start", "samples", "set", "speaker", "split", "path")
PAIR_FIELDS = ("shard", "start", "samples", "name", "snr_db", "path")
SKIP_FIELDS = ("path", "reason")
ODD_NAMES = "surrogateescape"  # how Python holds the bytes of a file's name that are not UTF-8: written as they were
UNLOCKED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # what file systems say that know no locks

Int16 = npt.NDArray[np.int16]
Row = dict[str, str]


def shard_path(folder: Path, shard: int) -> Path:
    return folder / f"{shard:04d}.pcm"


def read_rows(path: Path) -> list[Row]:
    """All whole rows of a journal; none where there is no journal."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors=ODD_NAMES) as lines:
        return list(csv.DictReader(lines))


class Journal:
    """A CSV file that only grows; a half-written last line is cut off when it is opened."""

    def __init__(self, path: Path, fields: tuple[str, ...]) -> None:
        self.rows = self._repair(path)
        fresh = not path.is_file() or path.stat().st_size == 0
        self._file = path.open("a", newline="", encoding="utf-8", errors=ODD_NAMES)
        self._writer = csv.DictWriter(self._file, fields, lineterminator="\n")
        if fresh:
            self._writer.writeheader()
            self._file.flush()

    @staticmethod
    def _repair(path: Path) -> list[Row]:
        if path.is_file():
            whole = path.read_bytes().rfind(b"\n") + 1
            if whole < path.stat().st_size:
                os.truncate(path, whole)
        return read_rows(path)

    def add(self, row: Mapping[str, object]) -> None:
        self._writer.writerow(row)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def locked(folder: Path) -> IO[bytes]:
    """A file whose lock says that a run writes to this folder; released when it is closed, or the process ends.

    Where the file system has no locks it says so on stderr, and nothing keeps a second run away. Raises ConfigError.
    """
    with contextlib.ExitStack() as opened:
        file = opened.enter_context((folder / ".lock").open("wb"))
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"another run is writing to {folder}; wait for its end.") from error
        except OSError as error:
            if error.errno not in UNLOCKED:
                raise
            print(f"note: {folder} cannot be locked; let no second run write to it.", file=sys.stderr)
        opened.pop_all()
        return file


class ShardWriter:
    """Appends clips to DATA/role; what an earlier run wrote stays, and `known` names the paths it dealt with."""

    def __init__(self, folder: Path, fields: tuple[str, ...], limit: int = SHARD_SAMPLES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.limit = folder, limit
        with contextlib.ExitStack() as opened:  # closed again, the lock too, where the folder is refused
            self._lock = opened.enter_context(locked(folder))
            self.index = opened.enter_context(contextlib.closing(Journal(folder / "index.csv", fields)))
            self.skipped = opened.enter_context(contextlib.closing(Journal(folder / "skipped.csv", SKIP_FIELDS)))
            self.known = {row["path"] for row in self.index.rows + self.skipped.rows}
            self._shard, self._end = self._last_end(2 if fields == PAIR_FIELDS else 1)
            self._file = self._open()
            opened.pop_all()

    def _last_end(self, channels: int) -> tuple[int, int]:
        if not self.index.rows:
            return 0, 0
        last = self.index.rows[-1]
        return int(last["shard"]), int(last["start"]) + channels * int(last["samples"])

    def _open(self) -> IO[bytes]:
        path = shard_path(self.folder, self._shard)
        path.touch()
        if path.stat().st_size < 2 * self._end:
            raise ConfigError(f"{path} is shorter than its index says; delete {self.folder} and prepare it again.")
        os.truncate(path, 2 * self._end)
        return path.open("ab")

    def add(self, samples: Int16, row: Mapping[str, object]) -> None:
        """Append samples, then the row with shard and start filled in; raises GtcrnError when the disk is full."""
        if self._end and self._end + len(samples) > self.limit:
            self._next_shard()
        with telling_disk_errors(self.folder):
            self._file.write(samples.astype("<i2", copy=False).tobytes())
            self._file.flush()
            self.index.add({**row, "shard": self._shard, "start": self._end})
        self._end += len(samples)

    def _next_shard(self) -> None:
        self._file.close()
        self._shard, self._end = self._shard + 1, 0
        self._file = self._open()

    def skip(self, path: Path, reason: str) -> None:
        with telling_disk_errors(self.folder):
            self.skipped.add({"path": path, "reason": reason})

    def close(self) -> None:
        for file in (self._file, self.index, self.skipped, self._lock):
            with contextlib.suppress(OSError):  # of what could not be written, and was told then
                file.close()

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def telling_disk_errors(folder: Path) -> Iterator[None]:
    """A write that fails becomes a GtcrnError that says what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else f"cannot write: {error.strerror}"
        message = f"{reason}: {folder} holds what was written so far; make room and run again."
        raise GtcrnError(message) from error
