"""Reading what `gtcrn prepare` wrote: clips of a role, and ready pairs."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gtcrn.config import SAMPLE_RATE
from gtcrn.errors import ConfigError
from gtcrn.types import Samples
from gtcrn_recipes.data.shards import Int16, Row, read_rows, shard_path

CLIP = np.dtype([("shard", np.int32), ("start", np.int64), ("samples", np.int64), ("speaker", np.int32)])

ClipTable = npt.NDArray[np.void]


class Shards:
    """int16 shards of one folder, read from disk as needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, shard: int, start: int, samples: int) -> Int16:
        """`samples` samples. Not through a map, whose pages would in time hold the whole shard in memory."""
        path = shard_path(self.folder, shard)
        found = np.fromfile(path, "<i2", samples, offset=start * np.dtype(np.int16).itemsize)
        if len(found) < samples:
            raise ConfigError(f"{path} is shorter than its index says; prepare it again.")
        return found


@dataclass
class ClipStore:
    """The clips of one role and split.

    clips: structured array (n,) of shard, start and samples (in samples) and speaker (index into `speakers`).
    """

    shards: Shards
    clips: ClipTable
    speakers: list[str]  # "set/name"; a noise source or a room in the other roles
    sets: list[str]  # the data set of each clip

    @classmethod
    def open(
        cls,
        root: Path | str,
        role: str,
        split: str = "train",
        include: Collection[str] | None = None,
        exclude: Collection[str] | None = None,
    ) -> "ClipStore":
        """Clips of DATA/role; `include` and `exclude` name whole data sets (the index's column `set`).

        Raises ConfigError where nothing was prepared, a data set is unknown, or nothing is left.
        """
        folder = Path(root) / role
        rows = index_rows(folder)
        names = wanted_sets(folder, {row["set"] for row in rows}, include, exclude)
        kept = [row for row in rows if row["split"] == split and row["set"] in names]
        if not kept:
            raise ConfigError(f"{folder} holds no clips of the split {split!r} in the data sets asked for.")
        speakers = sorted({row["speaker"] for row in kept})
        number = {name: i for i, name in enumerate(speakers)}
        table = [(int(r["shard"]), int(r["start"]), int(r["samples"]), number[r["speaker"]]) for r in kept]
        return cls(Shards(folder), np.array(table, CLIP), speakers, [row["set"] for row in kept])

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def seconds(self) -> float:
        return float(self.clips["samples"].sum()) / SAMPLE_RATE

    @property
    def bytes(self) -> int:
        """Of all clips together."""
        return int(self.clips["samples"].sum()) * np.dtype(np.int16).itemsize

    def read(self, clip: int, start: int = 0, length: int | None = None) -> Int16:
        """int16 samples (length,) of one clip from `start`; fewer where the clip ends, all by default."""
        entry = self.clips[clip]
        left = max(0, int(entry["samples"]) - start)
        length = left if length is None else min(length, left)
        return self.shards.read(int(entry["shard"]), int(entry["start"]) + start, length)

    def concatenate(self) -> tuple[Int16, npt.NDArray[np.int64]]:
        """All clips in one int16 array in memory, and the start of each in it, in samples."""
        ends = np.cumsum(self.clips["samples"])
        joined = np.empty(int(self.clips["samples"].sum()), np.int16)
        starts = ends - self.clips["samples"]
        for clip, start in enumerate(starts):
            joined[start : start + self.clips["samples"][clip]] = self.read(clip)
        return joined, starts


@dataclass(frozen=True)
class ReadyPair:
    """A pair to validate on: float32 (n,) each, snr_db NaN where unknown."""

    name: str
    noisy: Samples
    clean: Samples
    snr_db: float


@dataclass
class PairSet:
    """Ready pairs of DATA/pairs/NAME, in the order of their names."""

    shards: Shards
    rows: list[Row]

    @classmethod
    def open(cls, root: Path | str, name: str) -> "PairSet":
        """Raises ConfigError where no such pairs were prepared."""
        folder = Path(root) / "pairs" / name
        return cls(Shards(folder), sorted(index_rows(folder), key=lambda row: row["name"]))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> ReadyPair:
        row = self.rows[number]
        samples = int(row["samples"])
        stored = self.shards.read(int(row["shard"]), int(row["start"]), 2 * samples)
        both = stored.astype(np.float32) / np.float32(32768)
        return ReadyPair(row["name"], both[:samples], both[samples:], float(row["snr_db"]))

    def __iter__(self) -> Iterator[ReadyPair]:
        return (self[number] for number in range(len(self)))


def index_rows(folder: Path) -> list[Row]:
    rows = read_rows(folder / "index.csv")
    if not rows:
        raise ConfigError(f"there is nothing prepared in {folder}; run gtcrn prepare first.")
    return rows


def wanted_sets(
    folder: Path, own: set[str], include: Collection[str] | None, exclude: Collection[str] | None
) -> set[str]:
    if unknown := sorted({*(include or ()), *(exclude or ())} - own):
        raise ConfigError(f"{folder} has no data set {unknown[0]!r}; it has {', '.join(sorted(own))}.")
    return (own if include is None else set(include)) - set(exclude or ())
