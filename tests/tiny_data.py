"""A data set of seconds: voices are buzzing tones, noises are noise, rooms are short decays."""

from pathlib import Path

import numpy as np
import soundfile

from gtcrn_recipes.data.corpora import Corpus, Pair, plain
from gtcrn_recipes.data.prepare import prepare

RATE = 16_000


def voice(seconds: float, pitch: float, random: np.random.Generator) -> np.ndarray:
    """Syllables of a harmonic tone, -20 dBFS or so."""
    t = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 3 * t + random.uniform(0, 6)), 0, 1)
    return (0.1 * tone * syllables).astype(np.float32)


def make_data(root: Path) -> Path:
    """Write audio files below `root` and prepare them; returns the data set's folder."""
    random = np.random.default_rng(0)
    folders = {role: root / "audio" / role / "tiny" for role in ("speech", "noise", "rir", "noisy", "clean")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    for index in range(4):
        _write(folders["speech"] / f"s{index}.wav", voice(2.0, 110 + 30 * index, random))
        _write(folders["noise"] / f"n{index}.wav", 0.1 * random.standard_normal(2 * RATE))
        decay = np.exp(-np.arange(2000) / 300) * random.standard_normal(2000) * 0.1
        _write(folders["rir"] / f"r{index}.wav", np.concatenate(([0.9], decay)))
    pairs = [_pair(folders, index, random) for index in range(2)]
    corpus = plain([folders["speech"].parent], [folders["noise"].parent], [folders["rir"].parent])
    prepare(root / "data", corpus + Corpus(pairs=(("valid", tuple(pairs)),)))
    return root / "data"


def _pair(folders: dict[str, Path], index: int, random: np.random.Generator) -> Pair:
    clean = voice(1.5, 150 + 20 * index, random)
    noisy, name = clean + 0.02 * random.standard_normal(len(clean)), f"{index}_snr+10"
    _write(folders["clean"] / f"{name}.wav", clean)
    _write(folders["noisy"] / f"{name}.wav", noisy)
    return Pair(name, folders["noisy"] / f"{name}.wav", folders["clean"] / f"{name}.wav", 10.0)


def _write(path: Path, audio: np.ndarray) -> None:
    soundfile.write(path, np.clip(audio, -1, 1), RATE, subtype="PCM_16")
