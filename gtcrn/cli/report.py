"""What `gtcrn denoise` says: remarks, failures and what was done on standard error, records on standard output."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gtcrn.outcome import Outcome, record

NAMED = 5  # files that are left out, by name


@dataclass
class Report:
    """Outcomes of one command as they come; `where` is the output that was asked for, None: beside the inputs."""

    quiet: bool = False
    records: bool = False
    where: str | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def add(self, outcome: Outcome) -> None:
        """Take note; with `records`, print it as one line of JSON."""
        self.outcomes.append(outcome)
        if self.records:
            print(json.dumps(record(outcome)), flush=True)

    def left_out(self, files: Sequence[Path]) -> None:
        """Say which files of the folders are not worked on."""
        if not self.quiet and not self.records:
            more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
            say(f"left out, not audio by their names or not to be read: {', '.join(map(str, files[:NAMED]))}{more}.")

    def interrupted(self, files: int) -> None:
        """Say how far a run of so many files came."""
        done = sum(not outcome.error and not outcome.skipped for outcome in self.outcomes)
        if files == 1:
            say("interrupted: no output was written.")
        else:
            say(f"interrupted: {done} of {files} files are done; --skip-existing goes on with the rest.")

    def end(self, summary: bool = True) -> int:
        """Remarks, failures or, if all went well, a `summary`; exit code 2 when data were at fault, 1 for others."""
        failed = [outcome for outcome in self.outcomes if outcome.error]
        if not self.quiet and not self.records:
            self._remark()
        for outcome in failed:
            say(str(outcome.error))
        if failed and len(self.outcomes) > 1:
            say(f"{len(failed)} of {len(self.outcomes)} files failed.")
        if failed:
            return 2 if all(outcome.refused for outcome in failed) else 1
        if summary and not self.quiet and not self.records:
            say(self._summary())
        return 0

    def _remark(self) -> None:
        for outcome in self.outcomes:
            if outcome.remark:
                say(outcome.remark)
            for remark in _remarks(outcome):
                say(f"{outcome.name}: {remark}")

    def _summary(self) -> str:
        """What was written where, how long it is, and how fast that went."""
        written = [outcome for outcome in self.outcomes if not outcome.skipped]
        skipped = len(self.outcomes) - len(written)
        if not written:
            return f"nothing to do: all outputs ({skipped}) are there already."
        seconds = sum(outcome.seconds for outcome in written)
        factor = seconds / max(time.monotonic() - self.started, 1e-6)
        what = written[0].target if len(written) == 1 else f"{len(written)} files{self._place()}"
        rest = f"; {skipped} left as they were" if skipped else ""
        return f"wrote {what}: {clock(seconds)} of audio, {factor:.0f} times real time{rest}."

    def _place(self) -> str:
        return f" to {self.where}" if self.where else " beside their inputs"


def clock(seconds: float) -> str:
    """3.6 s, 4:05 or 1:02:03."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def say(sentence: str) -> None:
    print(f"gtcrn: {sentence}", file=sys.stderr)


def _remarks(outcome: Outcome) -> list[str]:
    remarks = []
    if outcome.nonfinite:
        remarks.append(f"{outcome.nonfinite} samples were NaN, infinite or beyond 1e6 and became silence.")
    if outcome.clipped:
        remarks.append(f"{outcome.clipped} samples were clipped at full scale; --subtype FLOAT keeps them.")
    return remarks
