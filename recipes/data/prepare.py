"""Folders of audio in, one compact data set out: a journalled, parallel and resumable pass over the files."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from gtcrn.config import SAMPLE_RATE
from gtcrn.errors import ConfigError
from gtcrn_recipes.data.corpora import Clip, Corpus, Pair, by_pattern, pairs, plain
from gtcrn_recipes.data.intake import Rules, Taken, take, take_pair
from gtcrn_recipes.data.layouts import preset
from gtcrn_recipes.data.overview import ROLES
from gtcrn_recipes.data.readers import by_reader
from gtcrn_recipes.data.shards import CLIP_FIELDS, ODD_NAMES, PAIR_FIELDS, Row, ShardWriter
from gtcrn_recipes.parallel import Jobs, shown

VARIETY = 10  # groups that should at least be held out, where there are enough small ones
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

    def __str__(self) -> str:
        text = f"{self.role}: {self.added} files added ({self.seconds / 3600:.2f} h), {self.present} dealt with before"
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.skipped.most_common())
        return text + (f"; {self.skipped.total()} skipped: {reasons}" if reasons else "")


def gather(
    name: str,
    root: Path | None,
    speech: Iterable[Path],
    noise: Iterable[Path],
    rir: Iterable[Path],
    pair_folders: Iterable[Path],
    speaker_pattern: str = "",
) -> Corpus:
    """Everything that a preset and plain folders offer together; raises ConfigError where that is nothing."""
    if bool(name) != (root is not None):
        raise ConfigError("a preset and its root folder go together: --preset NAME --root DIR.")
    corpus = preset(name, root) if root else Corpus()
    corpus += plain(speech, noise, rir, by_pattern(speaker_pattern) if speaker_pattern else by_reader)
    named = tuple((folder.resolve().name, pairs(folder / "noisy", folder / "clean")) for folder in pair_folders)
    corpus += Corpus(pairs=named)
    if corpus == Corpus():
        raise ConfigError("nothing to prepare: give --preset and --root, or --speech, --noise, --rir or --pairs.")
    return corpus


def prepare(
    out: Path, corpus: Corpus, jobs: Jobs = 1, valid_share: float = 0.0, fill_silence: bool = False
) -> list[Summary]:
    """Write what `out` does not hold yet; one summary a role. Raises GtcrnError when the disk is full."""
    done = []
    for role, rules in ROLE_RULES.items():
        if clips := list({str(clip.path): clip for clip in getattr(corpus, role)}.values()):  # each file once
            share = 0.0 if rules.response else valid_share
            rules = replace(rules, fill_silence=fill_silence and role == "speech")
            done.append(write_role(out / role, role, clips, rules, jobs, share))
    for name, found in corpus.pairs:
        done.append(write_pairs(out / "pairs" / name, name, found, jobs))
    return done


def write_role(folder: Path, role: str, clips: Sequence[Clip], rules: Rules, jobs: Jobs, valid_share: float) -> Summary:
    with ShardWriter(folder, CLIP_FIELDS) as writer:
        splits = assign_splits(clips, valid_share, writer.index.rows, role)
        todo = [clip for clip in clips if str(clip.path) not in writer.known]
        results = shown(partial(take_clip, rules), todo, jobs, role)
        summary = Summary(role, present=len(clips) - len(todo))
        for clip, taken in results:
            row = {"set": clip.set, "speaker": clip.group, "split": splits[clip.group], "path": clip.path}
            keep(writer, taken, row, len(taken.samples), summary)
    return summary


def take_clip(rules: Rules, clip: Clip) -> Taken:
    return take(clip.path, rules, clip.minus)


def write_pairs(folder: Path, name: str, found: Sequence[Pair], jobs: Jobs) -> Summary:
    with ShardWriter(folder, PAIR_FIELDS) as writer:
        todo = [pair for pair in found if str(pair.noisy) not in writer.known]
        summary = Summary(f"pairs/{name}", present=len(found) - len(todo))
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


def assign_splits(
    clips: Sequence[Clip], valid_share: float, before: Sequence[Row], role: str = "speech"
) -> dict[str, str]:
    """Group -> "train" or "valid".

    What the layout or an earlier run decided stays, by the file where its group had another name then. Of the other
    groups, in the order of a hash of their names, those are held out that fit into `valid_share` of the files, small
    ones first, so that one long reader does not take all the room. So a group never moves, the choice depends on no
    order and no seed, and a group that is most of the data is trained on. Raises ConfigError where none is held out.
    """
    decided = {clip.group: clip.split for clip in clips if clip.split}
    sizes = Counter(clip.group for clip in clips if not clip.split)
    budget = round(valid_share * sizes.total())
    decided |= {row["speaker"]: row["split"] for row in before}
    taken = {row["path"]: row["split"] for row in before}
    decided |= {clip.group: taken[str(clip.path)] for clip in clips if str(clip.path) in taken}
    undecided = sizes.keys() - decided
    largest_first_pass = budget / VARIETY
    for group in sorted(sizes, key=lambda group: (sizes[group] > largest_first_pass, stable_hash(group))):
        decided.setdefault(group, "valid" if sizes[group] <= budget else "train")
        budget -= sizes[group] if decided[group] == "valid" else 0
    if valid_share and "valid" not in decided.values():
        raise ConfigError(none_held_out(role, valid_share, len(clips), bool(undecided)))
    return decided


def none_held_out(role: str, valid_share: float, files: int, undecided: bool) -> str:
    """Why, and what can be done about it."""
    if not undecided:
        return (
            f"all {role} is for training, as the layout or an earlier run decided, so none can be held out; leave out "
            "--valid-share, or prepare a new folder."
        )
    remedy = ", put each speaker in a folder, or tell them apart (--speaker-pattern)" if role == "speech" else ""
    return (
        f"no {ROLES[role]} fits into {valid_share:g} of {files} files of {role}, so none can be held out; hold out a "
        f"larger share{remedy}."
    )


def stable_hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors=ODD_NAMES)).digest()
