"""From what was typed to what is worked on: files, folders, patterns, lists, shards, here or at addresses."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from gtcrn import plan
from gtcrn.cluster import places, shards
from gtcrn.cluster.lists import List, Renamed, kind_of
from gtcrn.cluster.record import key
from gtcrn.errors import AudioError
from gtcrn.plan import is_audio
from gtcrn.recording import MARK


@dataclass(frozen=True)
class Item:
    """A file to work on and the place of its output, paths or addresses; `size` in bytes where that is known.

    `keep`: not if there is such an output.
    """

    source: str
    target: str
    size: int = 0
    keep: bool = False


@dataclass
class Corpus:
    """Inputs and where their outputs go: below `output`, a folder, structure kept; None: NAME.denoised.EXT beside each.

    `suffix` replaces the outputs' extensions. An output may be an input only with `overwrite`.
    """

    inputs: Sequence[str]
    output: str | None
    suffix: str | None = None
    overwrite: bool = False
    skip_existing: bool = False
    lists: list[List] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inputs = [places.plain(text) for text in self.inputs]
        self.output = places.plain(self.output) if self.output is not None else None
        for text in (*self.inputs, self.output or ""):
            if places.is_address(text):
                places.filesystem(text)
        self.lists = [List(text) for text in self.inputs if self._is_list(text)]

    def claims(self, done: set[bytes]) -> dict[bytes, bytes]:
        """Of all inputs that are not `done`, what each output is made from, by keys of their names.

        What is done but whose output is gone (that is looked for here only, not at addresses) leaves `done`.
        Raises AudioError for outputs that would meet, for one that is an input, and for lists that are no good.
        """
        found: dict[bytes, bytes] = {}
        for one in self.lists:
            if not self.overwrite and os.path.abspath(self._relisted(one)) == os.path.abspath(one.where):
                raise AudioError(f"the list of the outputs would replace {one.where}; use --overwrite to let it.")
        for item in self._all():
            source = key(item.source)
            if found.setdefault(key(item.target), source) != source:
                raise AudioError(f"{item.source} and another input would both be written to {item.target}.")
            if not self.overwrite and item.target == item.source:
                raise AudioError(f"the output {item.target} is an input; use --overwrite to replace it.")
            if source in done and not places.is_address(item.target) and not os.path.exists(item.target):
                done.discard(source)
        if not self.overwrite and not found.keys().isdisjoint(found.values()):
            raise AudioError("an output would replace another input; use --overwrite if that is meant.")
        return {target: source for target, source in found.items() if source not in done}

    def items(self, claims: dict[bytes, bytes]) -> Iterator[Item]:
        """What is still claimed, each once, with its size; takes the claims away."""
        for item in self._all():
            if claims.pop(key(item.target), None) is not None:
                yield replace(item, size=item.size or _size(item.source), keep=self.skip_existing)

    def rewritten(self, one: List, is_done: Callable[[str], bool]) -> tuple[str, Renamed]:
        """Where the list of the outputs goes, and the names in it."""

        def renamed(name: str) -> str | None:
            return self._listed(one, name)[1] if is_done(one.located(name)) else None

        return self._relisted(one), renamed

    def _relisted(self, one: List) -> str:
        return self._beside(one.where) if self.output is None else places.joined(self.output, one.name)

    def _is_list(self, text: str) -> bool:
        return kind_of(text) is not None and not os.path.isdir(text) and not _is_shard(text)

    def _all(self) -> Iterator[Item]:
        for one in self.lists:
            for name in one.recordings():
                yield Item(one.located(name), self._listed(one, name)[0])
        here = [text for text in self.inputs if not places.is_address(text) and not self._is_list(text)]
        yield from self._local(here)
        for address in self.inputs:
            if places.is_address(address) and not self._is_list(address):
                yield from (Item(source, self._target(source, name), size) for source, name, size in _remote(address))

    def _local(self, inputs: list[str]) -> Iterator[Item]:
        """By the rules of `gtcrn denoise` for what is audio by its name."""
        of_shards = {text: found for text in inputs if (found := list(_shards(text)))}
        for path, relative in (pair for found in of_shards.values() for pair in found):
            yield Item(str(path), self._target(str(path), str(relative)))
        rest = [text for text in inputs if text not in of_shards]
        if not rest:
            return
        if self.output is not None and places.is_address(self.output):
            for path, relative in plan.expand(rest, None):
                yield Item(str(path), self._target(str(path), str(relative)))
            return
        for job in plan.plan(rest, self.output, self.suffix, self.overwrite):
            yield Item(str(job.source), str(job.target))

    def _listed(self, one: List, name: str) -> tuple[str, str]:
        """The output of a list's recording, and its name in the list of the outputs: relative where it was."""
        source = one.located(name)
        if self.output is None:
            return self._beside(self._suffixed(source)), self._beside(self._suffixed(name))
        relative = _below(one, name, source)
        target = self._target(source, relative)
        if relative == name and not one.nested:
            return target, self._suffixed(name)
        return target, target if places.is_address(target) else os.path.abspath(target)

    def _target(self, source: str, relative: str) -> str:
        """Of a source that has this name below what was typed."""
        if self.output is None:
            return self._beside(self._suffixed(source))
        return places.joined(self.output, self._suffixed(relative))

    def _beside(self, source: str) -> str:
        folder, slash, name = source.rpartition("/")
        stem, dot, kind = name.rpartition(".") if not name.endswith(".gz") else name.partition(".")
        return f"{folder}{slash}{stem or kind}{MARK}{dot if stem else ''}{kind if stem else ''}"

    def _suffixed(self, name: str) -> str:
        head, dot, kind = name.rpartition(".")
        has_kind = bool(dot) and "/" not in kind and not shards.is_shard(name)
        return head + self.suffix if self.suffix and has_kind else name


def _below(one: List, name: str, source: str) -> str:
    """A listed recording's name below an output folder: as it is, from the list's folder, or from the root."""
    if places.is_address(name):
        return name.partition("://")[2]
    if not os.path.isabs(name) and os.pardir not in Path(name).parts:
        return name
    whole, folder = os.path.abspath(source), os.path.abspath(one.where.removesuffix(one.name) or ".")
    return os.path.relpath(whole, folder if Path(whole).is_relative_to(folder) else Path(whole).anchor)


def _shards(text: str) -> Iterator[tuple[Path, Path]]:
    """A shard, or those in a folder that holds no audio but in them; with names relative to what was typed."""
    path = Path(text)
    if path.is_dir():
        if not any(is_audio(below) for below in path.rglob("*")):
            found = sorted(below for below in path.rglob("*") if below.is_file() and _is_shard(str(below)))
            yield from ((below, below.relative_to(path)) for below in found if not below.stem.endswith(MARK))
    elif _is_shard(text):
        yield path, Path(path.name)


@functools.lru_cache(maxsize=100_000)
def _is_shard(where: str) -> bool:
    """A tar, or Parquet with an Audio column."""
    if not where.endswith(".parquet"):
        return where.endswith(".tar")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with places.to_read(where) as path:
            return bool(shards.audio_columns(pq.read_schema(path)))
    except (pa.ArrowInvalid, OSError):
        return False  # and fails as a list


def _remote(address: str) -> Iterator[tuple[str, str, int]]:
    """Files at an address, in a folder or of a pattern: address, relative name, bytes."""
    found, path = places.filesystem(address)
    protocol = address.partition("://")[0]
    with places.faults_of(address, "read"):
        if any(sign in path for sign in "*?["):
            files, base = found.glob(path, detail=True), path[: min(path.find(s) for s in "*?[" if s in path)]
        elif found.isdir(path):
            files, base = found.find(path, detail=True), path.rstrip("/") + "/"
        else:
            yield address, PurePosixPath(path).name, found.info(path)["size"] or 0
            return
    kept = {name: about for name, about in sorted(files.items()) if _is_wanted(name, about)}
    if not kept:
        raise AudioError(f"there is no audio at {address}.")
    folder = base.rpartition("/")[0] + "/"
    for name, about in kept.items():
        yield f"{protocol}://{name}", name.removeprefix(folder), int(about["size"] or 0)


def _is_wanted(name: str, about: dict[str, Any]) -> bool:
    path = PurePosixPath(name)
    own = path.stem.endswith(MARK) or any(part.startswith(".") for part in path.parts)
    return about["type"] == "file" and not own and (is_audio(path) or path.suffix in shards.KINDS)


def _size(source: str) -> int:
    try:
        return 0 if places.is_address(source) else os.stat(source).st_size
    except OSError:
        return 0
