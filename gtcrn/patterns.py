"""Patterns of file names as shells expand them, for what is typed to any command: `*`, `?`, `[...]` and `**`."""

import glob
import os
from pathlib import Path


def split(where: Path) -> tuple[Path, str]:
    """The folder that a pattern searches, and the pattern below it; what exists or has no pattern in it, and ""."""
    fixed = next((i for i, part in enumerate(where.parts) if glob.has_magic(part)), None)
    if fixed is None or os.path.exists(where):
        return where, ""
    return Path(*where.parts[:fixed]), str(Path(*where.parts[fixed:]))


def files(folder: Path, pattern: str) -> list[Path]:
    """Files that a pattern matches, relative to the folder and sorted; hidden ones only where it names their dot."""
    names = sorted(map(Path, glob.glob(pattern, root_dir=folder, recursive=True)))
    return [name for name in names if os.path.isfile(folder / name)]
