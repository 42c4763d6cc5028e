"""From what was typed to pairs of input and output files: folders, patterns, names, and what is refused before work."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from gtcrn import patterns
from gtcrn.audio.formats import CONTAINERS, MEDIA
from gtcrn.errors import AudioError
from gtcrn.recording import MARK, beside


@dataclass(frozen=True)
class Job:
    """One file to read and the place of its output."""

    source: Path
    target: Path


def plan(inputs: Sequence[str], output: str | None, suffix: str | None = None, overwrite: bool = False) -> list[Job]:
    """Jobs for files, folders (searched below, structure kept) and patterns.

    `output` is a file for one input file and a folder otherwise; None: NAME.denoised.EXT beside each input.
    `suffix` replaces the outputs' extensions. Raises AudioError for inputs that do not exist, outputs that would meet,
    and an output that is an input (unless `overwrite`).
    """
    found = expand(inputs, output)
    single = len(found) == 1 and Path(inputs[0]) == found[0][0]
    if output is not None and not single and (os.path.isfile(output) or _is_named_as_file(output)):
        raise AudioError(f"{output} is a file; {len(found)} inputs need a folder.")
    jobs = [Job(source, _target(source, relative, output, suffix, single)) for source, relative in found]
    _refuse_meeting(jobs)
    if not overwrite:
        _refuse_inputs(jobs)
    return jobs


def expand(inputs: Sequence[str], output: str | None) -> list[tuple[Path, Path]]:
    """Files that inputs stand for, each once, and their names below an output folder. Raises AudioError for none."""
    return list(dict.fromkeys(pair for argument in inputs for pair in _expand(argument, output)))


def _expand(argument: str, output: str | None) -> list[tuple[Path, Path]]:
    """Files and their names relative to what was typed."""
    path = Path(argument)
    if path.is_dir():
        return _below(path, output)
    base, pattern = patterns.split(path)
    if not pattern:
        return [(path, Path(path.name))]  # a missing file fails when it is opened, and does not stop the others
    files = [(base / name, name) for name in patterns.files(base, pattern)]
    if not files:
        raise AudioError(f"no file matches {argument!r}.")
    return files


def _below(folder: Path, output: str | None) -> list[tuple[Path, Path]]:
    """Audio files anywhere in a folder, but for hidden ones and the outputs of an earlier run."""
    os.scandir(folder).close()  # searching passes over what may not be read
    own = Path(output).resolve() if output is not None else None
    if own == folder.resolve():
        own = None
    files = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if _is_hidden(relative) or not is_audio(path) or path.stem.endswith(MARK) or not os.path.isfile(path):
            continue
        if own is None or own not in path.resolve().parents:
            files.append((path, relative))
    if not files:
        raise AudioError(f"the folder {folder} holds no audio files.")
    return files


def left_out(inputs: Sequence[str]) -> list[Path]:
    """What is in the folders among the inputs and no audio by its name, or a folder that may not be read."""
    folders = [Path(argument) for argument in inputs if os.path.isdir(argument)]
    found = [(path, path.relative_to(folder)) for folder in folders for path in sorted(folder.rglob("*"))]
    return [path for path, name in found if not _is_hidden(name) and (_is_other(path) or _is_closed(path))]


def _is_other(path: Path) -> bool:
    return not is_audio(path) and os.path.isfile(path)


def _is_closed(path: Path) -> bool:
    return os.path.isdir(path) and not os.access(path, os.R_OK | os.X_OK)


def _is_named_as_file(output: str) -> bool:
    """Whether an output that is not there is meant to be one recording: `-o all.wav`; `all.wav/` is a folder."""
    return not os.path.isdir(output) and not output.endswith(os.sep) and is_audio(Path(output))


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def is_audio(path: PurePath) -> bool:
    """Whether a name is one of audio or films."""
    return path.suffix.lower() in CONTAINERS or path.suffix.lower() in MEDIA


def _target(source: Path, relative: Path, output: str | None, suffix: str | None, single: bool) -> Path:
    suffix = suffix or source.suffix
    if output is None:
        return beside(source, suffix)
    if single and not Path(output).is_dir() and not output.endswith(os.sep):
        return Path(output)
    return Path(output) / relative.with_suffix(suffix)


def _refuse_meeting(jobs: list[Job]) -> None:
    seen: dict[Path, Path] = {}
    for job in jobs:
        other = seen.setdefault(job.target.resolve(), job.source)
        if other != job.source:
            raise AudioError(f"{other} and {job.source} would both be written to {job.target}.")


def _refuse_inputs(jobs: list[Job]) -> None:
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        same = job.target.resolve() in sources
        if same or (os.path.exists(job.target) and os.path.exists(job.source) and job.target.samefile(job.source)):
            raise AudioError(f"the output {job.target} is an input; use --overwrite to replace it.")
