"""Which audio is drawn: every second alike, or first a speaker (noise recording, room) or a data set."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gtcrn_recipes.data.dataset import ClipStore
from gtcrn_recipes.settings import Balance

Index = NDArray[np.int64]


class Members:
    """Clips by a key, so that a key can be drawn first, each alike, and then a second or a clip of it."""

    def __init__(self, keys: Index, lengths: Index) -> None:
        """keys, lengths: (clips,), the key of each clip, and its length in samples."""
        self.order = np.argsort(keys, kind="stable")  # places of the clips of one key are neighbours
        self.place = np.argsort(self.order)
        self.first = np.flatnonzero(np.diff(keys[self.order], prepend=-1))
        self.last = np.append(self.first[1:], len(keys))
        self.starts = np.concatenate([[0], np.cumsum(lengths[self.order])])

    def seconds(self, count: int, random: np.random.Generator) -> tuple[Index, Index]:
        """(clip, offset in it), (count,) each: a key, then a sample of all its audio."""
        key = random.integers(0, len(self.first), count)
        where = random.integers(self.starts[self.first[key]], self.starts[self.last[key]])
        place = np.searchsorted(self.starts, where, side="right") - 1
        return self.order[place], where - self.starts[place]

    def clips(self, count: int, random: np.random.Generator) -> Index:
        """(count,): a key, then one of its clips."""
        key = random.integers(0, len(self.first), count)
        return self.order[random.integers(self.first[key], self.last[key])]

    def another(self, clip: int, random: np.random.Generator) -> int:
        """Another clip of the same key; the same one where there is no other."""
        place = int(self.place[clip])
        run = int(np.searchsorted(self.first, place, side="right")) - 1
        first, clips = int(self.first[run]), int(self.last[run] - self.first[run])
        step = 1 + int(random.integers(clips - 1)) if clips > 1 else 0
        return int(self.order[first + (place - first + step) % clips])


class Chooser:
    """The balance of one role: what share of the draws begins with a group or a data set."""

    def __init__(self, store: ClipStore, balance: Balance) -> None:
        lengths = store.clips["samples"].astype(np.int64)
        self.starts = np.cumsum(lengths) - lengths  # of each clip, in samples, when all are laid end to end
        self.groups = Members(store.clips["speaker"].astype(np.int64), lengths)
        self.sets = Members(np.unique(store.sets, return_inverse=True)[1].astype(np.int64), lengths)
        self.shares = (balance.by_group, balance.by_set)

    def places(self, by_seconds: Index, random: np.random.Generator) -> Index:
        """Places (count,) when all clips are laid end to end: some of `by_seconds` drawn anew by group or set."""
        return self._mixed(by_seconds, lambda members, count: self._laid(*members.seconds(count, random)), random)

    def clips(self, by_clip: Index, random: np.random.Generator) -> Index:
        """Clips (count,): some of `by_clip` drawn anew by group or set."""
        return self._mixed(by_clip, lambda members, count: members.clips(count, random), random)

    def _laid(self, clip: Index, offset: Index) -> Index:
        return self.starts[clip] + offset

    def _mixed(self, plain: Index, draw: Callable[[Members, int], Index], random: np.random.Generator) -> Index:
        """Nothing is drawn where the balance is by seconds alone: such a recipe draws what it always drew."""
        by_group, by_set = self.shares
        if not by_group + by_set:
            return plain
        kind, count = random.random(len(plain)), len(plain)
        drawn = np.where(kind < by_group, draw(self.groups, count), draw(self.sets, count))
        return np.where(kind < by_group + by_set, drawn, plain)


def cross_fade(before: Tensor, after: Tensor, fade: int) -> Tensor:
    """Two signals (n,), (m,) joined with an overlap of `fade` samples, of half of the shorter one at most.

    Sine and cosine keep the power of a noise floor.
    """
    fade = min(fade, len(before) // 2, len(after) // 2)
    angle = torch.pi / 2 * (torch.arange(fade, device=before.device) + 0.5) / max(1, fade)
    left, right = before[len(before) - fade :], after[:fade]
    return torch.cat([before[: len(before) - fade], left * angle.cos() + right * angle.sin(), after[fade:]])
