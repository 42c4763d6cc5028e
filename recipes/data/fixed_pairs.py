"""Validation pairs from held-out clips, for corpora that come without: dry speech, one noise, fixed SNRs.

Mixed once and stored, so that each validation of every run scores the same samples.
"""

from itertools import cycle
from pathlib import Path

import numpy as np

from gtcrn.config import SAMPLE_RATE
from gtcrn.errors import ConfigError
from gtcrn.types import Samples
from gtcrn_recipes.data.dataset import ClipStore
from gtcrn_recipes.data.intake import to_int16
from gtcrn_recipes.data.shards import PAIR_FIELDS, ShardWriter, read_rows

SNRS_DB = (-5, 0, 5, 10, 15)  # in turn
LEVELS_DBFS = (-35.0, -18.0)  # of the speech, drawn uniformly
SECONDS = 6
FRAME = 512  # samples in which the activity of speech is judged, 32 ms
ACTIVE_DB = 40.0  # a frame this far below the loudest still counts as speech


def make_pairs(root: Path, count: int, name: str = "valid", seed: int = 1) -> int:
    """Bring the pairs of the split "valid" in DATA/pairs/NAME to `count`; returns how many were made.

    All are drawn each time, and those that an interrupted run wrote are passed over, so that the rest is what it would
    have been. Pairs that came from elsewhere stay alone. Raises ConfigError where no speech or no noise was held out,
    or what was is silent, GtcrnError when the disk is full.
    """
    snrs = {f"{number:04d}_snr{snr_db:+03d}": snr_db for number, snr_db in zip(range(count), cycle(SNRS_DB))}
    with ShardWriter(root / "pairs" / name, PAIR_FIELDS) as writer:
        if not writer.known < snrs.keys():
            return 0
        speech, noise = (ClipStore.open(root, role, "valid") for role in ("speech", "noise"))
        random = np.random.default_rng(seed)
        for pair, snr_db in snrs.items():
            clean = active_excerpt(speech, random)
            noisy, clean = mixed(clean, excerpt(noise, len(clean), random), snr_db, random.uniform(*LEVELS_DBFS))
            if pair not in writer.known:
                row = {"name": pair, "snr_db": float(snr_db), "samples": len(clean), "path": pair}
                writer.add(to_int16(np.concatenate([noisy, clean])), row)
        return count - len(writer.known)


def nothing_held_out(root: Path) -> str:
    """The roles that pairs need and of which there is nothing to make them from, in words; empty where all is there."""
    held_out = {role: {row["split"] for row in read_rows(root / role / "index.csv")} for role in ("speech", "noise")}
    return " and ".join(role for role, splits in held_out.items() if "valid" not in splits)


def active_excerpt(store: ClipStore, random: np.random.Generator) -> Samples:
    """Up to SECONDS of a clip; another one where it is silent."""
    for _ in range(100):
        clip = int(random.integers(len(store)))
        spare = int(store.clips["samples"][clip]) - SECONDS * SAMPLE_RATE
        start = int(random.integers(spare + 1)) if spare > 0 else 0
        audio = store.read(clip, start, SECONDS * SAMPLE_RATE).astype(np.float32) / np.float32(32768)
        if len(audio) >= FRAME and active_level(audio) > 1e-3:
            return audio
    raise ConfigError(f"{store.shards.folder} holds next to no speech above -60 dBFS.")


def excerpt(store: ClipStore, samples: int, random: np.random.Generator) -> Samples:
    """`samples` of a clip from a random place, repeated where it ends; another one where it is silent."""
    for _ in range(100):
        clip = store.read(int(random.integers(len(store)))).astype(np.float32) / np.float32(32768)
        noise = np.take(clip, random.integers(len(clip)) + np.arange(samples), mode="wrap")
        if level(noise) > 1e-4:
            return noise
    raise ConfigError(f"{store.shards.folder} holds next to no noise above -80 dBFS.")


def mixed(speech: Samples, noise: Samples, snr_db: float, level_dbfs: float) -> tuple[Samples, Samples]:
    """(noisy, clean) with speech at `level_dbfs` and noise `snr_db` below it, both on active speech."""
    clean = speech * np.float32(10 ** (level_dbfs / 20) / active_level(speech))
    gain = 10 ** ((level_dbfs - snr_db) / 20) / level(noise)
    return clean + noise * np.float32(gain), clean


def level(noise: Samples) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(noise**2, dtype=np.float64)))


def active_level(speech: Samples) -> float:
    """Root mean square of the frames within ACTIVE_DB of the loudest; the same measure as in the training mixtures."""
    power = np.mean(speech[: len(speech) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64) ** 2, axis=1)
    return float(np.sqrt(power[power >= power.max() * 10 ** (-ACTIVE_DB / 10)].mean()))
