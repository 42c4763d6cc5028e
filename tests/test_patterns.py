"""Patterns of file names: one expansion for every command."""

from pathlib import Path

import pytest

from gtcrn import patterns
from gtcrn.plan import plan
from gtcrn_recipes.data.corpora import audio_files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.wav", "b/c.wav", "b/d/e.wav", "b/.hidden.wav", "[x]/f.wav", "g[1].wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.wav", ["a.wav", "g[1].wav"]),
        ("*/*.wav", ["[x]/f.wav", "b/c.wav"]),
        ("b/**/*.wav", ["c.wav", "d/e.wav"]),
        ("b/.h*", [".hidden.wav"]),
        ("?.wav", ["a.wav"]),
        ("none*", []),
    ],
)
def test_files_below_the_part_without_a_pattern(tree: Path, pattern: str, found: list[str]) -> None:
    assert list(map(str, patterns.files(*patterns.split(tree / pattern)))) == found


def test_what_exists_is_no_pattern(tree: Path) -> None:
    for name in ("[x]", "g[1].wav", "absent.wav"):
        assert patterns.split(tree / name) == (tree / name, "")


def test_commands_and_corpora_find_the_same(tree: Path) -> None:
    pattern = tree / "**/*.wav"
    assert audio_files(pattern) == [job.source for job in plan([str(pattern)], None)]
