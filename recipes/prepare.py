"""Folders of audio in, one compact data set out: a journalled, parallel and resumable pass over the files."""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from gtcrn_recipes.corpora import Clip, Corpus, Pair
from gtcrn_recipes.intake import Rules, Taken, take, take_pair
from gtcrn_recipes.parallel import shown
from gtcrn_recipes.shards import CLIP_FIELDS, PAIR_FIELDS, SAMPLE_RATE, Row, ShardWriter

ROLE_RULES = {
    "speech": Rules(),
    "noise": Rules(clipped_share=0.01),
    "rir": Rules(min_seconds=0.0, clipped_share=1.0, response=True),
}


@dataclass
class Summary:
    """What one role received in this run, and what lay there before."""

    role: str
    present: int = 0  # files dealt with by earlier runs
    added: int = 0
    seconds: float = 0.0
    skipped: Counter[str] = field(default_factory=Counter)  # by the first word(s) of the reason

    def note_skip(self, reason: str) -> None:
        self.skipped[reason.split(":")[0]] += 1


def prepare(out: Path, corpus: Corpus, jobs: int = 1, valid_share: float = 0.0) -> list[Summary]:
    """Write what `out` does not hold yet; one summary a role. Raises GtcrnError when the disk is full."""
    done = []
    for role, rules in ROLE_RULES.items():
        if clips := getattr(corpus, role):
            done.append(write_role(out / role, role, clips, rules, jobs, valid_share))
    for name, pairs in corpus.pairs:
        done.append(write_pairs(out / "pairs" / name, name, pairs, jobs))
    return done


def write_role(
    folder: Path, role: str, clips: Sequence[Clip], rules: Rules, jobs: int, valid_share: float
) -> Summary:
    with ShardWriter(folder, CLIP_FIELDS) as writer:
        splits = assign_splits(clips, valid_share, writer.index.rows)
        todo = [clip for clip in clips if str(clip.path) not in writer.known]
        results = shown(partial(take_clip, rules), todo, jobs, role)
        summary = Summary(role, present=len(clips) - len(todo))
        for clip, taken in results:
            row = {"set": clip.set, "speaker": clip.group, "split": splits[clip.group], "path": clip.path}
            keep(writer, taken, row, len(taken.samples), summary)
    return summary


def take_clip(rules: Rules, clip: Clip) -> Taken:
    return take(clip.path, rules)


def write_pairs(folder: Path, name: str, pairs: Sequence[Pair], jobs: int) -> Summary:
    with ShardWriter(folder, PAIR_FIELDS) as writer:
        todo = [pair for pair in pairs if str(pair.noisy) not in writer.known]
        summary = Summary(f"pairs/{name}", present=len(pairs) - len(todo))
        for pair, taken in shown(take_both, todo, jobs, f"pairs/{name}"):
            row = {"name": pair.name, "snr_db": pair.snr_db, "path": pair.noisy}
            keep(writer, taken, row, len(taken.samples) // 2, summary)
    return summary


def take_both(pair: Pair) -> Taken:
    return take_pair(pair.noisy, pair.clean)


def keep(writer: ShardWriter, taken: Taken, row: dict[str, object], samples: int, summary: Summary) -> None:
    """Write one outcome, or record why it was skipped."""
    if taken.reason:
        writer.skip(Path(str(row["path"])), taken.reason)
        summary.note_skip(taken.reason)
        return
    writer.add(taken.samples, {**row, "samples": samples})
    summary.added += 1
    summary.seconds += samples / SAMPLE_RATE


def assign_splits(clips: Sequence[Clip], valid_share: float, before: Sequence[Row]) -> dict[str, str]:
    """Group -> "train" or "valid".

    What the layout or an earlier run decided stays. Of the other groups the share with the smallest hashes (rounded up)
    is held out, so a group never moves and the choice depends on no order and no random seed.
    """
    decided = {clip.group: clip.split for clip in clips if clip.split}
    decided |= {row["speaker"]: row["split"] for row in before}
    free = sorted({clip.group for clip in clips} - decided.keys(), key=stable_hash)
    held_out = set(free[: math.ceil(valid_share * len(free))])
    return decided | {group: "valid" if group in held_out else "train" for group in free}


def stable_hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
