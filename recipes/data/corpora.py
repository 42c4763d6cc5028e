"""What the folder layouts of known corpora tell: which files, in which role, whose voice, which part."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from gtcrn import patterns
from gtcrn.errors import ConfigError
from gtcrn_recipes.data.readers import by_reader
from gtcrn_recipes.data.sources import by_source

AUDIO = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".w64", ".caf"})
OTHER_AUDIO = frozenset({".m4a", ".mp4", ".aac", ".wma", ".webm", ".mka", ".amr", ".3gp", ".ape", ".wv", ".sph"})


@dataclass(frozen=True)
class Clip:
    """One file to take in. Whatever shares a `group` (speaker, noise source, room) goes to the same split."""

    path: Path
    set: str  # the data set it belongs to
    group: str
    split: str = ""  # decided by the layout; empty where `prepare` is to decide
    minus: Path | None = None  # a file to subtract: noisy less clean is the noise

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class Pair:
    """A ready pair of noisy and clean recordings."""

    name: str
    noisy: Path
    clean: Path
    snr_db: float  # NaN where nothing tells

    def __str__(self) -> str:
        return str(self.noisy)


@dataclass(frozen=True)
class Corpus:
    """Everything one or more folders offer."""

    speech: tuple[Clip, ...] = ()
    noise: tuple[Clip, ...] = ()
    rir: tuple[Clip, ...] = ()
    pairs: tuple[tuple[str, tuple[Pair, ...]], ...] = ()  # name of the set of pairs, pairs

    def __add__(self, other: "Corpus") -> "Corpus":
        joined = [getattr(self, name) + getattr(other, name) for name in ("speech", "noise", "rir", "pairs")]
        return Corpus(*joined)


Grouping = Callable[[Path, Path], str]  # (file, root) -> group


def audio_files(where: Path) -> list[Path]:
    """Audio files below a folder, or those a glob such as `data/**/*.wav` matches, in a fixed order."""
    files = sorted(path for path in below(where) if path.suffix.lower() in AUDIO and path.is_file())
    if not files:
        raise ConfigError(f"there are no audio files in {where} (looked for {', '.join(sorted(AUDIO))}).")
    return files


def passed_over(places: Iterable[Path]) -> list[str]:
    """A note about the audio below folders or globs that `audio_files` does not take; none where all is taken."""
    found = Counter(path.suffix.lower() for where in places for path in below(where))
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(found.items()) if kind in OTHER_AUDIO)
    return [f"note: passed over {told}; convert what is to be taken to WAV or FLAC first."] if told else []


def below(where: Path) -> Iterable[Path]:
    """Whatever is in a folder, or a glob matches."""
    root, pattern = split_glob(where)
    return (root / name for name in patterns.files(root, pattern)) if pattern else root.rglob("*")


def split_glob(where: Path) -> tuple[Path, str]:
    """The folder, resolved, that each file's path starts with, and the pattern below it: none for a plain folder."""
    folder, pattern = patterns.split(where)
    return needed(folder).resolve(), pattern


def needed(*folders: Path, layout: str = "") -> Path:
    """The first of the folders that exists; raises ConfigError naming them all where none does."""
    for folder in folders:
        if folder.is_dir():
            return folder
    looked = " or ".join(map(str, folders))
    raise ConfigError(f"there is no folder {looked}" + (f", where the layout {layout} has it." if layout else "."))


def clips(where: Path, grouping: Grouping, split: str = "") -> tuple[Clip, ...]:
    """Every file below `where`, in the group that `grouping` finds for it."""
    root, _ = split_glob(where)
    return tuple(Clip(path, *placed(path, root, grouping(path, root)), split) for path in audio_files(where))


def placed(path: Path, root: Path, group: str) -> tuple[str, str]:
    """(set, set/group): the first folder below the root names the data set, unless it is the group itself."""
    first, *below = path.relative_to(root).parts
    name = first if below and first != group else root.name
    return name, f"{name}/{group.removeprefix(name + '/')}"


def by_name(path: Path, _: Path) -> str:
    """Each file is a group of its own."""
    return path.stem


def by_pattern(pattern: str) -> Grouping:
    """What a regular expression finds in the path (its first bracket, or all of it); elsewhere as `by_reader`."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"{pattern!r} is not a regular expression: {error}.") from error
    return lambda path, root: found_by(compiled, path) or by_reader(path, root)


def found_by(pattern: re.Pattern[str], path: Path) -> str:
    match = pattern.search(path.as_posix())
    return match.group(1 if match.lastindex else 0) if match else ""


def partners(folder: Path) -> dict[str, Path]:
    """Files by their path below the folder without extension, and by what `file_id` leaves of it."""
    root = folder.resolve()
    found = {path.relative_to(root).with_suffix("").as_posix(): path for path in audio_files(folder)}
    return {file_id(name): path for name, path in found.items()} | found


def partner(known: dict[str, Path], name: str) -> Path | None:
    """The file of this name or, where there is none, of the same file id."""
    return known.get(name, known.get(file_id(name)))


def file_id(name: str) -> str:
    """`a/fileid_158` of `a/book_snr15_tl-21_fileid_158`: in this the DNS-Challenge's noisy and clean files agree."""
    return re.sub(r"[^/]*(fileid_\d+)$", r"\1", name)


def snr_in_name(name: str) -> float:
    """SNR in dB that a name tells: `snr-05`, `snr+10`, `snr5`, `SNR_12.5`; NaN where it tells none."""
    match = re.search(r"snr_?([+-]?\d+(?:\.\d+)?)", name, re.IGNORECASE)
    return float(match.group(1)) if match else float("nan")


def plain(
    speech: Iterable[Path] = (),
    noise: Iterable[Path] = (),
    rir: Iterable[Path] = (),
    speaker: Grouping = by_reader,
) -> Corpus:
    """Folders or globs by role; noises and rooms are grouped by the names of their files."""
    return Corpus(
        tuple(clip for where in speech for clip in clips(where, speaker)),
        tuple(clip for where in noise for clip in clips(where, by_source)),
        tuple(clip for where in rir for clip in clips(where, by_name)),
    )


def pairs(noisy: Path, clean: Path) -> tuple[Pair, ...]:
    """Files of two folders that `partner` brings together; raises ConfigError where a clean one is missing."""
    root, cleans, found = noisy.resolve(), partners(clean), {}
    for path in audio_files(noisy):
        name = path.relative_to(root).with_suffix("").as_posix()
        other = partner(cleans, name)
        if other is None:
            raise ConfigError(f"{path} has no clean file of the same name (or fileid) in {clean}.")
        found[name] = Pair(name, path, other, snr_in_name(path.stem))
    return tuple(found.values())
