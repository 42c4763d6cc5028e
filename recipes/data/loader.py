"""Training items: random stretches of the prepared clips, drawn ahead of the training step.

A draw depends on the seed, the step and its number only. So a resumed run sees the same audio as an uninterrupted
one, and two processes together see what one would.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gtcrn.config import SAMPLE_RATE
from gtcrn.errors import ConfigError
from gtcrn_recipes.data.dataset import ClipStore
from gtcrn_recipes.data.drawing import Chooser, cross_fade
from gtcrn_recipes.settings import Balance, DataSettings, Drawing

AHEAD = 2  # batches prepared while the device works
HELD_BYTES = 1 << 30  # a role with more (9.3 h) is read from disk unless asked otherwise


class Items(NamedTuple):
    """What one batch is mixed from: int16, still on the way to the device."""

    speech: Tensor  # (B, N)
    noise: Tensor  # (B, 2, N)
    rir: Tensor  # (B, L)

    def to(self, device: torch.device) -> "Items":
        return Items(*(t.to(device, non_blocking=True) for t in self))


class Role:
    """One role of a data set, as a whole in memory or read from disk: stretches at random places."""

    def __init__(self, store: ClipStore, balance: Balance, memory: str, device: torch.device) -> None:
        self.store, self.mapped = store, memory == "mapped" or (memory == "auto" and store.bytes > HELD_BYTES)
        self.chooser = Chooser(store, balance)
        self.lengths = store.clips["samples"].astype(np.int64)
        self.ends = np.cumsum(self.lengths)
        if not self.mapped:
            audio, _ = store.concatenate()
            self.audio = torch.from_numpy(audio).to(device if memory == "device" else "cpu")

    @property
    def where(self) -> str:
        """What people are told: how much there is, and where it lives."""
        return f"{self.store.seconds / 3600:.1f} h {'read from disk' if self.mapped else 'in memory'}"

    def stretches(self, count: int, samples: int, drawing: Drawing, random: np.random.Generator) -> Tensor:
        """(count, samples) int16: clips that run on into the next one, or are joined with others of their group."""
        if self.ends[-1] < samples:
            raise ConfigError(f"the data set holds {self.ends[-1] / SAMPLE_RATE:.1f} s of audio, less than one item.")
        last = self.ends[-1] - samples
        places = self.chooser.places(random.integers(0, last + 1, count), random)
        rows = self._run_on(places.clip(max=last), samples)
        for row in np.flatnonzero(random.random(count) < drawing.join) if drawing.join else ():
            rows[row] = self._joined(int(places[row]), samples, drawing, random)
        return rows

    def heads(self, count: int, samples: int, random: np.random.Generator) -> Tensor:
        """(count, samples) int16: the beginnings of random clips, padded with zeros."""
        chosen = self.chooser.clips(random.integers(0, len(self.lengths), count), random)
        rows = [self._clip(int(i), 0, min(samples, int(self.lengths[i]))) for i in chosen]
        return torch.stack([functional.pad(row, (0, samples - len(row))) for row in rows])

    def _run_on(self, places: NDArray[np.int64], samples: int) -> Tensor:
        return torch.stack([self._stretch(int(place), samples) for place in places])

    def _stretch(self, place: int, samples: int) -> Tensor:
        """(samples,) int16 from a place on, clip after clip."""
        return torch.from_numpy(self._read(place, samples)) if self.mapped else self.audio[place : place + samples]

    def _clip(self, clip: int, offset: int, samples: int) -> Tensor:
        """(samples,) int16 of one clip."""
        return self._stretch(int(self.ends[clip] - self.lengths[clip]) + offset, samples)

    def _read(self, place: int, samples: int) -> NDArray[np.int16]:
        parts: list[NDArray[np.int16]] = []
        clip, offset = self._at(place)
        while samples > 0:
            parts.append(self.store.read(clip, offset, min(samples, int(self.lengths[clip]) - offset)))
            samples, clip, offset = samples - len(parts[-1]), clip + 1, 0
        return np.concatenate(parts)

    def _at(self, place: int) -> tuple[int, int]:
        """Clip and offset of a place."""
        clip = int(np.searchsorted(self.ends, place, side="right"))
        return clip, int(place - (self.ends[clip] - self.lengths[clip]))

    def _joined(self, place: int, samples: int, drawing: Drawing, random: np.random.Generator) -> Tensor:
        """(samples,) int16 of one group: the rest of a clip, then others as a whole, each cross-faded with the next."""
        clip, offset = self._at(place)
        fade = round(drawing.join_fade_ms * SAMPLE_RATE / 1000)
        joined = self._piece(clip, offset, samples)
        while len(joined) < samples:
            clip = self.chooser.groups.another(clip, random)
            joined = cross_fade(joined, self._piece(clip, 0, samples), fade)
        return joined[:samples].round().clamp(-32768, 32767).to(torch.int16)

    def _piece(self, clip: int, offset: int, most: int) -> Tensor:
        """A clip from `offset` on, up to `most` samples, as numbers that can be weighted."""
        return self._clip(clip, offset, min(most, int(self.lengths[clip]) - offset)).float()


class ItemSource:
    """Draws of training items from a prepared data set."""

    def __init__(self, settings: DataSettings, device: torch.device) -> None:
        self.samples = round(settings.segment_seconds * SAMPLE_RATE)
        self.rir_samples = round(settings.rir_seconds * SAMPLE_RATE)
        self.settings = settings
        self.speech, self.noise = (self._clips(settings, role, device) for role in ("speech", "noise"))
        has_rooms = (Path(settings.root) / "rir").is_dir()
        self.rir = self._clips(settings, "rir", device) if has_rooms else None

    @staticmethod
    def _clips(settings: DataSettings, role: str, device: torch.device) -> Role:
        include, exclude = (named(names, role) for names in (settings.include, settings.exclude))
        store = ClipStore.open(settings.root, role, include=include, exclude=exclude)
        return Role(store, getattr(settings, role), settings.memory, device)

    @property
    def where(self) -> str:
        """How much there is of each role, and where it lives."""
        clips = {"speech": self.speech, "noise": self.noise, "rooms": self.rir}
        return ", ".join(f"{name} {found.where}" for name, found in clips.items() if found)

    def draw(self, batch: int, random: np.random.Generator) -> Items:
        speech = self.speech.stretches(batch, self.samples, self.settings.speech, random)
        noise = self.noise.stretches(2 * batch, self.samples, self.settings.noise, random).view(batch, 2, self.samples)
        if self.rir is None:
            return Items(speech, noise, speech.new_zeros(batch, 0))
        return Items(speech, noise, self.rir.heads(batch, self.rir_samples, random))


def named(names: tuple[str, ...], role: str) -> list[str] | None:
    """The data sets that names such as "speech/emodb" choose in one role; None for no choice."""
    return [name.partition("/")[2] for name in names if name.partition("/")[0] == role] or None


Batch = TypeVar("Batch")


class _Failure(NamedTuple):
    error: Exception


class Prefetcher(Generic[Batch]):
    """Draws batches and prepares them in a thread, a few ahead; counts the seconds that the training had to wait.

    `prepare(step, items)` makes a batch of the items of each draw.
    """

    def __init__(
        self,
        source: ItemSource,
        batch: int,
        seed: int,
        draws: list[int],
        first_step: int,
        prepare: Callable[[int, list[Items]], Batch],
    ) -> None:
        self.waited = 0.0
        self._source, self._batch, self._seed, self._draws = source, batch, seed, draws
        self._prepare = prepare
        self._queue: queue.Queue[Batch | _Failure] = queue.Queue(AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(first_step,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Batch]:
        while True:
            start = time.perf_counter()
            batch = self._queue.get()
            self.waited += time.perf_counter() - start
            if isinstance(batch, _Failure):
                raise batch.error
            yield batch

    def close(self) -> None:
        """Stop the thread; safe to call twice."""
        self._stop.set()
        while self._thread.is_alive():
            while not self._queue.empty():
                self._queue.get_nowait()
            self._thread.join(0.05)

    def _work(self, step: int) -> None:
        try:
            while not self._stop.is_set():
                generators = (draw_generator(self._seed, step, d) for d in self._draws)
                self._put(self._prepare(step, [self._source.draw(self._batch, g) for g in generators]))
                step += 1
        except Exception as error:  # handed to the training loop, which raises it
            self._put(_Failure(error))

    def _put(self, batch: Batch | _Failure) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(batch, timeout=0.1)
                break
            except queue.Full:
                continue


def draw_generator(seed: int, step: int, draw: int) -> np.random.Generator:
    """The random numbers of one draw."""
    return np.random.default_rng((seed, step, draw))
