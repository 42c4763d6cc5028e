"""Make the examples of this folder: speech from espeak-ng, noises from formulas, and what the denoiser makes of them.

    python samples/make_samples.py

Needs espeak-ng and matplotlib. Everything is drawn from fixed seeds: with espeak-ng 1.51 always the same files.
The denoised files are made of the noisy ones as written, by the shipped weights of both sizes.
"""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

import gtcrn

Samples = NDArray[np.float32]

FOLDER = Path(__file__).parent
RATE = 16_000  # Hz
SECONDS = 3.6
SIZES = {"gtcrn": "denoised", "large": "denoised_large"}  # weights: how their files are named
SPEECH_DBFS = -28.0  # root mean square of the clean speech
EXAMPLES = {  # name: voice, sentence, noise, SNR in dB
    "": ("en-us+f4", "The train to the coast leaves at a quarter past nine.", "fan", 5.0),
    "keys_": ("en-gb+m3", "Please send me the second page once more.", "keys", 0.0),
    "babble_": ("en-us+m1", "We will meet at the corner by the old library.", "babble", 5.0),
    "music_": ("en-us+f1", "Could you turn that down, I am on the phone.", "music", 5.0),
}
CROWD = {
    "en-gb+m7": "Then she told him that the boat had already gone and nobody knew when it would be back.",
    "en-us+f2": "Two coffees and a piece of that cake, please, and could we have the window table today.",
    "en-gb-scotland+m2": "It rained the whole week, so we stayed indoors and played cards until late.",
    "en-us+m5": "The meeting was moved to Thursday, which suits nobody but the people upstairs.",
    "en-gb+f4": "I have never seen so many bicycles in one street as on that bright morning.",
}
CHORDS = [(45, 64, 69, 72), (41, 65, 69, 72), (48, 64, 67, 72), (43, 62, 67, 71)]  # MIDI keys: bass, then three above


def speak(voice: str, text: str, words_per_minute: int = 150) -> Samples:
    """A sentence at RATE, SECONDS long, silence at its ends."""
    command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "--stdout", text]
    sound, rate = soundfile.read(
        io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout), dtype="float32"
    )
    speech = soxr.resample(np.pad(sound, (rate // 5, rate)), rate, RATE)
    return np.pad(speech, (0, max(0, int(SECONDS * RATE) - len(speech))))[: int(SECONDS * RATE)]


def coloured(rng: np.random.Generator, slope: float) -> Samples:
    """Noise whose spectrum falls by `slope` dB an octave above 50 Hz."""
    count = int(SECONDS * RATE)
    frequencies = np.fft.rfftfreq(count, 1 / RATE)
    shape = 10 ** (-slope / 20 * np.log2(np.maximum(frequencies, 50) / 50))
    return np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * shape, count).astype(np.float32)


def fan(rng: np.random.Generator) -> Samples:
    """A ventilator: pink noise that swells with the blades, and the hum of its motor."""
    t = np.arange(int(SECONDS * RATE)) / RATE
    air = coloured(rng, 3.0)
    hum = sum(np.sin(2 * np.pi * 98 * k * t + k) / k for k in range(1, 6))
    return (air / air.std() * (1 + 0.3 * np.sin(2 * np.pi * 7.3 * t)) + 0.25 * hum).astype(np.float32)


def keys(rng: np.random.Generator) -> Samples:
    """Somebody types beside the microphone: short resonant clicks over a quiet room."""
    room = coloured(rng, 5.0)
    sound = 0.15 * room / room.std()
    t = np.arange(RATE // 20) / RATE
    for start in np.cumsum(rng.uniform(0.07, 0.28, 40)) * RATE:
        click = rng.standard_normal(len(t)) * np.exp(-t * rng.uniform(120, 300))
        ring = np.sin(2 * np.pi * rng.uniform(900, 2600) * t) * np.exp(-t * 160)
        end = min(len(sound), int(start) + len(t))
        sound[int(start) : end] += (rng.uniform(1, 3) * (click + ring))[: max(0, end - int(start))]
    return sound.astype(np.float32)


def babble(rng: np.random.Generator) -> Samples:
    """Other people in the room, each twice, at other times, over the murmur of the rest."""
    voices = [speak(voice, text, 170) for voice, text in CROWD.items()]
    turned = [np.roll(voice / voice.std(), int(rng.integers(len(voice)))) for voice in voices * 2]
    murmur = coloured(rng, 4.0)
    return np.asarray(np.sum(turned, axis=0) + murmur / murmur.std(), np.float32)


def music(rng: np.random.Generator) -> Samples:
    """A piano plays four chords, broken, over their bass: partials that die away, the high ones sooner."""
    t = np.arange(2 * RATE) / RATE
    sound = np.zeros(int(SECONDS * RATE) + len(t))
    for beat, start in enumerate(np.arange(0, SECONDS, 0.2) * RATE):
        chord = CHORDS[beat // 4 % len(CHORDS)]
        for key in (chord[0], chord[1 + beat % 3])[beat % 4 > 0 :]:  # a bass note every fourth beat
            hz = 440 * 2 ** ((key - 69) / 12)
            note = sum(np.sin(2 * np.pi * hz * k * t) * np.exp(-(2 + k) * t) / k for k in range(1, 9))
            sound[int(start) : int(start) + len(t)] += rng.uniform(0.6, 1) * note * np.minimum(t / 0.004, 1)
    return sound[: int(SECONDS * RATE)].astype(np.float32)


NOISES = {"fan": fan, "keys": keys, "babble": babble, "music": music}


def mix(speech: Samples, noise: Samples, snr_db: float) -> tuple[Samples, Samples]:
    """Noisy and clean: SNR over the time that speech is active."""
    active = np.abs(speech) > 0.01 * np.abs(speech).max()
    clean = speech * (10 ** (SPEECH_DBFS / 20) / np.sqrt(np.mean(speech[active] ** 2)))
    scale = np.sqrt(np.mean(clean[active] ** 2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    return clean + scale * noise, clean


def draw(path: Path, examples: dict[str, dict[str, Samples]]) -> None:
    """Spectrograms of before and after, one above the other, an example a column."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = len(next(iter(examples.values())))
    size = (4 + 4 * len(examples), 2.3 * rows)
    figure, axes = pyplot.subplots(rows, len(examples), figsize=size, sharex=True, squeeze=False, layout="constrained")
    for column, (name, sounds) in zip(axes.T, examples.items(), strict=True):
        for axis, (title, samples) in zip(column, sounds.items(), strict=True):
            axis.specgram(samples + 1e-7, NFFT=512, Fs=RATE / 1e3, noverlap=384, cmap="magma", vmin=-110, vmax=-30)
            axis.set(ylabel="kHz", title=f"{name}, {title}" if name else title)
        column[-1].set_xlabel("ms")
    figure.savefig(path, dpi=90, pil_kwargs={"quality": 85})


def write(name: str, samples: Samples) -> Samples:
    """Write a file of 16 bits; returns what it holds."""
    if np.abs(samples).max() >= 1:
        raise SystemExit(f"{name} is beyond full scale: lower SPEECH_DBFS.")
    path = FOLDER / f"{name}.wav"
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return np.asarray(soundfile.read(path, dtype="float32")[0])


def main() -> None:
    if not shutil.which("espeak-ng"):
        raise SystemExit("espeak-ng is not installed: it speaks the examples.")
    denoisers = {title: gtcrn.load(name) for name, title in SIZES.items()}
    sounds: dict[str, dict[str, Samples]] = {}
    for seed, (name, (voice, text, kind, snr_db)) in enumerate(EXAMPLES.items()):
        mixed, clean = mix(speak(voice, text), NOISES[kind](np.random.default_rng(seed)), snr_db)
        noisy = write(f"{name}noisy", mixed)
        if not name:
            write("clean", clean)
        denoised = {title: denoiser(noisy) for title, denoiser in denoisers.items()}
        for title, samples in denoised.items():
            write(f"{name}{title}", samples)
        sounds[kind] = {"noisy": noisy, **{title.replace("_", ", "): samples for title, samples in denoised.items()}}
    draw(FOLDER / "spectrogram.jpg", {"": {title: sounds["fan"][title] for title in ("noisy", "denoised")}})
    draw(FOLDER / "spectrograms.jpg", {name: sounds[name] for name in ("babble", "music")})


if __name__ == "__main__":
    main()
