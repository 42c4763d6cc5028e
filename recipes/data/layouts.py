"""Presets: the official folder layouts, one function each, from a root folder to a Corpus."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gtcrn.errors import ConfigError
from gtcrn_recipes.data.corpora import Clip, Corpus, Pair, clips, needed, pairs
from gtcrn_recipes.data.readers import by_folder, by_reader
from gtcrn_recipes.data.sources import by_source

VCTK_TEST = ("p232", "p257")  # the test speakers of VCTK-DEMAND, who are in all of VCTK too
VCTK_VALIDATION = ("p286", "p287")  # of the 28 training speakers; the custom of the field

# Where the file names of the small corpora hold the speaker.
SMALL_SPEAKERS = {"speechocean762": r"^\d{5}", "emodb": r"^\d{2}", "arabic-sc": r"^ar_\d+"}


def corpus(root: Path) -> Corpus:
    """train/{speech,noise,rir} with one folder a source, and valid/{noisy,clean}."""
    train, valid = needed(root / "train", layout="corpus"), needed(root / "valid", layout="corpus")
    return Corpus(
        speech=clips(train / "speech", small_speaker, "train"),
        noise=clips(train / "noise", by_source, "train"),
        rir=clips(train / "rir", room, "train"),
        pairs=(("valid", pairs(valid / "noisy", valid / "clean")),),
    )


def small_speaker(path: Path, root: Path) -> str:
    name = path.relative_to(root).parts[0]
    match = re.match(SMALL_SPEAKERS[name], path.stem) if name in SMALL_SPEAKERS else None
    return match.group() if match else path.stem


def room(path: Path, _: Path) -> str:
    """`place_microphone_channel` -> place: responses of one building belong together."""
    parts = path.stem.split("_")
    return "_".join(parts[: 2 if parts[0] == "openair" else 1])


def dns3(root: Path) -> Corpus:
    """DNS-Challenge 1 to 3, wide band: datasets/{clean,noise,impulse_responses}, or `root` is `datasets` itself."""
    return dns(root, "datasets", "clean", "noise", "DNS3")


def dns5(root: Path) -> Corpus:
    """DNS-Challenge 4 and 5: datasets_fullband/{clean_fullband,noise_fullband}, impulse_responses there or beside."""
    return dns(root, "datasets_fullband", "clean_fullband", "noise_fullband", "DNS4/5")


def dns(root: Path, top: str, clean: str, noise: str, layout: str) -> Corpus:
    def folder(name: str, *more: Path) -> Path:
        return needed(root / name, root / top / name, *more, layout=layout)

    beside = [where / "impulse_responses" for where in (root / "datasets", root.parent, root.parent / "datasets")]
    return Corpus(
        speech=without_test_speakers(clips(folder(clean), by_reader)),
        noise=clips(folder(noise), dns_noise),
        rir=responses(clips(folder("impulse_responses", *beside), by_folder)),
    )


def without_test_speakers(found: tuple[Clip, ...]) -> tuple[Clip, ...]:
    """Without the voices of the test set that most results are told on."""
    groups = {f"{clip.set}/{name}" for clip in found if clip.set.startswith("vctk") for name in VCTK_TEST}
    return tuple(clip for clip in found if clip.group not in groups)


def dns_noise(path: Path, _: Path) -> str:
    """Pieces `..._freesound_..._NUMBER_PIECE` of one recording belong together; other noises are whole clips."""
    return re.sub(r"_\d+$", "", path.stem) if "freesound" in path.stem.lower() else path.stem


def responses(found: tuple[Clip, ...]) -> tuple[Clip, ...]:
    """Without the noise recordings that SLR28 ships among its responses."""
    kept = (c for c in found if "pointsource_noises" not in c.path.parts and "noise" not in c.path.stem.lower())
    return tuple(kept)


def vctk_demand(root: Path) -> Corpus:
    """VCTK-DEMAND, 28 speakers: ready pairs `valid` (p286, p287) and `test`, and the other 26 for training.

    The noise of a training file is its noisy less its clean version, so that it can be mixed anew with other speech.
    """
    sides = [f"{side}_{part}_wav" for side in ("noisy", "clean") for part in ("trainset_28spk", "testset")]
    noisy, noisy_test, clean, clean_test = (needed(root / side, layout="VCTK-DEMAND") for side in sides)
    training = with_snr(pairs(noisy, clean), root, "log_trainset_28spk.txt")
    held_out = tuple(pair for pair in training if speaker_of(pair) in VCTK_VALIDATION)
    if not held_out:
        raise ConfigError(f"{noisy} has no files of the validation speakers {' and '.join(VCTK_VALIDATION)}.")
    kept = [pair for pair in training if speaker_of(pair) not in VCTK_VALIDATION]
    speech = [Clip(p.clean, "vctk-demand", f"vctk-demand/{speaker_of(p)}", "train") for p in kept]
    noise = [replace(clip, path=p.noisy, minus=p.clean) for clip, p in zip(speech, kept, strict=True)]
    test = with_snr(pairs(noisy_test, clean_test), root, "log_testset.txt")
    return Corpus(tuple(speech), tuple(noise), pairs=(("valid", held_out), ("test", test)))


def speaker_of(pair: Pair) -> str:
    return Path(pair.name).name.split("_")[0]


def with_snr(found: tuple[Pair, ...], root: Path, log: str) -> tuple[Pair, ...]:
    """The pairs with the SNR that the corpus's log (lines `p232_001 bus 17.5`) tells, where the log is there."""
    lines = [line.split() for path in sorted(root.rglob(log))[:1] for line in path.read_text().splitlines()]
    snrs = {words[0]: float(words[2]) for words in lines if len(words) == 3}
    return tuple(replace(pair, snr_db=snrs.get(Path(pair.name).name, math.nan)) for pair in found)


PRESETS: dict[str, Callable[[Path], Corpus]] = {
    "corpus": corpus,
    "dns3": dns3,
    "dns4": dns5,
    "dns5": dns5,
    "vctk-demand": vctk_demand,
}


def preset(name: str, root: Path) -> Corpus:
    """The Corpus of a known layout; raises ConfigError for an unknown name or a folder that is missing."""
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}.")
    return PRESETS[name](needed(root))
