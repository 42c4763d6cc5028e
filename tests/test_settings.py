"""Recipes: what is written is what runs; what is misspelt, mistyped or out of range is refused with the right words."""

import json
import tomllib
from pathlib import Path

import pytest

from gtcrn.cli.app import run
from gtcrn.config import GTCRNConfig
from gtcrn.errors import ConfigError
from gtcrn_recipes.settings import Recipe, build, load, reference, to_table
from gtcrn_recipes.training.losses import TERMS

RECIPES = Path(__file__).parent.parent / "recipes"


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


MISTAKES = {
    "[train]\nlearning_rate = 1": r"unknown setting 'train\.learning_rate'; valid are steps, batch",
    "[train]\nlog_evry = 1": r"unknown setting 'train\.log_evry'; did you mean 'train\.log_every'\? Valid are steps",
    "[train]\nsnr_db = [0, 5]": r"unknown setting 'train\.snr_db'; did you mean 'mixing\.snr_db'\?",
    "[trian]\n": r"unknown setting 'trian'; did you mean 'train'\? Valid are name, description, data",
    "[model]\nchanels = 8": r"unknown setting 'model\.chanels'; did you mean 'model\.channels'\? Valid are spectral",
    "[model.spectral]\nrate = 8000": r"unknown setting 'model\.spectral\.rate'; valid are sample_rate, n_fft, hop\.",
    "mixing.sample_rate = 8000": r"unknown setting 'mixing\.sample_rate'",
    "model.spectral.sample_rate = 8000": r"^model\.spectral\.sample_rate must be 16000, the rate of prepared data",
    "train.lr = 'fast'": r"^train\.lr must be a number, not 'fast'\.$",
    "train.steps = 1.5": r"train\.steps must be a whole number, not 1\.5",
    "train.steps = true": r"train\.steps must be a whole number, not True",
    "train.native = 1": r"train\.native must be true or false, not 1",
    "train.init = 3": r"train\.init must be text, not 3",
    "data.include = 'speech/a'": r"data\.include must be a list, not 'speech/a'",
    "data.exclude = ['emodb']": r"data\.exclude must be text .* match pattern .*speech\|noise\|rir.*, not 'emodb'",
    "data.include = ['noise/x', 'speeches/a']": r"data\.include must be text .*, not 'speeches/a'",
    "mixing.packet_loss = [0.1, 15]": r"mixing\.packet_loss must be less than or equal to 1, not 15",
    "mixing.babble_voices = [0.5, 3]": r"mixing\.babble_voices must be greater than or equal to 1, not 0\.5",
    "train.betas = [0.9]": r"train\.betas has too few values: \[0\.9\]",
    "train.betas = [0.9, 0.9, 0.9]": r"train\.betas has too many values",
    "train.betas = [2, 0.9]": r"train\.betas must be less than 1, not 2",
    "train.lr = 0": r"train\.lr must be greater than 0, not 0",
    "train.lr = nan": r"train\.lr must be a finite number",
    "train.lr_min = 1": r"^train: lr_min \(1\.0\) must not exceed lr \(0\.001\)\.$",
    "train.batch = 0": r"train\.batch must be greater than or equal to 1, not 0",
    "train.seed = -1": r"train\.seed must be greater than or equal to 0, not -1",
    "train.validate_every = 0": r"train\.validate_every must be greater than or equal to 1, not 0",
    "train.select = 'foo'": r"train\.select must be 'si_sdr', 'pesq' or 'estoi', not 'foo'",
    "train.score_every = 0": r"^train: select = 'pesq' is never scored; raise score_every, or select si_sdr\.$",
    "train.optimizer = 'sgd'": r"train\.optimizer must be 'adamw' or 'soap', not 'sgd'",
    "data.memory = 'moon'": r"data\.memory must be 'auto', 'device', 'host' or 'mapped', not 'moon'",
    "data.segment_seconds = 0": r"data\.segment_seconds must be greater than or equal to 0\.1, not 0",
    "data.root = ''": r"data\.root must be text that should have at least 1 character, not ''",
    "name = 'a/b'": r"name must be text that should match pattern",
    "model.input_exponent = 0.3": "input_exponent must be",
    "model.channels = 0": r"model\.channels must be greater than or equal to 4, not 0",
    "model.dilations = [0]": r"dilations must be at least 1 frame, not \[0\]",
    "mixing.snr_db = [10, 0]": r"^mixing\.snr_db must be \[lowest, highest\], not \[10, 0\]\.$",
    "loss.magnitude = -1.0": r"loss\.magnitude must be greater than or equal to 0, not -1\.0",
    "train = 3": "train must be a table, not 3",
    "[train": "not valid TOML",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=MISTAKES[text]):
        load(written(tmp_path, text))


def test_a_late_pesq_term_cannot_be_the_only_one(tmp_path: Path) -> None:
    alone = "[loss]\nreal_imaginary = 0\nmagnitude = 0\nsi_snr = 0\npesq = 1\n"
    assert load(written(tmp_path, alone)).loss.pesq == 1
    with pytest.raises(ConfigError, match=r"^train\.pesq_from leaves no loss until then; raise one of real_imaginary"):
        load(written(tmp_path, alone), ["train.pesq_from=0.5"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("train.lr", "--set wants name=value"),
        ("=3", "--set wants name=value"),
        ("train..lr=3", "--set wants name=value"),
        ("train.lr.x=3", "lr has no settings of its own"),
        ("train.batch=0", r"train\.batch must be greater than or equal to 1, not 0"),
        ("trian.lr=1", r"unknown setting 'trian'; did you mean 'train'\?"),
        ("data.include=[speech/a]", r"data\.include must be a list, not '\[speech/a\]'"),
    ],
)
def test_mistakes_of_single_changes_are_named(tmp_path: Path, change: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load(written(tmp_path, "[train]\nlr = 1e-3\n"), [change])


def test_the_command_says_it_in_one_line_and_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "quick", "--set", "train.batch=0"]) == 2
    assert capsys.readouterr().err == "gtcrn: train.batch must be greater than or equal to 1, not 0.\n"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recipe at"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"cannot read .*directory"):
        load(tmp_path)


def test_every_term_of_the_loss_has_a_weight() -> None:
    assert list(TERMS) == list(Recipe().loss.weights)


def test_the_committed_reference_and_schema_are_current(tmp_path: Path) -> None:
    reference.write(tmp_path)
    for name in (reference.PAGE, reference.SCHEMA):
        assert (tmp_path / name).read_text() == (RECIPES / name).read_text(), (
            "python -m gtcrn_recipes.settings.reference"
        )


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_recipes_point_editors_to_the_schema_and_say_what_it_knows(path: Path) -> None:
    known = json.loads((RECIPES / reference.SCHEMA).read_text())
    assert path.read_text().startswith(f"#:schema ./{reference.SCHEMA}\n")
    assert set(tomllib.loads(path.read_text())) <= set(known["properties"])
