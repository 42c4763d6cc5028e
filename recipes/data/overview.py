"""What a data set holds: hours, files and groups by role, set and split; and what should make its owner look again."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from gtcrn.config import SAMPLE_RATE
from gtcrn_recipes.data.shards import ODD_NAMES, Row, read_rows

ROLES = {"speech": "speaker", "noise": "noise recording", "rir": "room"}  # and what a group of each is
SETS_LISTED = 20  # of a role; more become one line, such as a set for each of a thousand speakers
COLUMNS = ("role", "set", "split", "hours", "files", "groups")


class Line(NamedTuple):
    """One line of the table; of ready pairs the name stands as the split, and there are no groups."""

    role: str
    set: str
    split: str
    rows: list[Row]

    def cells(self) -> tuple[str, ...]:
        hours = sum(int(row["samples"]) for row in self.rows) / SAMPLE_RATE / 3600
        groups = {row["speaker"] for row in self.rows if "speaker" in row}
        return self.role, self.set, self.split, f"{hours:.2f}", f"{len(self.rows)}", f"{len(groups) or '-'}"


def table(root: Path) -> str:
    """The table that ends a preparation: a line for each set and split, the pairs below."""
    rows = [COLUMNS, *(line.cells() for line in lines(root))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    text = "\n".join("  ".join(_aligned(row, widths)).rstrip() for row in rows)
    return text.encode(errors=ODD_NAMES).decode(errors="backslashreplace")  # not every terminal takes such names


def _aligned(row: tuple[str, ...], widths: Iterable[int]) -> Iterator[str]:
    """Words to the left, the three numbers to the right."""
    for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if place < 3 else cell.rjust(width)


def lines(root: Path) -> Iterator[Line]:
    for role in ROLES:
        rows = read_rows(root / role / "index.csv")
        many = len({row["set"] for row in rows}) > SETS_LISTED
        found = defaultdict(list)
        for row in rows:
            found["(all)" if many else row["set"], row["split"]].append(row)
        yield from (Line(role, *place, found[place]) for place in sorted(found))
    for journal in sorted(root.glob("pairs/*/index.csv")):
        yield Line("pairs", "-", journal.parent.name, read_rows(journal))


def notes(root: Path) -> list[str]:
    """Warnings about what is held out, and where to read what was skipped; nothing where all is well."""
    found = []
    for role, group in ROLES.items():
        held_out = {row["speaker"] for row in read_rows(root / role / "index.csv") if row["split"] == "valid"}
        if len(held_out) == 1:
            found.append(
                f"warning: validation has one {group} only, {held_out.pop()}: its scores say little about others; "
                "hold out a larger share (in a new folder)."
            )
    if skipped := [str(path) for path in sorted(root.rglob("skipped.csv")) if read_rows(path)]:
        found.append(f"Skipped files and reasons: {', '.join(skipped)}.")
    return found
