"""Presets: the official folder layouts, one function each, from a root folder to a Corpus."""

import re
from collections.abc import Callable
from pathlib import Path

from gtcrn_recipes.corpora import (
    Corpus,
    by_name,
    by_source,
    clips,
    needed,
    pairs,
)

SPEAKERS = {  # where the names of the small corpora hold the speaker
    "speechocean762": r"^\d{5}",
    "emodb": r"^\d{2}",
    "arabic-sc": r"^ar_\d+",
}


def corpus(root: Path) -> Corpus:
    """train/{speech,noise,rir} with one folder a source, and valid/{noisy,clean}."""
    train = needed(root / "train", "corpus")
    valid = needed(root / "valid", "corpus")
    return Corpus(
        speech=clips(train / "speech", small_corpus_speaker, split="train"),
        noise=clips(train / "noise", by_source, split="train"),
        rir=clips(train / "rir", by_room, split="train"),
        pairs=(("valid", pairs(valid / "noisy", valid / "clean")),),
    )


def small_corpus_speaker(name: str, path: Path) -> str:
    match = re.match(SPEAKERS.get(name, r"$^"), path.stem)
    return match.group() if match else by_name(name, path)


def by_room(_: str, path: Path) -> str:
    """`place_microphone_channel` -> place: responses of one building belong together."""
    parts = path.stem.split("_")
    return "_".join(parts[: 2 if parts[0] == "openair" else 1])


PRESETS: dict[str, Callable[[Path], Corpus]] = {"corpus": corpus}
