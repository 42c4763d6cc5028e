"""Small sounds and folders of them, for the tests of preparation and evaluation."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile as sf

from gtcrn_recipes.data.corpora import by_pattern, plain
from gtcrn_recipes.data.prepare import Summary, prepare

RATE = 16_000  # Hz


def voice(seconds: float = 1.0, seed: int = 0, rate: int = RATE) -> npt.NDArray[np.float64]:
    """Something with the rhythm of speech: harmonics of a gliding pitch in syllables with pauses, peak 0.3."""
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    pitch = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * t + seed)) / rate
    harmonics = sum(np.sin(k * pitch + random.uniform(0, 6)) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 3 * t + random.uniform(0, 6)), 0, 1) ** 0.5
    audio = (harmonics + 0.1 * random.standard_normal(len(t))) * syllables
    return np.asarray(0.3 * audio / np.abs(audio).max())


def hiss(seconds: float = 1.0, seed: int = 0, rate: int = RATE) -> npt.NDArray[np.float64]:
    """White noise, root mean square 0.05."""
    return 0.05 * np.random.default_rng(seed).standard_normal(round(seconds * rate))


def save(path: Path, audio: npt.NDArray[np.float64], rate: int = RATE, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, audio, rate, subtype=subtype)
    return path


def plain_tree(root: Path, speakers: int = 4, files: int = 3) -> Path:
    """root/speech/setA/sNN-K.wav, root/noise/drone-NN.wav, root/rir/hall.wav."""
    for s in range(speakers):
        for k in range(files):
            save(root / f"speech/setA/s{s:02d}-{k}.wav", voice(0.8, seed=10 * s + k))
    for n in range(2 * speakers):
        save(root / f"noise/drone{n // 2}-{n % 2:02d}.wav", hiss(0.8, seed=n))
    response = np.zeros(2000)
    response[[400, 700]] = 0.5, 0.2
    save(root / "rir/hall.wav", response)
    return root


def take_in(out: Path, tree: Path, jobs: int = 1, valid_share: float = 0.0) -> dict[str, Summary]:
    """Prepare a tree of `plain_tree`; what that did, by role."""
    found = plain([tree / "speech"], [tree / "noise"], [tree / "rir"], by_pattern(r"s\d\d"))
    return {summary.role: summary for summary in prepare(out, found, jobs=jobs, valid_share=valid_share)}


def vctk_tree(root: Path, speakers: tuple[str, ...] = ("p226", "p227", "p286", "p287")) -> Path:
    """The four folders of VCTK-DEMAND and its two logs, one file a speaker and one of p232 to test."""
    for part, names in (("trainset_28spk", speakers), ("testset", ("p232",))):
        lines = []
        for i, name in enumerate(names):
            clean, noise = voice(1.5, seed=i, rate=48_000), hiss(1.5, seed=i, rate=48_000)
            save(root / f"clean_{part}_wav/{name}_001.wav", clean, 48_000)
            save(root / f"noisy_{part}_wav/{name}_001.wav", clean + noise, 48_000)
            lines.append(f"{name}_001 cafe {2.5 + 5 * i}")
        (root / f"log_{part}.txt").write_text("\n".join(lines) + "\n")
    return root


def dns_tree(root: Path, clean: str, noise: str) -> Path:
    """Readers of LibriVox, an actor of CREMA-D, a speaker of VCTK, noises, and responses among noise recordings."""
    names = (
        *("read_speech/book_1_chp_2_reader_06709_0.wav", "read_speech/book_1_chp_2_reader_06709_1.wav"),
        *("read_speech/book_3_chp_1_reader_00010_0.wav", "emotional_speech/1001_DFA_ANG_XX.wav"),
        *("vctk_wav48/p225/p225_001_mic1.wav", "german_speech/karl/first.wav", "german_speech/karl/second.wav"),
    )
    for i, name in enumerate(names):
        save(root / clean / name, voice(0.8, seed=i))
    for i, name in enumerate(("door_Freesound_validated_123_0", "door_Freesound_validated_123_1", "-AbC_12")):
        save(root / noise / f"{name}.wav", hiss(0.8, seed=i))
    for name in ("SLR26/Room001/Room001-00001", "SLR28/pointsource_noises/bell", "SLR28/real/RWCP_type1_noise"):
        save(root / "datasets/impulse_responses" / f"{name}.wav", np.r_[0.9, hiss(0.1)])
    return root


def pair_folders(root: Path) -> Path:
    """noisy/, clean/ and enhanced/ of four files at two SNRs; the enhanced ones have a tenth of the noise."""
    for i, snr in enumerate((0, 0, 10, 10)):
        clean, noise = voice(2.0, seed=i), hiss(2.0, seed=i) / 10 ** (snr / 20)
        for kind, audio in (("clean", clean), ("noisy", clean + noise), ("enhanced", clean + 0.1 * noise)):
            save(root / kind / f"{i}_snr{snr:+03d}.wav", audio)
    return root


def folder_contents(folder: Path) -> dict[str, bytes]:
    """All files below, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
