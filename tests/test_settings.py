"""Recipes: what is written is what runs; what is misspelt or mistyped is refused with the right words."""

from pathlib import Path

import pytest

from gtcrn.config import GTCRNConfig
from gtcrn.errors import ConfigError
from gtcrn_recipes.settings import Recipe, build, load, to_table


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_a_recipe_is_read_with_its_defaults(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, "[train]\nlr = 5e-4\nbetas = [0.8, 0.99]\n[model]\ndilations = [1, 2]\n"))
    assert (recipe.name, recipe.train.lr, recipe.train.betas) == ("mine", 5e-4, (0.8, 0.99))
    assert recipe.model == GTCRNConfig(dilations=(1, 2))


def test_single_changes_win_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[train]\nlr = 5e-4\n")
    recipe = load(path, ["train.lr=1e-5", "data.root=/some/where", "mixing.snr_db=[0, 10]", "train.steps=7"])
    assert (recipe.train.lr, recipe.data.root, recipe.train.steps) == (1e-5, "/some/where", 7)
    assert recipe.mixing.snr_db == (0.0, 10.0)


def test_the_resolved_recipe_reads_back(tmp_path: Path) -> None:
    recipe = load(written(tmp_path, "description = 'x'\n[model]\ninput_exponent = 0.5\n"))
    assert build(Recipe, to_table(recipe)) == recipe


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[train]\nlearning_rate = 1", r"unknown setting 'train\.learning_rate'; valid are steps, batch"),
        ("[trian]\n", "unknown setting 'trian'; valid are name, description, data"),
        ("[train]\nlr = 'fast'", r"train\.lr must be a number, not 'fast'"),
        ("[train]\nsteps = 1.5", r"train\.steps must be a whole number"),
        ("[train]\nbetas = [0.9]", r"train\.betas takes 2 values, not 1"),
        ("[model]\ninput_exponent = 0.3", "input_exponent must be"),
        ("[mixing]\nsnr_db = [10, 0]", "snr_db"),
        ("[loss]\nmagnitude = -1.0", "must not be negative"),
        ("train = 3", "train must be a table"),
        ("[train", "not valid TOML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load(written(tmp_path, text))


def test_a_missing_recipe_and_a_bare_change_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recipe at"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="--set wants name=value"):
        load(written(tmp_path, ""), ["train.lr"])
