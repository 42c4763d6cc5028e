"""The weights that ship: found by name, described, and of use on the samples."""

from pathlib import Path

import pytest
import soundfile

import gtcrn
from gtcrn.denoiser import SHIPPED
from gtcrn_recipes.evaluation import metrics

SAMPLES = Path(__file__).parents[1] / "samples"
NAMES = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def test_two_sizes_ship() -> None:
    assert NAMES == ["gtcrn", "large"]
    assert [gtcrn.load(name).config.channels for name in NAMES] == [16, 32]
    assert gtcrn.load().fingerprint == gtcrn.load("gtcrn").fingerprint != gtcrn.load("large").fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_their_card_tells_what_they_are(name: str) -> None:
    card, words = gtcrn.load(name).card, (SHIPPED / f"{name}.md").read_text()
    assert card["name"] == name
    assert card["licence"] == "MIT"
    assert f"{card['hours']:.0f} hours" in words
    assert f"{card['scores']['pesq']:.3f}"[:4] in words


@pytest.mark.parametrize("name", NAMES)
def test_they_bring_out_the_speech_of_the_sample(name: str) -> None:
    clean, noisy = (soundfile.read(SAMPLES / f"{part}.wav", dtype="float32")[0] for part in ("clean", "noisy"))
    denoised = gtcrn.load(name)(noisy)
    assert metrics.si_sdr(clean, denoised) > metrics.si_sdr(clean, noisy) + 6
    assert metrics.estoi(clean, denoised) > metrics.estoi(clean, noisy)
